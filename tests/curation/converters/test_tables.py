"""Tables of records as pictures: spans are kept, looks vary, nothing is cut off silently."""

from __future__ import annotations

import io
import json
from random import Random

import PIL.Image
import pytest

from leopard.curation.converters.drafts import pixel_image
from leopard.curation.converters.tables import (
    MAX_CELLS,
    frame_cells,
    html_cells,
    markdown_tables,
    table_picture,
    table_style,
    text_pictures,
)
from leopard.curation.imports import BadRecordError
from leopard.documents.tables import Cell, cells_from_rows

pytest.importorskip("typst")
SPANS = (
    "<table><tr><td rowspan='2'>Item</td><td colspan='2'>Years</td></tr>"
    "<tr><td>2018</td><td>2019</td></tr><tr><td>Revenue</td><td>10</td><td>12</td></tr></table>"
)


def test_spans_of_html_are_kept() -> None:
    cells = html_cells(SPANS)
    assert cells[0] == [Cell("Item", rows=2), Cell("Years", cols=2)]
    assert [cell.text for cell in cells[1]] == ["2018", "2019"]


def test_a_spanning_cell_is_drawn_once_over_its_columns() -> None:
    style = table_style(Random(1))
    spanned = pixel_image(table_picture(html_cells(SPANS), style, "a.png"))
    flat = [["Item", "Years", "Years"], ["Item", "2018", "2019"], ["Revenue", "10", "12"]]
    repeated = pixel_image(table_picture(cells_from_rows(flat), style, "a.png"))
    assert spanned.height == repeated.height
    assert spanned.width <= repeated.width
    assert spanned.data != repeated.data


def test_looks_vary_and_hang_on_the_stream_alone() -> None:
    looks = [table_style(Random(seed)) for seed in range(40)]
    assert looks == [table_style(Random(seed)) for seed in range(40)]
    for part in ("fonts", "size_pt", "dpi", "margin_pt", "rules", "header_fill"):
        assert len({getattr(look, part) for look in looks}) > 1, part
    cells = html_cells(SPANS)
    pictures = {pixel_image(table_picture(cells, look, "a.png")).data for look in looks[:8]}
    assert len(pictures) >= 6


def test_a_title_makes_the_picture_taller() -> None:
    style = table_style(Random(1))
    plain, titled = (
        pixel_image(table_picture(html_cells(SPANS), style, "a.png", title))
        for title in ("", "head")
    )
    assert titled.height > plain.height


def test_data_is_never_read_as_markup() -> None:
    nasty = ["#panic()", "$x$", "*a*", "// gone", "-5", '"q"', "<a>", "@b", "\\", "`c`"]
    table = cells_from_rows([["a", "b"], *([text, "1"] for text in nasty)])
    made = pixel_image(table_picture(table, table_style(Random(1)), "a.png"))
    with PIL.Image.open(io.BytesIO(made.data)) as image:
        assert image.height > 10 * len(nasty)


def test_empty_and_huge_tables_are_refused() -> None:
    style = table_style(Random(1))
    with pytest.raises(BadRecordError, match="a table is empty"):
        table_picture([], style, "a.png")
    with pytest.raises(BadRecordError, match="more than 4000 cells"):
        table_picture([[Cell("x")]] * (MAX_CELLS + 1), style, "a.png")
    for nothing in ("<p>no table</p>", "<table></table>"):
        with pytest.raises(BadRecordError, match="a table is empty"):
            html_cells(nothing)
    with pytest.raises(BadRecordError, match="not HTML"):
        html_cells(5)


def test_pandas_tables_are_read() -> None:
    frame = {"columns": ["id", "names"], "index": [0, 1], "data": [[1.0, ["a", "b"]], [2.5, None]]}
    for written in (json.dumps(frame), str(frame), frame):
        cells = frame_cells(written)
        assert [[cell.text for cell in row] for row in cells] == [
            ["id", "names"],
            ["1", "a, b"],
            ["2.5", ""],
        ]
        assert all(cell.is_header for cell in cells[0])
    with pytest.raises(BadRecordError, match="differ in length"):
        frame_cells({"columns": ["a", "b"], "data": [[1]]})
    with pytest.raises(BadRecordError, match="split orientation"):
        frame_cells({"a": {"0": 1}})


def test_markdown_tables_are_found_in_text() -> None:
    written = "|No|Town|\n|---|:-:|\n|1|A\\|B|\n|2|"
    found = markdown_tables(f"Look:\n{written}\nand a | b | c\n|no|\n|table|\n")
    assert [block for block, _ in found] == [written]
    rows = [[cell.text for cell in row] for row in found[0][1]]
    assert rows == [["No", "Town"], ["1", "A|B"], ["2", ""]]


def test_paragraphs_go_on_as_many_pages_as_they_need() -> None:
    style = table_style(Random(1))
    short = text_pictures(["One line."], style, "u")
    long = text_pictures(["Many words of a long report. " * 60] * 12, style, "u")
    assert [page.name for page in short] == ["u_text1.png"]
    assert len(long) > 1
    assert len({page.load() for page in long}) == len(long)
