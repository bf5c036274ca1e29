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


EXAMPLE = Path(__file__).parents[2] / "examples" / "broadcast-invoice.pdf"
QUESTION, PRINTED = "What is the Billing phone?", "(916)325-3266"


def test_the_answer_about_the_example_is_the_printed_one(shipped: Leopard) -> None:
    assert shipped.ask([EXAMPLE], QUESTION).text == PRINTED


def test_the_answer_about_the_example_comes_from_its_pixels(shipped: Leopard) -> None:
    pages = shipped.load([EXAMPLE]).pages
    blank = [PIL.Image.new("RGB", page.image.size, "white") for page in pages]
    assert shipped.ask(blank, QUESTION).text != PRINTED
    # Its page alone, and the same with the printed number covered.
    covered = pages[0].image.copy()
    assert shipped.ask([covered], QUESTION).text == PRINTED
    top, bottom = (round(share * covered.height) for share in (0.128, 0.146))
    covered.paste("white", (0, top, covered.width, bottom))
    assert shipped.ask([covered], QUESTION).text != PRINTED
