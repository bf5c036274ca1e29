"""Tables and paragraphs set as pages, pictures or PDF.

Typst does the typesetting; texts travel as data, so nothing in a cell is ever read as markup.
Typst is imported on first use. Knows nothing of questions, benchmarks or PDF files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from leopard.errors import DocumentFormatError, HelperMissingError

if TYPE_CHECKING:
    from PIL.Image import Image

Align = Literal["left", "center", "right"]
SOURCE = "rendered table"
MAX_SPAN = 1000
"""Largest row or column span that is believed (as in HTML 5)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    rows: int = 1
    """Rows it spans."""
    cols: int = 1
    """Columns it spans."""
    is_header: bool = False
    align: Align | None = None
    """None lets numbers go right and texts left."""


Cells = Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table among other blocks of a page."""

    cells: Cells
    title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableStyle:
    """How pages look; the defaults are a neutral office style."""

    fonts: tuple[str, ...] = ("Liberation Sans", "Arimo", "DejaVu Sans", "Libertinus Serif")
    """Families by preference; the last one is built into Typst."""
    size_pt: float = 10.5
    """Font size, in points."""
    dpi: float = 110.0
    """Resolution, in pixels per inch."""
    max_width_pt: float = 620.0
    """Widest page, in points; narrower tables give narrower pages."""
    max_height_pt: float = 840.0
    """Tallest page, in points; longer content goes on to further pages."""
    margin_pt: float = 18.0
    """White border of a page, in points."""
    rules: Literal["grid", "rows"] = "grid"
    """Lines around every cell, or between rows only."""
    header_fill: str = "#e8ebef"
    """Background of header cells."""


@dataclass(slots=True)
class _Placed:
    """A cell at its place in the grid, spans clipped to the table."""

    cell: Cell
    row: int
    col: int
    rows: int
    cols: int


_TEMPLATE = """
#let d = json(bytes(sys.inputs.data))
#set page(
  width: if d.width == none { auto } else { d.width * 1pt },
  height: if d.height == none { auto } else { d.height * 1pt },
  margin: d.margin * 1pt,
)
#set text(font: d.fonts, size: d.size * 1pt, hyphenate: false)
#set par(leading: 0.55em, spacing: 0.9em)
#let rule = 0.6pt + rgb("#5b6470")
#let grid_cell(c) = table.cell(
  x: c.x, y: c.y, colspan: c.colspan, rowspan: c.rowspan,
  align: (if c.align == "right" { right } else if c.align == "center" { center }
    else { left }) + horizon,
  fill: if c.header { rgb(d.header_fill) } else { none },
  if c.header { strong(c.text) } else { c.text },
)
#let draw(t) = {
  if t.title != "" { strong(t.title); parbreak() }
  let header = t.cells.filter(c => c.y < t.header_rows).map(grid_cell)
  let body = t.cells.filter(c => c.y >= t.header_rows).map(grid_cell)
  table(
    columns: t.columns,
    inset: (x: 5pt, y: 4pt),
    stroke: if d.rules == "grid" { rule } else { (y: rule) },
    ..if header.len() > 0 { (table.header(..header),) } else { () },
    ..body,
  )
}
#for b in d.blocks {
  if type(b) == str { par(b) } else { draw(b) }
}
"""


def render_table(cells: Cells, *, style: TableStyle | None = None, title: str = "") -> Image:
    """Draw one table as one picture, however tall it gets.

    Args:
        cells: Rows of cells; a cell lies where the cells before it and the spans from above leave
            room, as in HTML.
        style: Look of the page.
        title: Line above the table.

    Returns:
        An RGB picture.

    Raises:
        DocumentFormatError: If there is no cell.
        HelperMissingError: If Typst is not installed.
    """
    style = style or TableStyle()
    return _set([Table(cells, title)], style, height=None)[1][0]


def render_pages(blocks: Sequence[str | Table], *, style: TableStyle | None = None) -> list[Image]:
    """Draw paragraphs and tables below each other, on as many pages as they need.

    Args:
        blocks: Paragraphs as texts, and tables; header rows repeat where a table is broken.
        style: Look of the pages; a page is as small as its content lets it be.

    Returns:
        RGB pictures in reading order, at least one.

    Raises:
        DocumentFormatError: If a table has no cell, or there is no block.
        HelperMissingError: If Typst is not installed.
    """
    return _set_in_pages(blocks, style or TableStyle())[1]


def render_pdf(blocks: Sequence[str | Table], *, style: TableStyle | None = None) -> bytes:
    """The pages of `render_pages` as a PDF file, to be drawn at any resolution.

    Args:
        blocks: Paragraphs as texts, and tables.
        style: Look of the pages.

    Raises:
        DocumentFormatError: If a table has no cell, or there is no block.
        HelperMissingError: If Typst is not installed.
    """
    data, _ = _set_in_pages(blocks, style or TableStyle())
    return _compile(data, "pdf")[0]


_Set = tuple[dict[str, Any], list["Image"]]
"""What the template is given, and the pages that come of it."""


def _set_in_pages(blocks: Sequence[str | Table], style: TableStyle) -> _Set:
    data, pages = _set(blocks, style, height=None)
    if pages[0].height > style.max_height_pt * style.dpi / 72:
        return _set(blocks, style, height=style.max_height_pt)
    return data, pages


def _set(blocks: Sequence[str | Table], style: TableStyle, *, height: float | None) -> _Set:
    data: dict[str, Any] = {
        "width": None,
        "height": height,
        "margin": style.margin_pt,
        "fonts": list(style.fonts),
        "size": style.size_pt,
        "rules": style.rules,
        "header_fill": style.header_fill,
        "blocks": [b if isinstance(b, str) else _table_data(b) for b in blocks],
    }
    has_text = any(isinstance(block, str) for block in blocks)
    if not blocks:
        raise _nothing("there is nothing to draw")
    if has_text or height is not None:
        data["width"] = style.max_width_pt
    pages = _drawn(data, style.dpi)
    if data["width"] is None and pages[0].width > style.max_width_pt * style.dpi / 72:
        data["width"] = style.max_width_pt
        pages = _drawn(data, style.dpi)
    return data, pages


def _drawn(data: dict[str, Any], dpi: float) -> list[Image]:
    import PIL.Image

    files = _compile(data, "png", ppi=dpi)
    return [PIL.Image.open(io.BytesIO(file)).convert("RGB") for file in files]


def _compile(data: dict[str, Any], format_: str, **options: float) -> list[bytes]:
    typst = _typst()
    inputs = {"data": json.dumps(data)}
    try:
        made = typst.compile(_TEMPLATE.encode(), format=format_, sys_inputs=inputs, **options)
    except (RuntimeError, ValueError) as error:
        raise DocumentFormatError(
            f"Typst cannot draw it ({error})", source=SOURCE, remedy="check texts and spans"
        ) from error
    return made if isinstance(made, list) else [made]


def _typst() -> Any:
    try:
        import typst
    except ModuleNotFoundError as error:
        raise HelperMissingError(
            "drawing tables needs Typst", source=SOURCE, remedy="run: pip install typst"
        ) from error
    return typst


def _nothing(cause: str) -> DocumentFormatError:
    return DocumentFormatError(cause, source=SOURCE, remedy="give at least one cell or paragraph")


def _table_data(table: Table) -> dict[str, Any]:
    placed, columns = _place(table.cells)
    if not placed:
        raise _nothing("the table has no cell")
    return {
        "title": table.title,
        "columns": columns,
        "header_rows": _num_header_rows(placed),
        "cells": [
            {
                "x": item.col,
                "y": item.row,
                "colspan": item.cols,
                "rowspan": item.rows,
                "align": item.cell.align or _natural_align(item),
                "header": item.cell.is_header,
                "text": item.cell.text,
            }
            for item in placed
        ],
    }


def _natural_align(item: _Placed) -> Align:
    if item.cell.is_header:
        return "center" if item.cols > 1 else "left"
    bare = item.cell.text.strip().strip("$€£%()+- ").replace(",", "").replace(".", "", 1)
    return "right" if bare.isdigit() else "left"


def _place(cells: Cells) -> tuple[list[_Placed], int]:
    """Lay cells out as HTML does: each takes the next free place of its row."""
    taken: set[tuple[int, int]] = set()
    placed = []
    for row, line in enumerate(cells):
        col = 0
        for cell in line:
            while (row, col) in taken:
                col += 1
            rows = min(max(cell.rows, 1), len(cells) - row)
            cols = _free_columns(taken, row, col, min(max(cell.cols, 1), MAX_SPAN))
            placed.append(_Placed(cell, row, col, rows, cols))
            taken.update((r, c) for r in range(row, row + rows) for c in range(col, col + cols))
            col += cols
    # A column in which no cell begins would be empty: spans that reach too far are cut there.
    columns = max((item.col for item in placed), default=-1) + 1
    for item in placed:
        item.cols = min(item.cols, columns - item.col)
    return placed, columns


def _free_columns(taken: set[tuple[int, int]], row: int, col: int, wanted: int) -> int:
    """How far a cell may reach before it would cover one that spans down from above."""
    return next((n for n in range(1, wanted) if (row, col + n) in taken), wanted)


def _num_header_rows(placed: Sequence[_Placed]) -> int:
    """Leading rows made of header cells only, whole spans included; the body keeps one row."""
    num_rows = max(item.row + item.rows for item in placed)
    count = 0
    while count < num_rows:
        line = [item for item in placed if item.row <= count < item.row + item.rows]
        if not line or not all(item.cell.is_header for item in line):
            break
        count += 1
    cut = any(item.row < count < item.row + item.rows for item in placed)
    return 0 if cut or count == num_rows else count


def cells_from_rows(rows: Sequence[Sequence[str]], *, num_header_rows: int = 1) -> list[list[Cell]]:
    """Cells without spans from plain rows of texts; the first rows are headers."""
    return [
        [Cell(str(text), is_header=index < num_header_rows) for text in row]
        for index, row in enumerate(rows)
    ]
