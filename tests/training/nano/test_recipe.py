"""The whole training, one step a stage, ends in a model folder that answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from leopard.errors import TrainingError
from leopard.inference.leopard import Leopard
from leopard.schema.generation import SamplingOptions
from leopard.schema.geometry import ImageSize
from leopard.training.nano import stages
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.lessons import DocumentDraft, PageDraft
from leopard.training.nano.package import new_model
from leopard.training.nano.reader_stage import MAX_TILES
from leopard.training.nano.recipe import READER, STAGES, pack, run_stage, unpack
from leopard.training.nano.stages import (
    ReaderStage,
    checkpoint_weights,
    joined_model,
    train_reader,
)


class NoPages:
    """A source that is never asked."""

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        raise AssertionError(seed)

    def document(self, seed: int) -> DocumentDraft | None:
        raise AssertionError(seed)


def test_a_stage_names_the_one_it_builds_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stage reader has left no checkpoint"):
        run_stage("model", NoPages(), tmp_path, lambda *_: None)


def test_no_page_of_the_lessons_has_more_tiles_than_the_processor_gives() -> None:
    assert max(cols * rows for cols, rows in READER.plan.grids) <= MAX_TILES


class NoStream:
    """Lessons that are never taken."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_start_may_hold_some_weights_and_none_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LessonStream", NoStream)
    stage = ReaderStage(course=CourseSettings(steps=0, learning_rate=1e-3))
    start, folder = tmp_path / "start", tmp_path / "reader"
    start.mkdir()
    name = "vision_encoder.layers.2.up.weight"
    taught = torch.full_like(new_model(2).model.state_dict()[name], 0.25)
    around = {"model.vision_encoder.spelling.around.mix": torch.zeros(2, 3, 3)}  # not for reading
    save_file({f"model.{name}": taught.half(), **around}, start / "model.safetensors")
    train_reader(NoPages(), folder, stage, lambda *_: None, start=start)
    weights = checkpoint_weights(folder / "course.safetensors")
    torch.testing.assert_close(weights["encoder.layers.2.up.weight"], taught)
    save_file({"model.vision_encoder.other.weight": taught}, start / "model.safetensors")
    with pytest.raises(TrainingError, match=r"such as other\.weight"):
        train_reader(NoPages(), tmp_path / "other", stage, lambda *_: None, start=start)


def test_a_model_takes_an_encoder_that_reads_whole_or_not_at_all(tmp_path: Path) -> None:
    encoder = new_model(3).model.vision_encoder
    weights = {f"weights.encoder.{n}": t.contiguous() for n, t in encoder.state_dict().items()}
    checkpoint = tmp_path / "course.safetensors"
    save_file(weights, checkpoint)
    taken = joined_model(checkpoint, None).model.vision_encoder
    torch.testing.assert_close(taken.fold.weight, encoder.fold.weight)
    del weights["weights.encoder.fold.weight"]
    save_file(weights, checkpoint)
    with pytest.raises(TrainingError, match=r"differ in 1 weights, such as fold\.weight"):
        joined_model(checkpoint, None)


class Taught(nn.Module):
    """Something that learns, and a code that does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.learns = nn.Linear(3, 2)
        self.register_buffer("code", torch.rand(4))


def taught(folder: Path, steps: int) -> Course:
    """A course that has run for some steps, and has told so at the end."""
    told: list[dict[str, float]] = []
    module = Taught()
    course = Course(
        module, CourseSettings(steps=steps, learning_rate=0.1, warmup_steps=1), folder, plain=("",)
    )

    def step() -> dict[str, float]:
        loss = (module.learns(torch.ones(3)) - 1).square().sum()
        loss.backward()
        return {"loss": loss.item()}

    course.run(step, told.append)
    assert told[-1]["step"] == steps
    return course


def test_a_training_is_carried_to_another_computer(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    before = taught(here / "meaning", 5)
    assert pack(here, tmp_path / "packed") == ["meaning"]
    assert unpack(tmp_path / "packed", there) == ["meaning"]
    after = Course(
        Taught(), CourseSettings(steps=9, learning_rate=0.1), there / "meaning", plain=("",)
    )
    assert after.step == 5
    learned, known = (dict(one.module.state_dict()) for one in (before, after))
    torch.testing.assert_close(known["code"], learned["code"], rtol=0, atol=0)  # exact
    torch.testing.assert_close(known["learns.weight"], learned["learns.weight"].half().float())
    packed = (tmp_path / "packed" / "meaning.safetensors").stat().st_size
    assert packed < before.checkpoint.stat().st_size
    taught(there / "meaning", 9)
    last = checkpoint_weights(there / "meaning" / "course.safetensors")["learns.weight"]
    assert not torch.equal(last, known["learns.weight"])  # it goes on


def test_the_time_of_all_sittings_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 60))
    monkeypatch.setattr("leopard.training.nano.course.time.monotonic", lambda: next(clock))
    first = taught(tmp_path, 3)
    assert first.seconds == 3 * 60  # a minute between two looks at the clock
    assert taught(tmp_path, 5).seconds == 5 * 60


def test_a_training_is_not_unpacked_over_another(tmp_path: Path) -> None:
    taught(tmp_path / "here" / "meaning", 1)
    pack(tmp_path / "here", tmp_path / "packed")
    with pytest.raises(TrainingError, match=r"course\.safetensors is there already"):
        unpack(tmp_path / "packed", tmp_path / "here")
    with pytest.raises(TrainingError, match="holds no packed stage"):
        unpack(tmp_path / "here", tmp_path / "there")
    with pytest.raises(TrainingError, match="holds no checkpoint of a stage"):
        pack(tmp_path / "there", tmp_path / "packed")


def test_make_runs_both_stages_of_lessons_and_then_the_model() -> None:
    planned = subprocess.run(
        ["make", "-n", "nano", "NANO=somewhere"],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    ran = [line.split("--stage ")[1].strip() for line in planned.splitlines() if "--stage" in line]
    assert sorted(ran) == sorted(STAGES)
    assert ran[-1] == "model"


@pytest.mark.slow
def test_the_stages_lead_from_nothing_to_a_model(tmp_path: Path) -> None:
    from leopard.cli._nano_pages import ReadingPages

    seen: list[str] = []
    for name in STAGES:
        run_stage(name, ReadingPages(), tmp_path, lambda stage, _: seen.append(stage), share=1e-6)
    model = Leopard.from_pretrained(str(tmp_path / "model"))
    page = Image.new("RGB", (400, 300), "white")
    answer = model.ask([page], "What is it?", sampling=SamplingOptions(max_new_tokens=3))
    assert answer.usage.visual_tokens == 169
