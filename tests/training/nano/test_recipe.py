"""The whole training, one step a stage, ends in a model folder that answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from leopard.errors import TrainingError
from leopard.inference.leopard import Leopard
from leopard.schema.generation import SamplingOptions
from leopard.schema.geometry import ImageSize
from leopard.training.nano import stages
from leopard.training.nano.course import CourseSettings
from leopard.training.nano.lessons import DocumentDraft, PageDraft
from leopard.training.nano.package import new_model
from leopard.training.nano.reader_stage import MAX_TILES
from leopard.training.nano.recipe import READER, STAGES, run_stage
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
