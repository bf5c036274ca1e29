"""Monkey: pictures with descriptions and questions in the Qwen-VL shape.

Layout (echo840/Monkey_Data): `train_monkey.json`, a list of `{id, conversations: [{from, value}]}`
where the first turn names its picture as `<img>path</img>` and ends in `Answer:`. Put together to
1 to 3 images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from leopard.curation.converters.conversations import conversation_draft
from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading

_PROMPT_END = re.compile(r"\s*Answer:\s*\Z")


def records(reading: Reading) -> Iterator[Record]:
    """Conversations with their number, as an id is a picture; there is no split but train."""
    if reading.split == "train":
        name = reading.copy.find("train_monkey.json", "*monkey*.json")
        for number, row in enumerate(reading.copy.json(name)):
            yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One conversation; the marks of the prompt format are taken off."""
    draft = conversation_draft(
        f"{record['_number']:06d}", record["conversations"], None, reading, "chat"
    )
    qa = tuple(replace(t, question=_PROMPT_END.sub("", t.question).rstrip(": ")) for t in draft.qa)
    yield replace(draft, qa=qa)


CONVERTER = Converter(
    name="monkey",
    title="Monkey",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="LicenseRef-Monkey",
    terms="Research use; its 19 sources keep their own licences.",
    citation="Li et al., Monkey: Image Resolution and Text Label Are Important Things for Large "
    "Multi-modal Models, CVPR 2024",
    where="huggingface.co/datasets/echo840/Monkey_Data.",
    expects="train_monkey.json and the pictures it names",
    paper_samples=92_000,
    assemble=(1, 3),
)
