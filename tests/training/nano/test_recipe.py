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
from leopard.training.nano.stages import ReaderStage, checkpoint_weights, train_reader


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
    save_file({f"model.{name}": taught.half()}, start / "model.safetensors")
    train_reader(NoPages(), folder, stage, lambda *_: None, start=start)
    weights = checkpoint_weights(folder / "course.safetensors")
    torch.testing.assert_close(weights["encoder.layers.2.up.weight"], taught)
    save_file({"model.vision_encoder.other.weight": taught}, start / "model.safetensors")
    with pytest.raises(TrainingError, match=r"such as other\.weight"):
        train_reader(NoPages(), tmp_path / "other", stage, lambda *_: None, start=start)


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
