"""The model that comes with the package: complete, small, and looking at the pixels."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

import leopard
from leopard import Leopard

FOLDER = Path(leopard.__file__).parent / "model/shipped/leopard-nano"


@pytest.fixture(scope="module")
def shipped() -> Leopard:
    return Leopard.from_pretrained()


def test_shipped_weights_are_small_safetensors() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) <= 40_000_000
    assert not list(FOLDER.glob("*.bin"))


def test_other_pixels_give_another_answer(shipped: Leopard) -> None:
    page = PIL.Image.new("RGB", (364, 364), "white")
    page.paste("black", (40, 40, 200, 60))
    question = "Read on from: Invoice"
    assert shipped.ask([page], question).usage.crops == 1
    blank = PIL.Image.new("RGB", (364, 364), "white")
    assert shipped.ask([page], question).text != shipped.ask([blank], question).text
