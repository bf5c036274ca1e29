"""The whole training, one step a stage, ends in a model folder that answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from leopard.errors import TrainingError
from leopard.inference.leopard import Leopard
from leopard.schema.generation import SamplingOptions
from leopard.schema.geometry import ImageSize
from leopard.training.nano import recipe
from leopard.training.nano.lessons import PageDraft
from leopard.training.nano.recipe import STAGES, run_stage


class NoPages:
    """A source that is never asked."""

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        raise AssertionError(seed)


def test_a_stage_names_the_one_it_builds_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stage reader has left no checkpoint"):
        run_stage("looking", NoPages(), tmp_path, lambda *_: None)


def test_no_page_of_the_lessons_has_more_tiles_than_the_processor_gives() -> None:
    most = max(cols * rows for cols, rows in recipe.GRIDS)
    from leopard.training.nano.package import MAX_TILES

    assert most <= MAX_TILES


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
