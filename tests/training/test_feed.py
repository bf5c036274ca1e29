"""Steps: planned from sizes alone, the same on any number of workers and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from leopard.config import build, merge
from leopard.curation.pixels import draw
from leopard.documents import LoadOptions
from leopard.errors import TrainingError
from leopard.processor import LeopardProcessor
from leopard.schema.shards import write_shard
from leopard.training.encoding import SampleEncoder
from leopard.training.feed import Feed, FeedState, StepPlanner
from leopard.training.settings import TrainSettings
from leopard.training.sources import open_source
from tests.training.conftest import pixel_sample

OPTIONS = LoadOptions(crop_size=56, max_crops=12)


def settings(folder: Path, **changes: Any) -> TrainSettings:
    values: dict[str, Any] = {
        "steps": 5,
        "data": {
            "sources": [{"path": folder / "pixels", "weight": 3}, {"path": folder / "vectors"}],
            "max_length": 200,
            "shuffle_window": 8,
        },
        "batch": {"samples": 6, "tokens_per_pass": 300, "crops_per_pass": 14},
    }
    return build(TrainSettings, merge(values, changes))


def planner(
    processor: LeopardProcessor,
    run: TrainSettings,
    *,
    world: int = 1,
    state: FeedState | None = None,
) -> StepPlanner:
    sources = [
        open_source(source.path, split=source.split, draw=draw, options=OPTIONS)
        for source in run.data.sources
    ]
    encoder = SampleEncoder(processor, run.data.max_length, run.data.overlong, run.batch.layout)
    return StepPlanner(sources, encoder, run, world=world, state=state)


def rows(plans: Any) -> list[list[tuple[int, int]]]:
    return [sorted((pick.source, pick.row) for pick in plan.picks) for plan in plans]


def test_inputs_are_what_was_planned_in_both_layouts(
    processor: LeopardProcessor, shards: Path
) -> None:
    for layout in ("packed", "padded"):
        run = settings(shards, batch={"layout": layout})
        seen = 0
        for plan, passes in Feed(planner(processor, run), run, range(3)):
            for group, inputs in zip(plan.passes[0], passes, strict=True):
                seen += inputs.num_samples
                assert inputs.num_samples == len(group)
                assert inputs.learned == sum(pick.learned for pick in group)
                assert inputs.num_crops == sum(pick.crops for pick in group)
                ids = inputs.inputs["input_ids"]
                assert ids.numel() <= 300
                placeholders = int((ids == processor.image_token_id).sum())
                assert placeholders == inputs.num_crops * 4
                if layout == "packed":
                    assert inputs.segments == [pick.tokens for pick in group]
        assert seen == 18


def test_workers_change_nothing(processor: LeopardProcessor, shards: Path) -> None:
    alone = settings(shards)
    helped = settings(shards, data={"num_workers": 2})
    one = [
        (plan.after, [inputs.inputs for inputs in passes])
        for plan, passes in Feed(planner(processor, alone), alone, range(4))
    ]
    two = [
        (plan.after, [inputs.inputs for inputs in passes])
        for plan, passes in Feed(planner(processor, helped), helped, range(4))
    ]
    assert len(one) == len(two) == 4
    for (after, passes), (again, others) in zip(one, two, strict=True):
        assert after == again
        for inputs, other in zip(passes, others, strict=True):
            assert inputs.keys() == other.keys()
            assert all(torch.equal(inputs[name], other[name]) for name in inputs)


def test_going_on_from_a_state_gives_the_same_steps_on_more_processes(
    processor: LeopardProcessor, shards: Path
) -> None:
    run = settings(shards)
    whole = planner(processor, run)
    plans = [whole.plan(step) for step in range(6)]
    later = planner(processor, run, world=3, state=plans[2].after)
    again = [later.plan(step) for step in range(3, 6)]
    assert rows(again) == rows(plans[3:])
    assert [plan.learned for plan in again] == [plan.learned for plan in plans[3:]]
    assert all(len(plan.passes) == 3 for plan in again)
    assert again[-1].after == plans[-1].after


def test_every_process_plans_alike_and_takes_its_own_part(
    processor: LeopardProcessor, shards: Path
) -> None:
    run = settings(shards)
    seen = []
    for rank in range(2):
        feed = Feed(planner(processor, run, world=2), run, range(1), rank=rank)
        for plan, passes in feed:
            for group, _ in zip(plan.passes[rank], passes, strict=True):
                seen += [(pick.source, pick.row) for pick in group]
    assert sorted(seen) == rows([planner(processor, run).plan(0)])[0]


def test_overlong_samples_are_left_out_and_counted(
    processor: LeopardProcessor, tmp_path: Path
) -> None:
    samples = [pixel_sample(n, 1, answer="x" * 300 if n % 2 else "short") for n in range(6)]
    write_shard(tmp_path / "s.parquet", samples)
    run = settings(tmp_path, data={"sources": [{"path": tmp_path}]}, batch={"samples": 3})
    plan = planner(processor, run).plan(0)
    assert {pick.row % 2 for pick in plan.picks} == {0}
    assert plan.after.counts.keys() == {"over max_length"}
    strict = run.model_copy(update={"data": run.data.model_copy(update={"overlong": "error"})})
    with pytest.raises(TrainingError, match=r"more than data.max_length 200.*data.overlong=skip"):
        planner(processor, strict).plan(0)


def test_overlong_samples_lose_whole_turns_from_the_end(
    processor: LeopardProcessor, tmp_path: Path
) -> None:
    write_shard(tmp_path / "s.parquet", [pixel_sample(0, 0, turns=9)])
    run = settings(
        tmp_path,
        data={"sources": [{"path": tmp_path}], "overlong": "drop_turns"},
        batch={"samples": 1},
    )
    made = planner(processor, run)
    plan = made.plan(0)
    (pick,) = plan.picks
    assert 2 <= pick.num_messages < 18
    assert pick.num_messages % 2 == 0
    assert plan.after.counts == {"shortened by whole turns": 1}
    ((_, passes),) = Feed(planner(processor, run), run, range(1))
    (inputs,) = passes
    assert inputs.segments == [pick.tokens]
    text = processor.tokenizer.decode(inputs.inputs["input_ids"][0].tolist())
    assert "Question 0?" in text
    assert f"Question {pick.num_messages // 2}?" not in text


def test_too_many_images_are_counted_apart_and_a_run_of_nothing_stops(
    processor: LeopardProcessor, tmp_path: Path
) -> None:
    write_shard(tmp_path / "s.parquet", [pixel_sample(3, 13)])
    run = settings(tmp_path, data={"sources": [{"path": tmp_path}]})
    with pytest.raises(TrainingError, match=r"none of the 1 samples.*over the crop budget"):
        planner(processor, run).plan(0)


def test_an_epoch_is_as_many_samples_as_there_are(
    processor: LeopardProcessor, shards: Path
) -> None:
    run = settings(shards, steps=None, epochs=2)
    assert planner(processor, run).total_steps == 10


def test_loss_positions_do_not_depend_on_the_neighbours_in_a_row(
    processor: LeopardProcessor, shards: Path
) -> None:
    run = settings(shards)
    ((plan, passes),) = Feed(planner(processor, run), run, range(1))
    for group, inputs in zip(plan.passes[0], passes, strict=True):
        labels = inputs.inputs["labels"][0]
        start = 0
        for pick in group:
            assert labels[start] == -100
            assert int((labels[start : start + pick.tokens] != -100).sum()) == pick.learned
            start += pick.tokens
