"""HTML tables read into cells, row and column spans included. Knows nothing of typesetting."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from leopard.documents.tables import MAX_SPAN, SOURCE, Cell
from leopard.errors import DocumentFormatError

_SPAN_DIGITS = 9
"""Digits of a span that are read; Python refuses numbers of thousands of digits."""
_VOID = {"br", "hr"}
_HIDDEN = {"script", "style", "caption", "template"}


@dataclass(slots=True)
class _OpenCell:
    rows: int
    cols: int
    is_header: bool
    text: list[str] = field(default_factory=list)


class _TableReader(HTMLParser):
    """Collects the cells of the first table; tables inside cells add their text only."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[Cell]] = []
        self._cell: _OpenCell | None = None
        self._depth = 0
        self._hidden = 0
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._depth += 1
        elif tag in _HIDDEN:
            self._hidden += 1
        elif tag in _VOID and self._cell:
            self._cell.text.append(" ")
        elif self._depth == 1 and not self._done:
            self._open(tag, dict(attrs))

    def _open(self, tag: str, attrs: dict[str, str | None]) -> None:
        if tag == "tr":
            self._close_cell()
            self.rows.append([])
        elif tag in ("td", "th"):
            self._close_cell()
            if not self.rows:
                self.rows.append([])
            self._cell = _OpenCell(
                _span(attrs.get("rowspan")), _span(attrs.get("colspan")), tag == "th"
            )

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._depth:
            self._depth -= 1
            if not self._depth:
                self._close_cell()
                self._done = True
        elif tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        elif tag in ("td", "th", "tr") and self._depth == 1:
            self._close_cell()

    def handle_data(self, data: str) -> None:
        if self._cell and not self._hidden:
            self._cell.text.append(data)

    def _close_cell(self) -> None:
        if self._cell:
            cell = self._cell
            text = " ".join("".join(cell.text).split())
            self.rows[-1].append(Cell(text, cell.rows, cell.cols, cell.is_header))
            self._cell = None


def _span(value: str | None) -> int:
    # HTML 5: rowspan 0 means "to the end"; a large number is clipped to the same effect.
    digits = (value or "").strip()
    if not (digits.isascii() and digits.isdecimal()):
        return 1
    return min(int(digits[:_SPAN_DIGITS]) or MAX_SPAN, MAX_SPAN)


def cells_from_html(html: str) -> list[list[Cell]]:
    """Read the first table of an HTML text, row and column spans included.

    Raises:
        DocumentFormatError: If there is no table with a cell.
    """
    reader = _TableReader()
    reader.feed(html)
    reader.close()
    rows = [row for row in reader.rows if row]
    if not rows:
        raise DocumentFormatError(
            "the HTML holds no table with cells", source=SOURCE, remedy="pass the <table> element"
        )
    return reader.rows if all(reader.rows) else rows
