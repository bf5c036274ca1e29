"""True slots with the errors of an encoder."""

from __future__ import annotations

import numpy as np

from leopard.training.nano.characters import (
    LAST_PER_LINE,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
    cell_slots,
)
from leopard.training.nano.misreading import misread
from tests.training.nano.test_characters import line


def slots() -> np.ndarray:
    glyphs = [glyph for n in range(10) for glyph in line("Total due 12.50 EUR", 4, 20 + 28 * n)]
    return cell_slots(glyphs, 13, 13)[0].reshape(-1, SLOTS)


def test_nothing_is_misread_at_a_share_of_nothing() -> None:
    true = slots()
    np.testing.assert_array_equal(misread(true, 0.0, np.random.default_rng(1)), true)


def test_about_the_share_of_characters_has_an_error_and_empty_places_have_none() -> None:
    true = slots()
    read = misread(true, 0.2, np.random.default_rng(1))
    is_line = (true[:, :PLACES] > 0).reshape(-1, PLACES_PER_LINE).any(1)
    changed = (true != read)[:, :PLACES].reshape(-1, PLACES_PER_LINE).any(1)
    assert not changed[~is_line].any()
    lengths = (true[:, :PLACES] > 0).reshape(-1, PLACES_PER_LINE).sum(1)[is_line]
    expected = 1 - (1 - 0.2) ** lengths.mean()
    assert abs(changed[is_line].mean() - expected) < 0.15


def test_lines_stay_without_gaps_and_their_last_characters_are_those_read() -> None:
    read = misread(slots(), 0.5, np.random.default_rng(2))
    for cell in read:
        for number in range(2):
            first = number * PLACES_PER_LINE
            chars = cell[first : first + PLACES_PER_LINE]
            count = int((chars > 0).sum())
            assert (chars[:count] > 0).all()
            last = cell[PLACES + number * LAST_PER_LINE :][:LAST_PER_LINE]
            expected = chars[:count][::-1][:LAST_PER_LINE]
            np.testing.assert_array_equal(last[: len(expected)], expected)
            assert (last[len(expected) :] == 0).all()
