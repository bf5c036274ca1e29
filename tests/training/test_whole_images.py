"""Leopard-Idefics2 is trained by the same trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from leopard.config import build, merge
from leopard.curation.pixels import draw
from leopard.errors import ConfigError, ContextLengthError, PromptError
from leopard.model.weights import load_model
from leopard.processor.idefics2 import LeopardIdefics2Processor, load_idefics2_processor
from leopard.schema.samples import QuestionAnswer, conversation
from leopard.training.settings import TrainSettings
from leopard.training.trainer import Trainer, train
from leopard.training.world import World
from tests.conftest import draw_page
from tests.parity.cases import IDEFICS2_FOLDER
from tests.training.test_distributed import assert_same_curve, run_processes
from tests.training.test_trainer import losses

TURNS = tuple(QuestionAnswer(question=f"Which {n}?", answer=f"Page {n}.") for n in (1, 2))


@pytest.fixture(scope="module")
def processor() -> LeopardIdefics2Processor:
    return load_idefics2_processor(str(IDEFICS2_FOLDER))


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    lines = []
    for number in range(4):
        names = [f"{number}-{page}.png" for page in range(number % 3)]
        for page, name in enumerate(names):
            draw_page(number + page, (60 + 20 * page, 80)).save(folder / name)
        turn = {"question": "Which page?", "answer": f"Page {number}."}
        lines.append(json.dumps({"files": names, "turns": [turn]}))
    (folder / "list.jsonl").write_text("\n".join(lines))
    plain: dict[str, Any] = {
        "out": str(folder / "run"),
        "steps": 3,
        "model": {"start": str(IDEFICS2_FOLDER), "device": "cpu"},
        "optimizer": {"lr": 1e-3, "warmup": 1},
        "data": {"sources": [{"path": str(folder / "list.jsonl")}], "max_length": 600},
        "batch": {"samples": 4, "tokens_per_pass": 700, "crops_per_pass": 3},
        "checkpoints": {"every_steps": 2},
        "report": {"progress": False},
    }
    return merge(plain, changes)


def test_answers_and_their_ends_are_learnt_in_the_text_of_inference(
    processor: LeopardIdefics2Processor,
) -> None:
    messages = conversation(2, TURNS)
    ids, mask = processor.encode_turns(messages)
    learnt = processor.tokenizer.decode([i for i, is_on in zip(ids, mask, strict=True) if is_on])
    ends = [f"{turn.answer}<end_of_utterance>" for turn in TURNS]
    assert learnt.replace(" ", "") == "".join(ends).replace(" ", "")
    pages = [draw_page(1), draw_page(2)]
    asked = processor(images=pages, text=processor.render(messages[:1]))["input_ids"][0].tolist()
    assert ids[: len(asked)] == asked
    assert not any(mask[: len(asked)])
    assert mask[len(asked)]


def test_examples_match_the_inputs_of_inference(processor: LeopardIdefics2Processor) -> None:
    messages = conversation(2, TURNS[:1])
    pages = [draw_page(1, (60, 90)), draw_page(2, (90, 60))]
    example = processor.encode_for_training(messages, pages)
    shown = processor(images=pages, text=processor.render(messages[:1]))
    assert torch.equal(example["pixel_values"], shown["pixel_values"][0])
    assert torch.equal(example["pixel_attention_mask"], shown["pixel_attention_mask"][0])
    with pytest.raises(PromptError, match="2 image parts but 1 images"):
        processor.encode_for_training(messages, pages[:1])
    with pytest.raises(PromptError, match="no assistant turn"):
        processor.encode_for_training(messages[:1], pages)
    with pytest.raises(ContextLengthError, match="more than 20"):
        processor.encode_for_training(messages, pages, 20)


def test_a_packed_pass_gives_the_loss_of_each_sample_alone(tmp_path: Path) -> None:
    def run(name: str, **changes: Any) -> list[tuple[int, float]]:
        given = values(tmp_path, out=str(tmp_path / name), **changes)
        train(build(TrainSettings, given), draw=draw)
        return losses(tmp_path / name)

    apart = run("apart", batch={"tokens_per_pass": 600, "crops_per_pass": 2})
    together = run("together", batch={"tokens_per_pass": 4000, "crops_per_pass": 12})
    for (_, one), (_, other) in zip(apart, together, strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    before, after = load_model(IDEFICS2_FOLDER), load_model(tmp_path / "apart" / "model")
    moved = {
        name.split(".")[1]
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert moved == {"connector", "text_model", "weight"}


def test_two_processes_equal_one(tmp_path: Path) -> None:
    assert run_processes(values(tmp_path), 2) == ["3 steps", "3 steps"]
    one = values(tmp_path, out=str(tmp_path / "one"))
    train(build(TrainSettings, one), draw=draw)
    assert_same_curve(tmp_path / "run", tmp_path / "one")


def test_what_whole_images_have_not_is_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"model": {"policy": "fill"}}, "model.policy is not for"),
        ({"batch": {"layout": "padded"}}, "padded is not for"),
    ):
        settings = build(TrainSettings, values(tmp_path, **changes))
        with pytest.raises(ConfigError, match=message):
            Trainer(settings, World(), draw=draw)


def test_samples_with_too_many_images_are_counted(tmp_path: Path) -> None:
    given = values(tmp_path, model={"max_crops": 1})
    result = train(build(TrainSettings, given), draw=draw)
    assert result.left_out.keys() == {"over the crop budget"}
