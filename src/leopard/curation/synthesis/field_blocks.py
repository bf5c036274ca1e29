"""The ways in which documents print labelled values.

Each style is a function from fields to Typst code; every value carries its mark. Knows nothing of
pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from leopard.curation.synthesis.facts import Field
from leopard.curation.synthesis.markup import marked, typst_text
from leopard.curation.synthesis.theme import Theme

FieldStyle = Callable[["FieldPainter", Sequence[Field]], str]


class FieldPainter:
    """Prints fields in the look of one document."""

    def __init__(self, rng: random.Random, theme: Theme) -> None:
        self.rng, self.theme = rng, theme

    def label(self, field: Field, end: str | None = None, *, small: bool = False) -> str:
        """A label, followed by `end` (the theme's by default)."""
        theme = self.theme
        text = theme.label(field.label) + theme.ending(field.label, end)
        body = typst_text(text)
        if theme.label_bold:
            body = f"#strong[{body}]"
        return f"#text(size: {theme.small}em)[{body}]" if small else body

    def value(self, field: Field) -> str:
        """A value under its mark, never broken over lines."""
        body = marked(field.id, field.value.text)
        return f"#strong[{body}]" if self.theme.value_bold else body

    def boxed(self, field: Field) -> str:
        """A value that stays on one line."""
        return f"#box[{self.value(field)}]"

    def cells(self, fields: Sequence[Field], end: str | None = None) -> str:
        """Labels and values as alternating grid cells."""
        return ", ".join(f"[{self.label(f, end)}], [{self.value(f)}]" for f in fields)


def _lines(p: FieldPainter, fields: Sequence[Field]) -> str:
    return " \\\n".join(f"{p.label(f)} {p.boxed(f)}" for f in fields)


def _grid(p: FieldPainter, fields: Sequence[Field]) -> str:
    first = p.rng.choice(("auto", "auto", "1fr", "40%", "35%"))
    gap = p.rng.uniform(0.5, 1.0)
    align = p.rng.choice(("left", "left", "(right, left)"))
    return (
        f"#grid(columns: ({first}, auto), align: {align}, column-gutter: 1em, "
        f"row-gutter: {gap:.2f}em, {p.cells(fields)})"
    )


def _frame(p: FieldPainter, fields: Sequence[Field]) -> str:
    end = p.rng.choice(("", "", ":"))
    columns = p.rng.choice(("(auto, 1fr)", "(1fr, 1fr)", "(40%, 1fr)", "(auto, auto)"))
    fill = p.rng.choice(("none", f'(x, y) => if x == 0 {{ rgb("{p.theme.tint}") }}'))
    return (
        f"#table(columns: {columns}, stroke: {p.theme.line}, fill: {fill}, {p.cells(fields, end)})"
    )


def _zebra(p: FieldPainter, fields: Sequence[Field]) -> str:
    fill = f'(x, y) => if calc.odd(y) {{ rgb("{p.theme.tint}") }}'
    align = p.rng.choice(("(left, left)", "(left, right)"))
    return (
        f"#table(columns: (auto, 1fr), align: {align}, stroke: none, fill: {fill}, "
        f"{p.cells(fields, '')})"
    )


def _ruled(p: FieldPainter, fields: Sequence[Field]) -> str:
    align = p.rng.choice(("(left, left)", "(left, right)"))
    return (
        f"#table(columns: (1fr, auto), align: {align}, "
        f"stroke: (x, y) => (bottom: {p.theme.line}), {p.cells(fields)})"
    )


def _above(p: FieldPainter, fields: Sequence[Field]) -> str:
    columns = p.rng.choice((1, 2, 2, 3)) if len(fields) > 2 else 1
    end = p.rng.choice(("", "", p.theme.label_end))
    cells = ", ".join(f"[{p.label(f, end, small=True)} \\ {p.value(f)}]" for f in fields)
    return f"#grid(columns: ({'1fr, ' * columns}), column-gutter: 1em, row-gutter: 0.9em, {cells})"


def _dotted(p: FieldPainter, fields: Sequence[Field]) -> str:
    fill = p.rng.choice((".", ".", " .", "_", "-"))
    return " \\\n".join(
        f'{p.label(f, "")} #box(width: 1fr, repeat(text("{fill}")))#h(0.4em){p.boxed(f)}'
        for f in fields
    )


def _far(p: FieldPainter, fields: Sequence[Field]) -> str:
    return " \\\n".join(f"{p.label(f)} #h(1fr) {p.boxed(f)}" for f in fields)


def _underlined(p: FieldPainter, fields: Sequence[Field]) -> str:
    line = f"(bottom: {p.theme.line})"
    return "\n\n".join(
        f"{p.label(f)} #box(width: 1fr, stroke: {line}, outset: (bottom: 2pt))[ {p.value(f)}]"
        for f in fields
    )


def _run(p: FieldPainter, fields: Sequence[Field]) -> str:
    mark = p.rng.choice(("|", ";", "/", "*"))
    parts = [f"#box[{p.label(f)} {p.value(f)}]" for f in fields]
    return f" {typst_text(mark)} ".join(parts)


def _boxes(p: FieldPainter, fields: Sequence[Field]) -> str:
    """Government forms: boxes with small captions in the corner, some numbered."""
    numbered = p.rng.random() < 0.5
    columns = p.rng.choice((1, 2, 2)) if len(fields) > 1 else 1
    cells = []
    for i, f in enumerate(fields, 1):
        number = typst_text(f"{i}. ") if numbered else ""
        small = p.theme.small
        cells.append(
            f"[#text(size: {small}em)[{number} {typst_text(p.theme.label(f.label))}] \\ "
            f"#h(0.6em){p.value(f)}]"
        )
    if len(cells) % columns:
        cells.append("[]")
    return f"#table(columns: ({'1fr, ' * columns}), stroke: {p.theme.line}, {', '.join(cells)})"


def _bullets(p: FieldPainter, fields: Sequence[Field]) -> str:
    mark = p.rng.choice(("-", "+", "-"))
    return "\n".join(f"{mark} {p.label(f)} {p.boxed(f)}" for f in fields)


def _pairs(p: FieldPainter, fields: Sequence[Field]) -> str:
    """Two label-value pairs per row."""
    stroke = p.rng.choice(("none", p.theme.line))
    cells = p.cells(fields) + (", [], []" if len(fields) % 2 else "")
    return f"#table(columns: (auto, 1fr, auto, 1fr), stroke: {stroke}, {cells})"


def _across(p: FieldPainter, fields: Sequence[Field]) -> str:
    """Labels in a row, values in the row below."""
    blocks = []
    for start in range(0, len(fields), 3):
        part = fields[start : start + 3]
        labels = ", ".join(f"[{p.label(f, '')}]" for f in part)
        values = ", ".join(f"[{p.value(f)}]" for f in part)
        fill = f'(x, y) => if y == 0 {{ rgb("{p.theme.tint}") }}'
        blocks.append(
            f"#table(columns: ({'1fr, ' * len(part)}), stroke: {p.theme.line}, fill: {fill}, "
            f"{labels}, {values})"
        )
    return "\n".join(blocks)


def _beneath(p: FieldPainter, fields: Sequence[Field]) -> str:
    """Values large, labels small beneath them."""
    columns = min(len(fields), p.rng.choice((1, 2, 2, 3)))
    scale = p.rng.choice((1.0, 1.2, 1.4))
    cells = ", ".join(
        f"[#text(size: {scale}em)[#strong[{p.value(f)}]] \\ {p.label(f, '', small=True)}]"
        for f in fields
    )
    stroke = p.rng.choice(("none", p.theme.line))
    return (
        f"#grid(columns: ({'1fr, ' * columns}), inset: 0.5em, stroke: {stroke}, "
        f"align: {p.rng.choice(('left', 'center'))}, {cells})"
    )


def _tinted(p: FieldPainter, fields: Sequence[Field]) -> str:
    """Label in colour, value in a filled box: web forms and apps."""
    radius = p.rng.choice((0, 2, 4))
    cells = ", ".join(
        f'[#text(fill: rgb("{p.theme.accent}"))[{p.label(f)}]], '
        f'[#box(fill: rgb("{p.theme.tint}"), radius: {radius}pt, inset: 0.35em, '
        f"width: 100%)[{p.value(f)}]]"
        for f in fields
    )
    return f"#grid(columns: (auto, 1fr), align: horizon, gutter: 0.5em, {cells})"


FIELD_STYLES: dict[str, FieldStyle] = {
    "lines": _lines, "grid": _grid, "frame": _frame, "zebra": _zebra, "ruled": _ruled,
    "above": _above, "dotted": _dotted, "far": _far, "underlined": _underlined, "run": _run,
    "boxes": _boxes, "bullets": _bullets, "pairs": _pairs, "across": _across,
    "beneath": _beneath, "tinted": _tinted,
}  # fmt: skip
HELD_OUT_FIELD_STYLES = frozenset({"across", "tinted"})
"""Styles that only test documents show."""
NARROW_UNFIT = frozenset({"pairs", "across"})
"""Styles that need a wide page."""
