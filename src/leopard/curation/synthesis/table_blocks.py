"""The ways in which documents print tables, with real row and column spans.

Each style turns a table into Typst code; keys, headers and cells carry their marks. Knows nothing
of pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import groupby

from leopard.curation.synthesis.facts import Table, View
from leopard.curation.synthesis.markup import marked, typst_text
from leopard.curation.synthesis.theme import Theme


def group_runs(table: Table) -> Iterator[tuple[int, int]]:
    """First column and number of columns of every run with the same header above it."""
    first = 0
    for _, run in groupby(column.group for column in table.columns):
        count = len(list(run))
        yield first, count
        first += count


MOST_TURNED = 4
"""Most rows that are printed as columns."""
TableStyle = Callable[["TablePainter", Table], str]


class TablePainter:
    """Prints tables in the look of one document."""

    def __init__(self, rng: random.Random, theme: Theme) -> None:
        self.rng, self.theme = rng, theme
        self.bold_keys = rng.random() < 0.25
        self.numbers = rng.choice(("left", "right", "right", "center"))

    def header(self, table: Table, column: int) -> str:
        """A column header; `-1` is the column of the keys."""
        label = table.key_label if column < 0 else table.columns[column].label
        return marked(table.header_id(column), self.theme.label(label))

    def key(self, table: Table, row: int) -> str:
        """The key of a row."""
        body = marked(table.key_id(row), table.keys[row].text)
        return f"#strong[{body}]" if self.bold_keys else body

    def cell(self, table: Table, row: int, column: int) -> str:
        """A cell."""
        return marked(table.cell_id(row, column), table.cells[row][column].text)

    def header_cells(self, table: Table, wrap: str = "#strong[{}]") -> str:
        """The header row as table cells; columns with groups get a spanning row above."""
        groups = [column.group for column in table.columns]
        names = [wrap.format(self.header(table, c)) for c in range(len(groups))]
        key = wrap.format(self.header(table, -1))
        if not all(groups) or len(groups) < 2:
            return ", ".join(f"[{name}]" for name in [key, *names])
        spans = ", ".join(
            f"table.cell(colspan: {count}, align: center)"
            f"[{wrap.format(marked(table.group_id(first), groups[first]))}]"
            for first, count in group_runs(table)
        )
        head = f"table.cell(rowspan: 2, align: horizon)[{key}], {spans}"
        return ", ".join([head, *(f"[{name}]" for name in names)])

    def body_cells(self, table: Table) -> str:
        """All rows as table cells."""
        rows = []
        for r in range(len(table.keys)):
            cells = [self.key(table, r)]
            cells += [self.cell(table, r, c) for c in range(len(table.columns))]
            rows.append(", ".join(f"[{cell}]" for cell in cells))
        return ", ".join(rows)

    def align(self) -> str:
        """Keys left, values as this document aligns them."""
        return f"(x, y) => if x == 0 {{ left }} else {{ {self.numbers} }}"

    def columns(self, table: Table) -> str:
        """Column widths: natural, or spread over the page."""
        count = len(table.columns) + 1
        return self.rng.choice((str(count), str(count), f"({'1fr, ' * count})"))


def _full(p: TablePainter, t: Table) -> str:
    fill = p.rng.choice(("none", f'(x, y) => if y == 0 {{ rgb("{p.theme.tint}") }}'))
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, stroke: {p.theme.line}, "
        f"fill: {fill}, {p.header_cells(t)}, {p.body_cells(t)})"
    )


def _booktabs(p: TablePainter, t: Table) -> str:
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, stroke: none, "
        f"table.hline(stroke: 1pt), {p.header_cells(t)}, table.hline(stroke: 0.5pt), "
        f"{p.body_cells(t)}, table.hline(stroke: 1pt))"
    )


def _zebra(p: TablePainter, t: Table) -> str:
    fill = f'(x, y) => if calc.even(y) {{ rgb("{p.theme.tint}") }}'
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, stroke: none, fill: {fill}, "
        f"{p.header_cells(t)}, {p.body_cells(t)})"
    )


def _coloured(p: TablePainter, t: Table) -> str:
    wrap = "#text(fill: white)[#strong[{}]]"
    rows = 2 if len(t.columns) > 1 and all(c.group for c in t.columns) else 1
    fill = f'(x, y) => if y < {rows} {{ rgb("{p.theme.accent}") }}'
    stroke = p.rng.choice(("none", p.theme.line, "(bottom: 0.5pt + luma(180))"))
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, stroke: {stroke}, fill: {fill}, "
        f"{p.header_cells(t, wrap)}, {p.body_cells(t)})"
    )


def _plain(p: TablePainter, t: Table) -> str:
    wrap = p.rng.choice(("{}", "#underline[{}]", "#emph[{}]", "#strong[{}]"))
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, stroke: none, "
        f"{p.header_cells(t, wrap)}, {p.body_cells(t)})"
    )


def _rules(p: TablePainter, t: Table) -> str:
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, "
        f"stroke: (x, y) => (bottom: {p.theme.line}), {p.header_cells(t)}, {p.body_cells(t)})"
    )


def _uprights(p: TablePainter, t: Table) -> str:
    return (
        f"#table(columns: {p.columns(t)}, align: {p.align()}, "
        f"stroke: (x, y) => (left: {p.theme.line}, right: {p.theme.line}, "
        f"bottom: if y == 0 {{ 0.8pt }}), {p.header_cells(t)}, {p.body_cells(t)})"
    )


def _transposed(p: TablePainter, t: Table) -> str:
    """Rows become columns: one column per key."""
    if len(t.keys) > MOST_TURNED:
        return _full(p, t)
    first = [p.header(t, -1), *(p.key(t, r) for r in range(len(t.keys)))]
    rows = [", ".join(f"[#strong[{cell}]]" for cell in first)]
    for c in range(len(t.columns)):
        cells = [p.header(t, c), *(p.cell(t, r, c) for r in range(len(t.keys)))]
        rows.append(", ".join(f"[{cell}]" for cell in cells))
    stroke = p.rng.choice((p.theme.line, "none", f"(x, y) => (bottom: {p.theme.line})"))
    return (
        f"#table(columns: {len(t.keys) + 1}, align: {p.align()}, stroke: {stroke}, "
        f"{', '.join(rows)})"
    )


def _entries(p: TablePainter, t: Table) -> str:
    """One paragraph per row: key in bold, then its values with their labels."""
    rows = []
    for r in range(len(t.keys)):
        parts = [
            f"#box[{p.header(t, c)}{typst_text(':')} {p.cell(t, r, c)}]"
            for c in range(len(t.columns))
        ]
        rows.append(f"#strong[{p.key(t, r)}] \\ " + f"{typst_text(',')} ".join(parts))
    return "\n\n".join(rows)


def _leaders(p: TablePainter, t: Table) -> str:
    """Menus and price lists: key, dots, value."""
    if len(t.columns) != 1:
        return _rules(p, t)
    fill = p.rng.choice((".", " .", "-"))
    lines = [
        f'{p.key(t, r)} #box(width: 1fr, repeat(text("{fill}")))#h(0.4em){p.cell(t, r, 0)}'
        for r in range(len(t.keys))
    ]
    return f"{p.header(t, -1)} #h(1fr) {p.header(t, 0)} \\\n" + " \\\n".join(lines)


TABLE_STYLES: dict[str, TableStyle] = {
    "full": _full, "booktabs": _booktabs, "zebra": _zebra, "coloured": _coloured, "plain": _plain,
    "rules": _rules, "uprights": _uprights, "transposed": _transposed, "entries": _entries,
    "leaders": _leaders,
}  # fmt: skip
HELD_OUT_TABLE_STYLES = frozenset({"uprights"})
"""Styles that only test documents show."""


def view_of(style: str, table: Table) -> View:
    """What readers see of a table in a style."""
    if style == "entries" or (style == "leaders" and len(table.columns) == 1):
        return "list"
    return "turned" if style == "transposed" and len(table.keys) <= MOST_TURNED else "table"


def note_view(views: dict[str, View], table: Table, view: View) -> None:
    """Note how a table, or a part of it, is drawn."""
    views[table.id] = view if views.get(table.id, view) == view else "mixed"
