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
from leopard.training.nano import recipe
from leopard.training.nano.asking import TAUGHT
from leopard.training.nano.lessons import PageDraft
from leopard.training.nano.package import new_model
from leopard.training.nano.recipe import STAGES, run_stage
from leopard.training.nano.stages import small_language_model


class NoPages:
    """A source that is never asked."""

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        raise AssertionError(seed)


def test_a_stage_names_the_one_it_builds_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stage reader has left no checkpoint"):
        run_stage("asking", NoPages(), tmp_path, lambda *_: None)


def test_no_page_of_the_lessons_has_more_tiles_than_the_processor_gives() -> None:
    most = max(cols * rows for cols, rows in recipe.GRIDS)
    from leopard.training.nano.package import MAX_TILES

    assert most <= MAX_TILES


def test_a_start_may_hold_some_weights_and_none_of_another_model(tmp_path: Path) -> None:
    name = "model.language_model.layers.2.mlp.up_proj.weight"
    taught = torch.full_like(new_model(2).state_dict()[name], 0.25)
    save_file({name: taught.half()}, tmp_path / "model.safetensors")
    lessons = small_language_model(trained=TAUGHT, seed=1, start=tmp_path)
    torch.testing.assert_close(lessons.decoder.layers[2].mlp.up_proj.weight.detach(), taught)
    save_file({"model.other.weight": taught}, tmp_path / "model.safetensors")
    with pytest.raises(TrainingError, match=r"such as model\.other\.weight"):
        small_language_model(trained=TAUGHT, seed=1, start=tmp_path)


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
