"""Conversations about one picture: found by ever shorter ends of the path they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from leopard.curation.converters.conversations import conversation_draft
from leopard.curation.converters.local_copy import LocalCopy
from leopard.curation.converters.source import Reading
from leopard.curation.imports import BadRecordError
from tests.curation.converters.fixtures import picture, put

TALK = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "Ann"}]


def reading(root: Path) -> Reading:
    return Reading(source="x", copy=LocalCopy(root))


def test_folders_of_the_makers_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "here/coco/1.png", picture(1))
    draft = conversation_draft("r", TALK, "/home/maker/data/coco/1.png", reading(tmp_path), "chat")
    assert [p.name for p in draft.pictures] == ["here/coco/1.png"]
    assert [(turn.question, turn.answer) for turn in draft.qa] == [("Who?", "Ann")]


def test_a_conversation_needs_one_picture(tmp_path: Path) -> None:
    put(tmp_path / "1.png", picture(1))
    with pytest.raises(BadRecordError, match="no image"):
        conversation_draft("r", TALK, None, reading(tmp_path), "chat")
    named = [{"from": "user", "value": "<img>1.png</img><img>2.png</img>Who?"}, TALK[1]]
    with pytest.raises(BadRecordError, match="more than one image"):
        conversation_draft("r", named, None, reading(tmp_path), "chat")
    with pytest.raises(BadRecordError, match="a file is missing"):
        conversation_draft("r", TALK, "2.png", reading(tmp_path), "chat")
