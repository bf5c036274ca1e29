"""The card that is shown: of a large set, proven again, looked at, and with its error count."""

from __future__ import annotations

import json
import re
from pathlib import Path

import PIL.Image

CARD = Path(__file__).parents[2] / "docs" / "data-card"


def test_the_card_is_of_a_large_set_without_a_wrong_answer() -> None:
    facts = json.loads((CARD / "card.json").read_text(encoding="utf-8"))
    text = (CARD / "card.md").read_text(encoding="utf-8")
    assert facts["samples"] >= 20_000
    assert f"{facts['questions']:,} questions of {facts['samples']:,} samples, 0 wrong" in text


def test_the_card_says_how_many_samples_were_looked_at_and_what_was_wrong() -> None:
    text = (CARD / "card.md").read_text(encoding="utf-8")
    found = re.search(r"(\d+) random samples, (\d+) with an error", text)
    assert found is not None
    assert int(found[1]) >= 100
    assert text.count(", reject: ") == int(found[2])


def test_the_gallery_is_small_and_shows_thirty_samples() -> None:
    with PIL.Image.open(CARD / "gallery.png") as picture:
        assert picture.size == (1800, 2000)
    assert sum(file.stat().st_size for file in CARD.iterdir()) < 6_000_000
