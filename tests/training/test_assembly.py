"""A vision encoder and a language model become a start for stage 1."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import typer
from transformers import LlamaForCausalLM, SiglipVisionModel
from typer.testing import CliRunner

from leopard.cli.assemble import register
from leopard.curation.pixels import draw
from leopard.errors import CheckpointError, ConfigError
from leopard.model.dummy import preset_config
from leopard.model.weights import load_model
from leopard.training.assembly import assemble_start
from leopard.training.trainer import train
from tests.conftest import TOKENIZER
from tests.training.test_trainer import losses, make


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a small SigLIP and a small LLaMA with its tokenizer."""
    folder = tmp_path_factory.mktemp("parts")
    config = preset_config("tiny")
    torch.manual_seed(0)
    SiglipVisionModel(config.vision_config).save_pretrained(folder / "vision")
    LlamaForCausalLM(config.text_config).save_pretrained(folder / "language")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / name, folder / "language" / name)
    return folder / "vision", folder / "language"


def test_parts_keep_their_weights_and_stage_one_trains_the_connector(
    parts: tuple[Path, Path], tmp_path: Path, shards: Path
) -> None:
    vision, language = parts
    app = typer.Typer()
    register(app)
    start = tmp_path / "start"
    result = CliRunner().invoke(app, [str(vision), str(language), "--out", str(start)])
    assert result.exit_code == 0, result.output
    assert "connector untrained" in result.output
    model = load_model(start)
    old_vision, old_language = (
        SiglipVisionModel.from_pretrained(vision),
        (LlamaForCausalLM.from_pretrained(language)),
    )
    pixels, ids = torch.randn(2, 3, 56, 56), torch.arange(9)[None]
    with torch.no_grad():
        seen = model.model.vision_encoder(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(seen, old_vision(pixel_values=pixels).last_hidden_state)
        torch.testing.assert_close(model(ids).logits, old_language(ids).logits)
    settings = make(
        tmp_path / "run", start, shards, steps=2, parts={"language_model": {"train": False}},
        model={"max_crops": 12},
    )  # fmt: skip
    train(settings, draw=draw)
    assert len(losses(tmp_path / "run")) == 2


def test_what_does_not_fit_is_said_and_nothing_is_left(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    vision, language = map(str, parts)
    with pytest.raises(CheckpointError, match="no token '<nothing>'"):
        assemble_start(vision, language, tmp_path / "a", image_token="<nothing>")
    with pytest.raises(CheckpointError, match="cannot be read"):
        assemble_start(str(tmp_path / "none"), language, tmp_path / "a")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="is there already"):
        assemble_start(vision, language, tmp_path)
