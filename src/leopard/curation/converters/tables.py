"""Tables of records as pictures, in styles that vary with the record.

The drawing is `leopard.documents.tables`; here are the styles (the Leopard paper, section A.3,
varies them too) and the readers of table texts. Knows nothing of sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from leopard.curation.converters.drafts import Picture
from leopard.curation.converters.fields import literal
from leopard.curation.converters.splitting import Rows
from leopard.curation.imports import BadRecordError
from leopard.documents.html_tables import cells_from_html
from leopard.documents.tables import (
    Cell,
    Table,
    TableStyle,
    cells_from_rows,
    render_pages,
    render_table,
)
from leopard.errors import DocumentError
from leopard.schema.pixels import png_bytes

MAX_ROWS = 20
"""Most body rows of one picture; the paper drops longer tables, we go on in another picture."""
MAX_CELLS = 4000
"""Most cells of a table."""
_FONTS = (
    ("Liberation Sans", "Arimo"),
    ("DejaVu Sans",),
    ("Liberation Serif", "Libertinus Serif"),
    ("DejaVu Serif",),
    ("Lato",),
    ("Carlito",),
    ("Caladea",),
    ("Liberation Mono",),
)
_FALLBACK = ("Liberation Sans", "DejaVu Sans", "Libertinus Serif")
_HEADER_FILLS = (
    "#e8ebef", "#dbe7f5", "#fde9d0", "#e3f1df", "#f3e1ee", "#fff6cc", "#d9d9d9", "#ffffff",
)  # fmt: skip


def table_style(rng: Random) -> TableStyle:
    """A look of tables drawn at random."""
    return TableStyle(
        fonts=(*rng.choice(_FONTS), *_FALLBACK),
        size_pt=rng.choice((9.0, 10.0, 10.5, 11.0, 12.0)),
        dpi=rng.choice((96.0, 110.0, 125.0, 144.0)),
        margin_pt=rng.choice((8.0, 14.0, 18.0, 26.0)),
        rules="grid" if rng.random() < 0.6 else "rows",
        header_fill=rng.choice(_HEADER_FILLS),
    )


def table_picture(cells: Rows, style: TableStyle, name: str, title: str = "") -> Picture:
    """A table as a picture that is drawn when it is needed.

    Raises:
        BadRecordError: If it has no or too many cells.
    """
    count = sum(len(row) for row in cells)
    if count == 0:
        raise BadRecordError("a table is empty")
    if count > MAX_CELLS:
        raise BadRecordError(f"a table has more than {MAX_CELLS} cells")
    return Picture(name=name, load=partial(_draw_table, cells, style, title))


def text_pictures(paragraphs: Sequence[str], style: TableStyle, name: str) -> tuple[Picture, ...]:
    """Paragraphs on as many pages as they need, drawn at once.

    Raises:
        BadRecordError: If they cannot be drawn.
    """
    try:
        pages = render_pages(list[str | Table](paragraphs), style=style)
    except DocumentError as error:
        raise BadRecordError("paragraphs cannot be drawn") from error
    files = [png_bytes(page) for page in pages]
    return tuple(
        Picture(name=f"{name}_text{number}.png", load=partial(bytes, file))
        for number, file in enumerate(files, start=1)
    )


def _draw_table(cells: Rows, style: TableStyle, title: str) -> bytes:
    try:
        return png_bytes(render_table(cells, style=style, title=title))
    except DocumentError as error:
        raise BadRecordError("a table cannot be drawn") from error


def html_cells(html: Any) -> list[list[Cell]]:
    """Cells of an HTML table, row and column spans as written.

    Raises:
        BadRecordError: If there is none.
    """
    if not isinstance(html, str):
        raise BadRecordError("a table is not HTML")
    try:
        return cells_from_html(html)
    except DocumentError as error:
        raise BadRecordError("a table is empty") from error


def frame_cells(frame: Any) -> list[list[Cell]]:
    """Cells of a pandas table in `split` orientation: `{"columns": [...], "data": [[...]]}`.

    Raises:
        BadRecordError: If it is another shape.
    """
    table = literal(frame)
    if not isinstance(table, Mapping) or not {"columns", "data"} <= set(table):
        raise BadRecordError("a table is not in split orientation")
    columns = [_cell_text(name) for name in table["columns"]]
    rows = [[_cell_text(value) for value in row] for row in table["data"]]
    if not columns or any(len(row) != len(columns) for row in rows):
        raise BadRecordError("rows of a table differ in length")
    return cells_from_rows([columns, *rows])


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_MARKDOWN_LINE = re.compile(r"^\s*\|.*\|\s*$")
_MARKDOWN_RULE = re.compile(r"^\s*\|(\s*:?-+:?\s*\|)+\s*$")


def markdown_tables(text: str) -> list[tuple[str, list[list[Cell]]]]:
    """Tables in Markdown: each as it is written, and its cells."""
    found = []
    block: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _MARKDOWN_LINE.match(line):
            block.append(line)
            continue
        if len(block) >= 2 and _MARKDOWN_RULE.match(block[1]):
            rows = [_markdown_row(row) for row in (block[0], *block[2:])]
            width = len(rows[0])
            even = [(row + [""] * width)[:width] for row in rows]
            found.append(("\n".join(block), cells_from_rows(even)))
        block = []
    return found


def _markdown_row(line: str) -> list[str]:
    inner = line.strip()[1:-1]
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", inner)]
