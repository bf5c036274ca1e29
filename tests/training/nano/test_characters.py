"""Characters to cells: the targets of reading lessons."""

from __future__ import annotations

import numpy as np

from leopard.processor.crops import plan_crops
from leopard.schema.geometry import Box, ImageSize
from leopard.training.nano.characters import (
    BLANK,
    LAST_PER_LINE,
    LOOSE,
    OTHER,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
    WIDE_BLANK,
    Glyph,
    cell_slots,
    character_class,
    dense_map,
    image_columns,
    image_slots,
    line_columns,
)


def line(text: str, x: float, middle: float, width: float = 6.0) -> list[Glyph]:
    """Characters side by side; blanks become gaps."""
    glyphs = []
    for index, char in enumerate(text):
        if char != " ":
            left = x + index * width
            box = Box(left, middle - 5, left + width, middle + 5)
            glyphs.append(Glyph(char, box, middle, index > 0 and text[index - 1] == " "))
    return glyphs


def classes(text: str) -> list[int]:
    return [BLANK if char == " " else character_class(char) for char in text]


def test_two_lines_of_a_cell_fill_their_own_slots_in_reading_order() -> None:
    slots, places = cell_slots(line("ab", 2, 8) + line("cd", 2, 22), 1, 1)
    assert slots[0, 0, :2].tolist() == classes("ab")
    assert slots[0, 0, PLACES_PER_LINE : PLACES_PER_LINE + 2].tolist() == classes("cd")
    assert [place.slot for place in places if place] == [0, 1, 7, 8]


def test_a_line_stays_whole_whatever_the_ink_of_its_letters() -> None:
    glyphs = line("dgo", 2, 27.5)
    low = Glyph("g", Box(8, 25, 14, 36), 27.5, False)  # ink below the cell's edge
    slots, _ = cell_slots([glyphs[0], low, glyphs[2]], 2, 1)
    assert slots[0, 0, PLACES_PER_LINE : PLACES_PER_LINE + 3].tolist() == classes("dgo")
    assert not slots[1].any()


def test_a_line_has_one_number_whatever_stands_above_it_in_some_cells() -> None:
    glyphs = line("ab", 14, 20) + line("xy", 30, 6) + line("cd", 30, 20)
    slots, _ = cell_slots(glyphs, 1, 2)
    assert not slots[0, 0, :PLACES_PER_LINE].any()
    assert slots[0, 0, PLACES_PER_LINE : PLACES_PER_LINE + 2].tolist() == classes("ab")
    assert slots[0, 1, PLACES_PER_LINE : PLACES_PER_LINE + 2].tolist() == classes("cd")


def test_a_gap_looks_like_a_blank_wherever_the_text_layer_has_the_parts() -> None:
    glyphs = line("no", 12, 20) + line("other line", 2, 50) + line("ab", 40, 20)
    slots, places = cell_slots(glyphs, 2, 5)
    here = slots[0, 1, PLACES_PER_LINE : PLACES_PER_LINE + 3].tolist()
    assert here == [WIDE_BLANK, *classes("ab")]
    assert places[-2] is not None
    assert places[-2].blank_slot == PLACES_PER_LINE
    alone, _ = cell_slots(line("no", 2, 20) + line("ab", 90, 20), 1, 4)  # an empty cell tells
    assert alone[0, 3, PLACES_PER_LINE : PLACES_PER_LINE + 2].tolist() == classes("ab")


def test_the_blank_before_a_word_takes_a_slot_of_its_own() -> None:
    slots, places = cell_slots(line("abcd e", 0, 10, width=4), 1, 1)
    assert slots[0, 0, :6].tolist() == classes("abcd e")
    assert places[4] is not None
    assert (places[4].slot, places[4].blank_slot) == (5, 4)


def test_characters_beyond_a_line_of_seven_have_no_place() -> None:
    slots, places = cell_slots(line("abcdefghi", 0, 10, width=3), 1, 1)
    assert np.count_nonzero(slots[..., :PLACES]) == PLACES_PER_LINE
    # The last ones are named once more, last one first.
    named = slots[0, 0, PLACES : PLACES + LAST_PER_LINE].tolist()
    assert named == slots[0, 0, PLACES_PER_LINE - LAST_PER_LINE : PLACES_PER_LINE][::-1].tolist()
    assert places[7] is None
    assert places[8] is None


def test_unknown_characters_share_a_class_and_aliases_do_not() -> None:
    assert character_class("漢") == OTHER
    assert character_class("−") == character_class("-")  # noqa: RUF001
    assert character_class("A") != character_class("a")


def test_dense_map_marks_places_whose_centres_a_box_holds() -> None:
    classes_at = dense_map([Glyph("x", Box(4, 4, 12, 12), 8, False)], 20, 20)
    assert classes_at.shape == (5, 5)
    assert np.argwhere(classes_at).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_thin_characters_mark_the_place_under_their_middle() -> None:
    classes_at = dense_map([Glyph("|", Box(8.5, 2, 9, 3), 2.5, False)], 20, 20)
    assert np.argwhere(classes_at).tolist() == [[0, 2]]


def test_image_slots_follow_the_prompt_order_of_crops() -> None:
    tiled = plan_crops([ImageSize(728, 364)], policy="fill").images[0]
    assert tiled.grid is not None
    assert (tiled.grid.rows, tiled.grid.cols) == (1, 2)
    tokens, places = image_slots(line("L", 4, 10) + line("R", 370, 40), tiled)
    assert tokens.shape == (3 * 169, SLOTS)
    assert not tokens[:169].any()  # the thumbnail is too coarse to read
    assert [place.token for place in places if place] == [169, 2 * 169 + 13]
    for place, char in zip(places, "LR", strict=True):
        assert place is not None
        assert tokens[place.token, place.slot] == character_class(char)


def test_an_image_of_one_crop_is_read_from_its_thumbnail() -> None:
    tiled = plan_crops([ImageSize(364, 182)], policy="published").images[0]
    assert tiled.grid is None
    _, places = image_slots(line("a", 4, 20), tiled)
    assert places[0] is not None
    assert places[0].token == 13  # twice as far down in the squeezed crop


def test_each_character_has_the_column_of_its_middle_give_or_take_a_little() -> None:
    text = "the quick brown fox jumps"
    glyphs = line(text, 3, 10)
    columns = line_columns(glyphs, 1, 8, 4, np.random.default_rng(0))
    assert columns.shape == (1, 2, 8 * 7)
    assert not columns[0, 1].any()
    assert [c for c in columns[0, 0].tolist() if c] == classes(text)
    middles = [3 + 6 * n + 3 for n, char in enumerate(text) if char != " "]
    filled = [at for at, c in enumerate(columns[0, 0].tolist()) if c and c != BLANK]
    off = [at * 4 + 2 - middle for at, middle in zip(filled, middles, strict=True)]
    assert max(map(abs, off)) <= 2 + LOOSE
    other = line_columns(glyphs, 1, 8, 4, np.random.default_rng(1))
    assert (columns != other).any()


def test_narrow_characters_stand_side_by_side_and_none_shares_a_column() -> None:
    columns = line_columns(line("illi a", 4, 10, width=2.5), 1, 2, 2, np.random.default_rng(0))
    assert [c for c in columns[0, 0].tolist() if c] == classes("illi a")


def test_columns_do_not_reach_into_the_next_crop() -> None:
    tiled = plan_crops([ImageSize(728, 364)], policy="fill").images[0]
    glyphs = line("L", 358, 10) + line("R", 364, 40)
    columns = image_columns(glyphs, tiled, np.random.default_rng(0))
    assert columns.shape == (3, 13, 2, 91)
    found = [tuple(at) for at in np.argwhere(columns).tolist()]
    assert [at[:3] for at in found] == [(1, 0, 0), (2, 1, 0)]
    assert found[0][3] >= 90 - 1
    assert found[1][3] <= 1
