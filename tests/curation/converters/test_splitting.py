"""Cuts: no row, column or line of pixels is lost or doubled, and no cell is cut through."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from leopard.curation.converters.splitting import (
    num_carried_rows,
    row_cuts,
    split_columns,
    split_in_two,
    split_long,
    split_rows,
    strips,
)
from leopard.documents.html_tables import cells_from_html
from leopard.documents.tables import Cell, cells_from_rows


def numbered(rows: int, columns: int = 3) -> list[list[Cell]]:
    head = [f"h{c}" for c in range(columns)]
    return cells_from_rows([head, *([f"{r}.{c}" for c in range(columns)] for r in range(rows))])


def texts(cells: list[list[Cell]]) -> list[list[str]]:
    return [[cell.text for cell in row] for row in cells]


def test_every_part_carries_the_header_and_the_rows_stay_in_order() -> None:
    parts = split_rows(numbered(5), [2, 4])
    assert [texts(part)[0] for part in parts] == [["h0", "h1", "h2"]] * 3
    assert [row[0] for part in parts for row in texts(part)[1:]] == [f"{r}.0" for r in range(5)]


def test_column_parts_both_carry_the_first_column() -> None:
    left, right = split_columns(numbered(2, 4), 2)
    assert texts(left) == [["h0", "h1"], ["0.0", "0.1"], ["1.0", "1.1"]]
    assert texts(right) == [["h0", "h2", "h3"], ["0.0", "0.2", "0.3"], ["1.0", "1.2", "1.3"]]


def test_no_cut_goes_through_a_cell() -> None:
    html = (
        "<table><tr><th rowspan=2>Name</th><th colspan=2>Years</th></tr>"
        "<tr><th>2018</th><th>2019</th></tr>"
        "<tr><td rowspan=2>A</td><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr>"
        "<tr><td>B</td><td>5</td><td>6</td></tr></table>"
    )
    cells = cells_from_html(html)
    assert num_carried_rows(cells) == 2
    assert row_cuts(cells) == [4]


def test_a_header_that_spans_into_the_body_carries_those_rows() -> None:
    html = (
        "<table><tr><td rowspan=3>x</td><td>a</td></tr><tr><td>b</td></tr><tr><td>c</td></tr>"
        "<tr><td>d</td><td>e</td></tr></table>"
    )
    assert num_carried_rows(cells_from_html(html)) == 3


def test_long_tables_are_cut_into_parts_of_at_most_so_many_rows() -> None:
    parts = split_long(numbered(45), 20)
    assert [len(part) - 1 for part in parts] == [20, 20, 5]
    assert [row[0] for part in parts for row in texts(part)[1:]] == [f"{r}.0" for r in range(45)]
    assert len(split_long(numbered(20), 20)) == 1


def test_tables_are_cut_between_rows_and_between_columns() -> None:
    ways = set()
    for seed in range(30):
        parts = split_in_two(numbered(4, 4), Random(seed))
        assert parts is not None
        assert len(parts) == 2
        ways.add("rows" if len(parts[0][0]) == 4 else "columns")
        seen = {text for part in parts for row in texts(part) for text in row}
        assert seen == {text for row in texts(numbered(4, 4)) for text in row}
    assert ways == {"rows", "columns"}
    assert split_in_two(numbered(1, 2), Random(0)) is None


@pytest.mark.parametrize("height", [60, 140, 300, 900, 5000])
def test_strips_cover_every_row_of_pixels_once(height: int) -> None:
    image = PIL.Image.new("RGB", (100, height), "white")
    found = strips(image)
    assert 1 <= len(found) <= 5
    assert (found[0].top, found[-1].bottom) == (0, height)
    assert all(a.bottom == b.top for a, b in pairwise(found))
    assert all(piece.top < piece.bottom for piece in found)


def test_strips_do_not_cut_through_lines_of_text() -> None:
    image = PIL.Image.new("RGB", (200, 1400), "white")
    draw = PIL.ImageDraw.Draw(image)
    for top in range(0, 1400, 24):
        draw.text((5, top), "some words on a line", fill="black")
    grey = np.asarray(image.convert("L"))
    found = strips(image)
    assert len(found) == 5
    for piece in found[1:]:
        assert np.ptp(grey[piece.top]) == 0
