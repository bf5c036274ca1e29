"""Pages as scans: another look, the same characters in the same places."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from leopard.processor.crops import plan_crops, stack_crops
from leopard.schema.geometry import ImageSize
from leopard.training.nano.lessons import Lesson
from leopard.training.nano.reader_stage import (
    GEOMETRY,
    MAX_TILES,
    MOST_OF_LESSON,
    POLICY,
    crop_lessons,
)
from leopard.training.nano.scans import scanned
from tests.training.nano.test_characters import line

SIZE = ImageSize(364, 364)


def page() -> Image.Image:
    picture = Image.new("RGB", (SIZE.width, SIZE.height), "white")
    draw = ImageDraw.Draw(picture)
    for row in range(20, 340, 24):
        draw.text((20, row), "Order number 475299, Ingrid Kowalski", fill="black")
    return picture


def darkness(picture: Image.Image) -> np.ndarray:
    levels = 255.0 - np.asarray(picture.convert("L"), dtype=np.float64)
    return levels - levels.mean()


def test_what_is_printed_stays_where_it_is() -> None:
    original = page()
    own = darkness(original)
    alike = []
    for seed in range(40):
        scan = scanned(original, random.Random(seed))
        assert (scan.size, scan.mode) == (original.size, "RGB")
        other = darkness(scan)
        alike.append((own * other).sum() / np.sqrt((own**2).sum() * (other**2).sum()))
        moved = np.roll(other, 4, axis=1)
        assert (own * moved).sum() < (own * other).sum()
    assert min(alike) > 0.3
    assert max(alike) > 0.9


def test_one_seed_makes_one_scan_and_seeds_differ() -> None:
    first, again, other = (scanned(page(), random.Random(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_some_lessons_are_scans() -> None:
    original = page()
    plan = plan_crops([SIZE], geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)
    as_drawn = stack_crops([original], plan)[0]
    rows = [glyph for row in range(12) for glyph in line("Order 475299, Ingrid", 20, 20 + 28 * row)]
    lessons = [Lesson(original, tuple(rows[: 200 - n]), ()) for n in range(24)]
    crops = [crop for lesson in lessons for crop in crop_lessons([lesson])]
    scans = [crop for crop in crops if not np.array_equal(crop.pixels, as_drawn)]
    assert len(crops) == len(lessons)
    assert 0.1 * len(crops) < len(scans) < 0.7 * len(crops)
    assert all(np.array_equal(scan.dense[:40, :40], crops[0].dense[:40, :40]) for scan in scans)


def test_of_a_long_lesson_only_some_crops_are_taken_from_all_over() -> None:
    words = ("Order 475299, Ingrid", "Lund Office, 07-12-31")
    pages = [
        Lesson(
            page(),
            tuple(g for row in range(12) for g in line(words[n % 2], 20, 20 + 28 * row)),
            (),
        )
        for n in range(2 * MOST_OF_LESSON)
    ]
    crops = crop_lessons(pages)
    assert len(crops) == MOST_OF_LESSON
    assert len({crop.dense.tobytes() for crop in crops}) == len(words)
