"""Characters to cells: the targets of reading lessons."""

from __future__ import annotations

import numpy as np

from leopard.processor.crops import plan_crops
from leopard.schema.geometry import Box, ImageSize
from leopard.training.nano.characters import (
    BLANK,
    LAST_PER_LINE,
    OTHER,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
    Glyph,
    cell_slots,
    character_class,
    dense_map,
    image_slots,
    loose_image_slots,
    loose_slots,
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
    assert slots[0, 1, PLACES_PER_LINE : PLACES_PER_LINE + 3].tolist() == classes(" ab")
    assert places[-2] is not None
    assert places[-2].blank_slot == PLACES_PER_LINE
    alone, _ = cell_slots(line("no", 2, 20) + line("ab", 90, 20), 1, 4)  # an empty cell tells
    assert alone[0, 3, PLACES_PER_LINE : PLACES_PER_LINE + 2].tolist() == classes("ab")


def test_the_blank_before_a_word_takes_a_slot_of_its_own() -> None:
    slots, places = cell_slots(line("a b", 2, 10), 1, 1)
    assert slots[0, 0, :3].tolist() == classes("a b")
    assert places[1] is not None
    assert (places[1].slot, places[1].blank_slot) == (2, 1)


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


def test_loose_edges_move_letters_between_what_is_told_and_what_is_read() -> None:
    text = "the quick brown fox jumps"
    glyphs = line(text, 3, 10)
    slots, told = loose_slots(glyphs, 1, 8, 4, np.random.default_rng(0))
    firm, _ = cell_slots(glyphs, 1, 8)
    printed = [BLANK if char == " " else character_class(char) for char in text]
    moved = 0
    for col in range(8):
        here = [int(c) for c in slots[0, col, :PLACES_PER_LINE] if c]
        before = [int(c) for c in told[0, col, 0] if c][::-1]
        moved += here != [int(c) for c in firm[0, col, :PLACES_PER_LINE] if c]
        if col % 4 == 0:
            assert not before  # nothing is told across the edge of a crop
        run = before + here
        at = [n for n in range(len(printed)) if printed[n : n + len(run)] == run]
        assert at  # what is told and what is read follow one another as printed
    assert moved > 0


def test_loose_edges_of_tiles_follow_the_prompt_order_of_crops() -> None:
    tiled = plan_crops([ImageSize(728, 364)], policy="fill").images[0]
    glyphs = line("L", 4, 10) + line("R", 370, 40)
    slots, told = loose_image_slots(glyphs, tiled, np.random.default_rng(0))
    assert slots.shape == (3 * 169, PLACES)
    assert told.shape == (3 * 169, 2, 2)
    assert np.argwhere(slots.any(1))[:, 0].tolist() == [169, 2 * 169 + 13]
