"""What stands around the lines of a page: each kind of bag by itself, and across tiles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.surroundings import BAGS, FADING, MARKS, NEAR, SHORT, LetterTriples, Surroundings

SIDE, LINES, PLACES, LAST = 6, 2, 4, 2
BLANK, COLON, STOP = 30, 29, 28
CODES = torch.randn(30, 8, generator=torch.Generator().manual_seed(3))


def surroundings(*bags: str) -> Surroundings:
    """With nothing but these bags, as they are."""
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        image_size=4 * PLACES * SIDE,
        lines_per_cell=LINES,
        patch_size=4 * PLACES,
        places_per_line=PLACES,
        last_per_line=LAST,
        num_classes=31,
        around_size=32,
        triple_rows=4096,
        code_size=8,
        triple_units=24,
        around_units=4,
        blank_class=BLANK,
        colon_class=COLON,
        stop_class=STOP,
    )
    made = Surroundings(config).eval()
    with torch.no_grad():
        made.fold.weight.zero_()
        made.gates.weight.zero_()
        made.gates.bias.zero_()
        for name, mix in zip(BAGS, made.mix, strict=True):
            mix.copy_(torch.eye(32) * (name in bags))
    return made


def crop(texts: dict[tuple[int, int], list[int]]) -> Tensor:
    """Slots of a crop: classes that stand in a row of text from a column on, cell after cell."""
    slots = torch.zeros(1, SIDE * SIDE, LINES * (PLACES + LAST), dtype=torch.long)
    for (row, column), classes in texts.items():
        for start in range(0, len(classes), PLACES):
            part = classes[start : start + PLACES]
            cell = slots[0, row // LINES * SIDE + column + start // PLACES]
            first = row % LINES * PLACES
            cell[first : first + len(part)] = torch.tensor(part)
            ends = LINES * PLACES + row % LINES * LAST
            last = part[::-1][:LAST]
            cell[ends : ends + len(last)] = torch.tensor(last)
    return slots


@torch.no_grad()
def around(made: Surroundings, slots: Tensor, row: int, column: int) -> Tensor:
    """Of one row of text in one column."""
    found: Tensor = made(slots, CODES)[0, row // LINES, column, row % LINES]
    return found


@torch.no_grad()
def bag(made: Surroundings, classes: list[int], first: int = 0) -> Tensor:
    """What letters that stand by themselves are told as, from one of them on."""
    run = torch.tensor([BLANK, BLANK, *classes])
    rows = ((run[2:] * 131 + run[1:-1]) * 137 + run[:-2]) % made.table.num_embeddings
    codes = CODES[torch.stack([run[2:], run[1:-1], run[:-2]], 1) - 1].flatten(1)
    counted = (run[2:] != BLANK) & (torch.arange(len(classes)) >= first)
    summed = ((made.table(rows) + made.letters(codes)) * counted[:, None]).sum(0)
    return summed * (SHORT**2 + summed.square().sum()).rsqrt()


LABEL, OTHER = [1, 2, 3, 4, 5, 6], [7, 8, 9]
VALUE = [11, 12, 13]


def test_a_passage_goes_on_over_cells_and_fades_over_a_gap() -> None:
    made = surroundings("before")
    slots = crop({(2, 0): LABEL, (2, 3): VALUE})
    assert not around(made, slots, 2, 0).any()
    found = around(made, slots, 2, 3)
    torch.testing.assert_close(found, bag(made, LABEL), atol=0.02, rtol=0)
    assert FADING < 1
    assert not around(made, slots, 4, 3).any()  # where nothing stands, nothing is told


def test_what_stands_before_a_beginning_in_its_own_cell_counts() -> None:
    made = surroundings("before")
    slots = crop({(0, 1): [1, 2, BLANK, 11]})
    torch.testing.assert_close(around(made, slots, 0, 1), bag(made, [1, 2]))


def test_after_an_empty_cell_what_stood_before_it_is_no_part_of_the_passage() -> None:
    made = surroundings("before")
    slots = crop({(0, 0): OTHER, (0, 2): LABEL, (0, 4): VALUE})
    torch.testing.assert_close(around(made, slots, 0, 4), bag(made, LABEL))


def test_columns_know_what_is_under_them() -> None:
    made = surroundings("below")
    slots = crop({(2, 2): VALUE, (4, 2): LABEL, (6, 2): OTHER})
    torch.testing.assert_close(around(made, slots, 2, 2), bag(made, LABEL))
    assert not around(made, slots, 6, 2).any()


def test_columns_know_what_is_over_them() -> None:
    made = surroundings("above")
    slots = crop({(0, 2): OTHER, (2, 2): LABEL, (4, 2): VALUE})
    torch.testing.assert_close(around(made, slots, 4, 2), bag(made, LABEL))
    assert not around(made, slots, 0, 2).any()


def table(first_row: int) -> dict[tuple[int, int], list[int]]:
    """A table of two columns, the second one's head a cell to the left of its values."""
    rows = {(first_row, 0): [1], (first_row, 3): LABEL[:3]}
    for row in (first_row + 2, first_row + 4):
        rows |= {(row, 0): OTHER, (row, 4): VALUE}
    return rows


def test_the_head_of_a_column_is_the_nearest_passage_in_the_first_row_of_the_table() -> None:
    made = surroundings("top")
    slots = crop(table(2) | {(1, 1): [14, 15, 16]})  # a title over it, near by
    torch.testing.assert_close(around(made, slots, 6, 4), bag(made, LABEL[:3]))
    torch.testing.assert_close(around(made, slots, 6, 0), bag(made, [1]))
    assert not around(made, slots, 2, 3).any()  # it is the head


def test_a_table_begins_anew_after_a_gap() -> None:
    made = surroundings("top")
    slots = crop({(0, 0): OTHER, (0, 4): OTHER} | table(7))
    torch.testing.assert_close(around(made, slots, 11, 4), bag(made, LABEL[:3]))


GAP = 31


def test_passages_part_at_the_gap_between_two_columns() -> None:
    head = [1, 2, 3, 4, 5, GAP, 7, 8]  # the gap is in its second cell
    slots = crop({(0, 1): head, (2, 1): OTHER, (2, 2): VALUE})
    made = surroundings("above")
    torch.testing.assert_close(around(made, slots, 2, 1), bag(made, head[:5]))
    second = bag(made, [5, BLANK, 7, 8], first=2)
    torch.testing.assert_close(around(made, slots, 2, 2), second)
    before = surroundings("before")
    torch.testing.assert_close(around(before, slots, 0, 2), bag(before, head[:5]))


def test_a_gap_at_the_end_of_a_cell_parts_it_from_the_next() -> None:
    made = surroundings("above")
    slots = crop({(0, 1): [1, 2, 3, GAP, 7, 8], (2, 1): OTHER, (2, 2): VALUE})
    torch.testing.assert_close(around(made, slots, 2, 1), bag(made, [1, 2, 3]))
    head = surroundings("head")
    torch.testing.assert_close(around(head, slots, 0, 2), bag(head, [1, 2, 3]))


@pytest.mark.parametrize("leader", [[20] * 4, [STOP, BLANK, STOP, BLANK]])
def test_leaders_are_as_nothing(leader: list[int]) -> None:
    made = surroundings("head")
    row = {(2, 0): LABEL[:4], (2, 1): leader, (2, 2): leader, (2, 4): VALUE}
    torch.testing.assert_close(around(made, crop(row), 2, 4), bag(made, LABEL[:4]))
    del row[2, 2]  # one alone may be a part of a number
    torch.testing.assert_close(around(made, crop(row), 2, 4), bag(made, [*LABEL[:4], *leader]))


def test_rows_know_how_they_begin() -> None:
    made = surroundings("head")
    slots = crop({(4, 0): OTHER, (4, 2): LABEL, (4, 4): VALUE})
    torch.testing.assert_close(around(made, slots, 4, 4), bag(made, OTHER))
    assert not around(made, slots, 4, 0).any()


def test_the_first_rows_of_text_are_the_heading_of_those_below() -> None:
    made = surroundings("heading")
    slots = crop({(1, 0): LABEL, (6, 0): VALUE})
    torch.testing.assert_close(around(made, slots, 6, 0), bag(made, LABEL))
    assert not around(made, slots, 1, 0).any()


def test_a_line_tells_what_begins_in_it() -> None:
    made = surroundings("own")
    torch.testing.assert_close(
        around(made, crop({(3, 1): VALUE}), 3, 1), bag(made, VALUE), atol=1e-5, rtol=0
    )


def page(rows: int, columns: int, tiles: dict[int, Tensor]) -> Tensor:
    """An empty thumbnail, then tiles; those that are not given are empty."""
    empty = crop({})
    return torch.cat([empty, *(tiles.get(number, empty) for number in range(rows * columns))])


@pytest.mark.parametrize("kind", ["before", "head"])
@torch.no_grad()
def test_a_label_in_the_tile_on_the_left_is_known(kind: str) -> None:
    made = surroundings(kind)
    slots = page(1, 2, {0: crop({(4, 2): LABEL}), 1: crop({(4, 0): VALUE})})
    found = made(slots, CODES, [(1, 2)])[2, 2, 0, 0]
    torch.testing.assert_close(found, bag(made, LABEL), atol=0.02, rtol=0)
    assert not made(slots, CODES)[2, 2, 0, 0].any()  # without grids each crop stands for itself


@torch.no_grad()
def test_the_head_of_a_column_two_tiles_further_up_is_known() -> None:
    made = surroundings("top")
    rows = {(row, column): OTHER for row in range(2, 2 * SIDE, 4) for column in (0, 2)}
    heads = {(0, 0): OTHER, (0, 2): LABEL}
    last = {(2, 0): OTHER, (2, 2): VALUE}
    tiles = {1: crop({**heads, **rows}), 3: crop(rows), 5: crop(last)}
    found = made(page(3, 2, tiles), CODES, [(3, 2)])
    torch.testing.assert_close(found[6, 1, 2, 0], bag(made, LABEL), atol=0.02, rtol=0)


@torch.no_grad()
def test_pages_do_not_know_of_each_other() -> None:
    made = surroundings(*BAGS)
    tiles = {number: crop({(number, 1): LABEL, (8, 3): VALUE}) for number in range(4)}
    one, other = page(2, 2, tiles), crop({(1, 0): OTHER, (3, 0): VALUE})
    together = made(torch.cat([one, other, one]), CODES, [(2, 2), (0, 0), (2, 2)])
    parts = [made(one, CODES, [(2, 2)]), made(other, CODES), made(one, CODES, [(2, 2)])]
    torch.testing.assert_close(together, torch.cat(parts))


@torch.no_grad()
def test_a_page_has_its_heading_in_the_last_line_of_its_first_tile_alone() -> None:
    made = surroundings()
    made.heading[0].copy_(torch.eye(32))
    tiles = {number: crop({(2 * SIDE - 1, SIDE - 1): VALUE}) for number in range(4)}
    tiles[1] = crop({(0, 0): LABEL, (2 * SIDE - 1, SIDE - 1): VALUE})
    found = made(page(2, 2, tiles), CODES, [(2, 2)])[:, -1, -1, -1]
    torch.testing.assert_close(found[1], bag(made, LABEL), atol=0.03, rtol=0)
    assert not found[[0, 2, 3, 4]].any()


def test_grids_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="2 crops, but grids of 5"):
        surroundings()(torch.cat([crop({}), crop({})]), CODES, [(2, 2)])


def test_what_follows_in_a_row_is_told() -> None:
    made = surroundings("after")
    slots = crop({(4, 0): LABEL, (4, 3): VALUE, (2, 4): OTHER})
    expected = bag(made, VALUE)
    torch.testing.assert_close(around(made, slots, 4, 1), expected, atol=0.02, rtol=0)
    assert around(made, slots, 4, 3).abs().max() < 1e-4


@torch.no_grad()
def test_the_last_line_of_a_crop_tells_its_heading() -> None:
    made = surroundings()
    made.heading[0].copy_(torch.eye(32))
    made.heading[1].copy_(2 * torch.eye(32))
    rows = {(1, 0): LABEL, (3, 2): OTHER, (2 * SIDE - 1, SIDE - 1): VALUE}
    slots = crop(rows)
    told = around(made, slots, 2 * SIDE - 1, SIDE - 1)
    expected = bag(made, LABEL) + 2 * bag(made, OTHER)
    torch.testing.assert_close(told, expected, atol=0.03, rtol=0)
    other = around(made, slots, 2 * SIDE - 2, SIDE - 1)
    assert not other.any()


def test_lessons_see_the_same_as_answers() -> None:
    made = surroundings(*BAGS)
    with torch.no_grad():
        made.fold.weight.normal_()
    slots = crop({(0, 1): LABEL, (4, 0): OTHER, (4, 3): VALUE})
    torch.testing.assert_close(made.train()(slots, CODES), made.eval()(slots, CODES))


def test_a_label_near_by_and_one_in_small_print_are_told_besides() -> None:
    near = {(0, 2): LABEL, (2, 2): VALUE, (5, 2): OTHER}
    assert around(surroundings("above, nearer"), crop(near), 2, 2).any()
    assert not around(surroundings("below, nearer"), crop(near), 2, 2).any()
    small = {(0, 2): LABEL[:4], (2, 2): [11], (4, 2): [12]}
    assert around(surroundings("above, smaller"), crop(small), 2, 2).any()
    assert not around(surroundings("below, smaller"), crop(small), 2, 2).any()


@torch.no_grad()
def test_what_stands_around_decides_which_bag_counts() -> None:
    made = surroundings("before", "above")
    slots = crop({(0, 3): OTHER, (2, 0): LABEL, (2, 3): VALUE})
    alike = around(made, slots, 2, 3)
    made.gates.bias[BAGS.index("above")] = -20
    torch.testing.assert_close(
        around(made, slots, 2, 3), around(surroundings("before"), slots, 2, 3)
    )
    made.gates.weight[BAGS.index("above"), 0] = 40
    made.weigh.weight.zero_()
    made.weigh.weight[0, -1] = 1  # every line has this mark
    torch.testing.assert_close(
        around(made, slots, 2, 3) - around(surroundings("before"), slots, 2, 3),
        2 * (alike - around(surroundings("before"), slots, 2, 3)),
        atol=1e-3,
        rtol=0,
    )


def test_marks_tell_what_is_set_apart_close_below_and_going_on() -> None:
    made = surroundings()
    with torch.no_grad():
        made.marks.copy_(torch.eye(MARKS, 32))
    slots = crop({(2, 1): [1, COLON, BLANK, 11], (3, 1): [*LABEL, 7, BLANK, 9, 12]})
    first, below, going_on = (
        around(made, slots, *where)[:MARKS].tolist() for where in ((2, 1), (3, 1), (3, 3))
    )
    assert first[:3] == [0, 0, 1]
    assert below[:3] == [0, 1, 0]
    assert first[3:5] == pytest.approx([1, 1 / NEAR])
    assert below[3:5] == pytest.approx([1 / NEAR, 1])
    assert first[5:8] == pytest.approx([3 / PLACES, 0, 9 / 3 / PLACES])
    assert first[8:] == pytest.approx([2 / 12, 1 / 6, 1, 1])
    assert below[8:] == pytest.approx([3 / 12, 1 / 6, 1, 1])
    assert going_on[0] == 1
    assert going_on[10] == 0


def test_vectors_are_the_same_with_the_linear_layers_of_another_engine() -> None:
    class Other(nn.Module):
        """A linear layer that tells nothing of its sizes, as those of vLLM."""

        def __init__(self, linear: nn.Linear) -> None:
            super().__init__()
            self.apply_own = linear.forward

        def forward(self, x: Tensor) -> Tensor:
            applied: Tensor = self.apply_own(x)
            return applied

    torch.manual_seed(0)
    letters, codes = LetterTriples(4, 8, 6), torch.randn(5, 12)
    expected = letters(codes)
    for name in ("units", "fold"):
        setattr(letters, name, Other(getattr(letters, name)))
    torch.testing.assert_close(letters(codes), expected)
