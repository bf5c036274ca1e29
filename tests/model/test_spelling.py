"""Spelling: characters of a cell one after the other, then their codes."""

from __future__ import annotations

import pytest
import torch

from leopard.model.endings import Endings
from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.spelling import Ordinals, Spelling
from leopard.model.tiling import by_page

PLACES = 7


BLANK, STOP, COLON = 4, 5, 6
MARKS = {" ": BLANK, ".": STOP, ":": COLON}


def small_spelling(*, side: int = 2) -> Spelling:
    """Crops have `side` cells a side, each two lines of seven places; two characters repeat."""
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        image_size=28 * side,
        cell_size=16,
        lines_per_cell=2,
        places_per_line=PLACES,
        last_per_line=2,
        num_classes=6,
        code_size=3,
        column_size=8,
        chain_size=8,
        blank_class=BLANK,
        stop_class=STOP,
    )
    return Spelling(config).eval()


def test_characters_of_columns_move_up_into_slots_and_the_last_ones_are_named_again() -> None:
    said = torch.tensor([[0, 3, 0, 0, 5, 1, 0], [0, 0, 0, 0, 0, 0, 2]])
    shares = torch.full((1, 4, 2, PLACES, 6), 0.05)
    shares[..., 0] = 0.75  # nothing, but where a character is said
    for line, column in said.nonzero().tolist():
        shares[0, 2, line, column, [0, said[line, column]]] = torch.tensor([0.05, 0.75])
    gaps = torch.zeros(1, 4, 2, PLACES, dtype=torch.long)
    gaps[0, 2, 0, 4] = 2
    slots, wide = small_spelling().gather(shares, gaps)
    assert wide.nonzero().tolist() == [[0, 2, 1]]  # moved up with what stands there
    assert int(wide[0, 2, 1]) == 2
    assert slots.shape == (1, 4, 2 * (PLACES + 2), 6)
    lines, last = slots[0, 2, : 2 * PLACES].view(2, PLACES, 6), slots[0, 2, 2 * PLACES :]
    assert lines.argmax(-1).tolist() == [[3, 5, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]]
    assert last.argmax(-1).view(2, 2).tolist() == [[1, 5], [2, 0]]
    torch.testing.assert_close(lines[0, 1], shares[0, 2, 0, 4])  # shares as they were
    assert not lines[0, 3:].any()
    assert not slots[0, [0, 1, 3]].any()


def test_lines_of_crops_are_read_into_the_slots_of_their_cells() -> None:
    spelling = small_spelling()
    cells, conv_map = torch.randn(3, 4, 16), torch.randn(3, 64, 14, 14)
    with torch.no_grad():
        spelling.transcriber.alone.weight *= 20
        seen = spelling.transcriber.see(cells, conv_map)
        said = spelling.transcriber.read(seen.flatten(0, 2)).argmax(-1).view(3, 2, 2, 2, PLACES)
        slots = spelling.read(cells, conv_map)[0].argmax(-1)
    filled = 0
    for crop, row, line, col in torch.cartesian_prod(
        torch.arange(3), torch.arange(2), torch.arange(2), torch.arange(2)
    ).tolist():
        read = [c for c in said[crop, row, line, col].tolist() if c]
        slot = slots[crop, 2 * row + col, line * PLACES : (line + 1) * PLACES].tolist()
        assert slot in (read + [0] * (PLACES - len(read)), [0] * PLACES)  # or left out: read twice
        filled += slot[0] > 0
    assert filled > 6


def test_of_two_lines_that_read_the_same_print_the_less_sure_is_left_out() -> None:
    spelling = small_spelling(side=3)
    said = torch.zeros(1, 9, 2, PLACES, dtype=torch.long)
    said[0, :3, 1, :3] = torch.tensor([[1, 2, 3], [2, 2, 1], [4, 1, 0]])  # first row, lower line
    said[0, 3:6, 0, :3] = torch.tensor([[1, 2, 4], [2, 1, 0], [4, 1, 0]])  # and the line below it
    said[0, 6:, 0, :3] = torch.tensor([[5, 5, 1], [1, 0, 0], [2, 3, 0]])
    sure = torch.full((1, 9, 2), 0.9)
    sure[0, 3:6] = 0.6
    kept = spelling._once(said, sure)
    assert kept[0, :3].all()
    assert not kept[0, 3:6, 0].any()
    assert kept[0, 6:].all()
    assert spelling._once(said, torch.full((1, 9, 2), 0.99)).all()  # both are believed


def test_lines_with_the_same_leaders_are_not_the_same_print() -> None:
    spelling = small_spelling(side=3)
    said = torch.zeros(1, 9, 2, PLACES, dtype=torch.long)
    said[0, :3, :, :3] = 5  # leaders, three in each cell of both lines,
    said[0, 2, 0, :3] = torch.tensor([1, 2, 3])  # then text that differs
    said[0, 2, 1, :3] = torch.tensor([4, 4, 1])
    assert spelling._once(said, torch.full((1, 9, 2), 0.9)).all()
    said[0, :2, :, 0] = 2  # the same in cells with text
    assert not spelling._once(said, torch.full((1, 9, 2), 0.9)).all()


def test_a_character_that_is_half_another_is_the_likelier_one() -> None:
    spelling = small_spelling(side=3)
    torch.nn.init.normal_(spelling.codes)
    shares = torch.rand(1, 9, 18, 6, requires_grad=True)
    sure = spelling.known(shares.argmax(-1))
    torch.testing.assert_close(spelling(shares), sure)
    taught = spelling.train()(shares)
    torch.testing.assert_close(taught, sure)
    taught.square().sum().backward()
    assert shares.grad is not None
    assert shares.grad.any()


def row_of_slots(*cells: str) -> torch.Tensor:
    """Classes of a crop whose first row has these characters on its upper lines."""
    slots = torch.zeros(1, len(cells) ** 2, 2 * (PLACES + 2), dtype=torch.long)
    for cell, text in enumerate(cells):
        classes = [
            {" ": BLANK, ".": STOP, ":": COLON, ",": COMMA, "-": DASH}.get(char)
            or 1 + ord(char) % 3
            for char in text
        ]
        slots[0, cell, : len(text)] = torch.tensor(classes)
        for back, number in enumerate(classes[:-3:-1]):
            slots[0, cell, 2 * PLACES + back] = number
    return slots


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (("abc.", "", ""), [(0, 3)]),
        (("abc", ". de", ""), [(1, 0)]),
        (("ab. a.", "cd.", " e."), [(0, 2), (1, 2)]),  # initials go on
        (("ab.c", "a.b.", ""), []),
        (("", ".ab", ""), []),
    ],
)
def test_reading_out_ends_before_the_stop_of_a_sentence(
    cells: tuple[str, ...], found: list[tuple[int, int]]
) -> None:
    spelling, slots = small_spelling(side=3), row_of_slots(*cells)
    torch.nn.init.normal_(spelling.codes)
    ends = spelling.endings(slots.unflatten(1, (3, 3)))[0].flatten(0, 1)
    assert [tuple(at) for at in ends.nonzero().tolist()] == found
    codes = spelling.known(slots)[0, :, : 2 * PLACES * 3].unflatten(-1, (-1, 3))
    is_coded = codes.abs().sum(-1) > 0
    expected = slots[0, :, : 2 * PLACES] > 0
    for cell, slot in found:
        expected[cell, slot] = False
    assert torch.equal(is_coded, expected)


COMMA, DASH = 7, 8


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (("5, ab: ", "c, ab", ": cc"), [(0, 1), (1, 1)]),
        (("a, b, c", ": b", ""), [(0, 4)]),  # only before the item that has the label
        (("5", ", ab:", ""), [(1, 0)]),
        (("5, ab", "", "c: d"), []),  # an empty cell parts them
        (("5, ab.", " c: d", ""), [(0, 5)]),  # the label is in the next sentence
        (("5, ab:c", "", ""), []),  # no label: 12, 11:45
        (("5 - ab:", " c", ""), [(0, 2)]),
        (("5-ab: c", "", ""), []),  # a dash within a word
        (("5, ab", "", ""), []),
    ],
)
def test_reading_out_ends_before_the_next_item_with_a_label(
    cells: tuple[str, ...], found: list[tuple[int, int]]
) -> None:
    config = LeopardReaderConfig(
        lines_per_cell=2,
        places_per_line=PLACES,
        last_per_line=2,
        blank_class=BLANK,
        colon_class=COLON,
        stop_class=STOP,
        comma_classes=[COMMA],
        dash_classes=[DASH],
    )
    ends = Endings(config)(row_of_slots(*cells).unflatten(1, (3, 3)))[0].flatten(0, 1)
    assert [tuple(at) for at in ends.nonzero().tolist()] == found
    config.comma_classes, config.dash_classes = [], []
    without = Endings(config)(row_of_slots(*cells).unflatten(1, (3, 3)))[0].flatten(0, 1)
    of_items = [at for at in found if cells[at[0]][at[1]] != "."]
    assert [tuple(at) for at in without.nonzero().tolist()] == [
        at for at in found if at not in of_items
    ]


WAVES = (1.0, 0.3)


def told(*texts: str) -> dict[str, torch.Tensor]:
    """Ordinals of the first row of a page, by what they say, in waves or as marks.

    Args:
        *texts: Of each cell of its upper lines, a tile for every three.
    """
    config = LeopardReaderConfig(
        image_size=3 * 4 * PLACES,
        patch_size=4 * PLACES,
        lines_per_cell=2,
        places_per_line=PLACES,
        last_per_line=2,
        num_classes=7,
        code_size=3,
        blank_class=BLANK,
        colon_class=COLON,
        ordinal_waves=WAVES,
    )
    tiles = [row_of_slots(*texts[at : at + 3]) for at in range(0, len(texts), 3)]
    cells = torch.cat([row_of_slots("", "", ""), *tiles]).unflatten(1, (3, 3))
    found = by_page(Ordinals(config), cells, grids=[(1, len(tiles))])[1:, 0].flatten(0, 1)
    first, begun, run, begins = found.split((8, 8, 2, 2), -1)
    return {"first": first[:, :4], "begun": begun[:, :4], "run": run[:, 0], "begins": begins[:, 0]}


def waves(*ordinals: int) -> torch.Tensor:
    angles = torch.tensor(ordinals)[:, None] * torch.tensor(WAVES)
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(1)


def test_places_are_counted_along_a_row_of_tiles_and_gaps_count_too() -> None:
    found = told("abc", "ab", "", "a", "", "abc")
    torch.testing.assert_close(found["first"], waves(0, 3, 5, 8, 9, 12))
    assert not found["run"].any()  # nothing reaches the edge of the first tile
    found = told("", "", "abc", "ab", "c", "", "", "", "")
    torch.testing.assert_close(found["first"][2:5], waves(6, 9, 11))
    assert found["run"].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_a_word_that_goes_on_in_the_next_tile_does_not_begin_there() -> None:
    assert told("", "", "abc", "ab", "", "")["begins"].tolist() == [0, 0, 1, 0, 0, 0]
    assert told("", "", "abc", " ab", "", "")["begins"].tolist() == [0, 0, 1, 1, 0, 0]
    assert told("", "", "", "ab", "", "")["begins"].tolist() == [0, 0, 0, 1, 0, 0]


def test_a_value_is_told_by_its_first_word_and_begins_behind_a_colon() -> None:
    found = told("abc", "", "a b")
    torch.testing.assert_close(found["begun"][2:3], waves(6))
    assert not found["begun"][1].any()
    assert found["begins"].tolist() == [1, 0, 1]
    torch.testing.assert_close(told("abc", "", ": b")["begun"][2:3], waves(8))
    torch.testing.assert_close(told("abc", "a b", "")["begun"][1:2], waves(5))  # goes on before


def test_gaps_of_a_table_are_told_from_blanks_between_words() -> None:
    text = "ab cd   x   ef"  # a column each; wide characters make wide blanks
    said = [{" ": 0}.get(char, 1) for char in text]
    said[2] = said[6] = said[10] = BLANK
    far = [part for one in said for part in (one, 0)]
    spelling, width = small_spelling(), len(far)
    lines = torch.tensor([said + [0] * (width - len(said)), far])
    assert spelling._gaps(lines).nonzero().tolist() == [[0, 6], [0, 10], [1, 12], [1, 20]]
    assert not spelling._gaps(torch.zeros(1, width, dtype=torch.long)).any()
    assert not spelling._gaps(torch.full((1, width), BLANK)).any()
