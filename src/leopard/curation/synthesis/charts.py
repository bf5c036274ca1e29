"""Charts of tables: own SVG shapes, with every label set by the typesetter and marked.

Kinds whose labels would not fit are passed over, and what still clashes is rejected when the page
is read back. Knows nothing of pages.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from leopard.curation.synthesis.chart_painter import ChartPainter, Plot
from leopard.curation.synthesis.facts import Table
from leopard.curation.synthesis.figures import Figure, UnfitError, crosses, text_width
from leopard.curation.synthesis.theme import Theme
from leopard.curation.synthesis.values import Locale
from leopard.curation.synthesis.wording import is_additive

ABOVE = (-0.9, -1.4, -1.9, -2.4)
"""Where a value may stand over its point, in ems from it."""
ABOVE_BALLS = (-1.2, -1.6, -2.0, -2.4)
"""Where it may stand over a ball, whose edge lies higher than a point."""
BELOW = (0.95,)
"""Where it may stand under its point."""
MAX_SPREAD = 20
"""Largest ratio of the highest values of two series on one axis."""


def _columns(p: ChartPainter) -> None:
    """Columns, one or several per name."""
    plot = p.upright(max(map(max, p.values)))
    slot = plot.width / p.rows
    wide = slot * 0.8 / p.series
    p.check_value_room(slot * 0.95 / p.series)
    for row in range(p.rows):
        for c in range(p.series):
            x = plot.left + slot * (row + 0.1) + wide * c
            y = plot.y(p.values[row][c])
            p.figure.rect(x, y, wide * 0.92, plot.bottom - y, p.colours[c])
            p.value(row, c, x + wide * 0.46, y - p.size * 0.6)


def _bars(p: ChartPainter) -> None:
    """Bars, one or several per name."""
    plot = p.flat(max(map(max, p.values)), p.series)
    slot = plot.height / p.rows
    high = slot * 0.8 / p.series
    for row in range(p.rows):
        for c in range(p.series):
            y = plot.top + slot * (row + 0.1) + high * c
            x = plot.x(p.values[row][c])
            p.figure.rect(plot.left, y, x - plot.left, high * 0.9, p.colours[c])
            p.value(row, c, x + p.size * 0.3, y + high * 0.45, "left")


def _stacked_columns(p: ChartPainter) -> None:
    """Parts of a column on top of one another, values inside."""
    p.colours = [_light(colour) for colour in p.colours]
    plot = p.upright(max(map(sum, p.values)))
    slot = plot.width / p.rows
    p.check_value_room(slot * 0.8)
    for row in range(p.rows):
        base = 0.0
        for c in range(p.series):
            top, bottom = plot.y(base + p.values[row][c]), plot.y(base)
            if bottom - top < p.size * 1.1:
                raise UnfitError("part too small for its value")
            x = plot.left + slot * (row + 0.1)
            p.figure.rect(x, top, slot * 0.8, bottom - top, p.colours[c])
            p.value(row, c, x + slot * 0.4, (top + bottom) / 2)
            base += p.values[row][c]


def _stacked_bars(p: ChartPainter) -> None:
    """Parts of a bar beside one another, values inside."""
    p.colours = [_light(colour) for colour in p.colours]
    plot = p.flat(max(map(sum, p.values)), 1)
    slot = plot.height / p.rows
    for row in range(p.rows):
        base = 0.0
        for c in range(p.series):
            left, right = plot.x(base), plot.x(base + p.values[row][c])
            if right - left < text_width(p.table.cells[row][c].text, p.size) * 1.05:
                raise UnfitError("part too small for its value")
            y = plot.top + slot * (row + 0.12)
            p.figure.rect(left, y, right - left, slot * 0.76, p.colours[c])
            p.value(row, c, (left + right) / 2, y + slot * 0.38)
            base += p.values[row][c]


def _points(p: ChartPainter) -> tuple[Plot, list[list[tuple[float, float]]]]:
    plot = p.upright(max(map(max, p.values)))
    slot = plot.width / p.rows
    p.check_value_room(slot)
    points = [
        [(plot.left + slot * (r + 0.5), plot.y(p.values[r][c])) for r in range(p.rows)]
        for c in range(p.series)
    ]
    return plot, points


def _label_points(
    p: ChartPainter,
    plot: Plot,
    points: list[list[tuple[float, float]]],
    lines: list[list[tuple[float, float]]],
    shifts: tuple[float, ...] = ABOVE,
) -> None:
    """Values at their points, where neither a line nor the axis below runs through them."""
    for c, series in enumerate(points):
        for row, (x, y) in enumerate(series):
            half = text_width(p.table.cells[row][c].text, p.size) / 2
            for shift in shifts:
                middle = y + shift * p.size
                box = (x - half, middle - 0.42 * p.size, x + half, middle + 0.42 * p.size)
                is_over_axis = box[3] < plot.bottom
                if is_over_axis and not any(crosses(line, box) for line in lines):
                    p.value(row, c, x, middle)
                    break
            else:
                raise UnfitError("a line runs through a value")


def _line(p: ChartPainter) -> None:
    """Lines with a dot per value."""
    plot, points = _points(p)
    for c, series in enumerate(points):
        p.figure.line(series, p.colours[c], 1.6)
        for x, y in series:
            p.figure.dot(x, y, 2.2, p.colours[c])
    _label_points(p, plot, points, points, (*ABOVE, *BELOW))


def _area(p: ChartPainter) -> None:
    """The area under a line."""
    plot, points = _points(p)
    first, last = points[0][0], points[0][-1]
    outline = [(first[0], plot.bottom), *points[0], (last[0], plot.bottom)]
    p.figure.polygon(outline, p.colours[0])
    p.figure.line(points[0], p.colours[0], 1.4)
    _label_points(p, plot, points, points)


def _step(p: ChartPainter) -> None:
    """A line that changes in steps."""
    plot, points = _points(p)
    half = plot.width / p.rows / 2
    path = [corner for x, y in points[0] for corner in ((x - half, y), (x + half, y))]
    p.figure.line(path, p.colours[0], 1.6)
    _label_points(p, plot, points, [path], (*ABOVE, *BELOW))


def _lollipop(p: ChartPainter) -> None:
    """Stems with a ball."""
    plot, points = _points(p)
    for x, y in points[0]:
        p.figure.line([(x, plot.bottom), (x, y)], p.colours[0], 1.4)
        p.figure.dot(x, y, 3.5, p.colours[0])
    _label_points(p, plot, points, [], ABOVE_BALLS)


def _dots(p: ChartPainter) -> None:
    """A dot per value on a line per name."""
    plot = p.flat(max(map(max, p.values)), 1)
    slot = plot.height / p.rows
    for row in range(p.rows):
        y = plot.top + slot * (row + 0.5)
        p.figure.line([(plot.left, y), (plot.right, y)], "#dddddd", 0.6)
        x = plot.x(p.values[row][0])
        p.figure.dot(x, y, 3.2, p.colours[0])
        p.value(row, 0, x + max(p.size * 0.6, 5.5), y, "left")


def _range_columns(p: ChartPainter) -> None:
    """From the first series to the second, as floating columns."""
    plot = p.upright(max(map(max, p.values)))
    slot = plot.width / p.rows
    p.check_value_room(slot * 0.95)
    for row in range(p.rows):
        low, high = sorted(range(2), key=lambda c: p.values[row][c])
        top, bottom = plot.y(p.values[row][high]), plot.y(p.values[row][low])
        x = plot.left + slot * (row + 0.5)
        p.figure.line([(x, top), (x, bottom)], "#888888", 3)
        for c, y, shift in ((high, top, -1.2), (low, bottom, 1.2)):
            p.figure.dot(x, y, 3.2, p.colours[c])
            p.value(row, c, x, y + shift * p.size)
        if bottom + p.size * 1.7 > plot.bottom:
            raise UnfitError("no room under the lower value")


def _ring(p: ChartPainter, inner_share: float) -> None:
    figure, size = p.figure, p.size
    total = sum(row[0] for row in p.values)
    if total <= 0 or min(row[0] for row in p.values) / total < 0.04 or p.rows > 8:
        raise UnfitError("slices too thin")
    widest = max(text_width(v[0].text, size) for v in p.table.cells)
    names = max(text_width(k.text, size) for k in p.table.keys) + 2.5 * size
    radius = min((figure.width - names - 2 * widest - 3 * size) / 2, figure.height / 2 - 2.6 * size)
    if radius < 3.2 * size:
        raise UnfitError("no room for a pie")
    cx, cy, turn = widest + size + radius, figure.height / 2 + size * 0.6, 0.0
    for row in range(p.rows):
        part = p.values[row][0] / total
        figure.slice((cx, cy, radius, radius * inner_share), (turn, turn + part), p.colours[row])
        angle = 2 * math.pi * (turn + part / 2) - math.pi / 2
        x, y = cx + (radius + size * 0.8) * math.cos(angle), cy + (radius + size) * math.sin(angle)
        side = (
            "left" if math.cos(angle) > 0.25 else "right" if math.cos(angle) < -0.25 else "center"
        )
        p.value(row, 0, x, y, side)
        turn += part
        line = cy - (p.rows - 1) * size * 0.8 + row * size * 1.6
        left = figure.width - names
        figure.rect(left, line - size * 0.35, size * 0.7, size * 0.7, p.colours[row])
        p.key(row, left + size * 1.2, line, "left")
    p.legend(size * 0.8)


def _pie(p: ChartPainter) -> None:
    """A pie with a legend."""
    _ring(p, 0.0)


def _donut(p: ChartPainter) -> None:
    """A ring with a legend."""
    _ring(p, p.rng.uniform(0.45, 0.65))


def _light(colour: str) -> str:
    """A lighter tint, on which dark text can be read."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{(part + 2 * 255) // 3:02x}" for part in parts)


SINGLE: dict[str, Callable[[ChartPainter], None]] = {
    "column": _columns, "bar": _bars, "line": _line, "area": _area, "step": _step,
    "lollipop": _lollipop, "dots": _dots, "pie": _pie, "donut": _donut,
}  # fmt: skip
MULTIPLE: dict[str, Callable[[ChartPainter], None]] = {
    "grouped column": _columns, "grouped bar": _bars, "stacked column": _stacked_columns,
    "stacked bar": _stacked_bars, "lines": _line, "range": _range_columns,
}  # fmt: skip
CHART_KINDS = (*SINGLE, *MULTIPLE)
SERIES_ONLY = frozenset({"line", "area", "step", "lines"})
"""Kinds that suggest an order of the names."""


def draw_chart(
    table: Table, theme: Theme, locale: Locale, rng: random.Random, width: float
) -> tuple[str, str] | None:
    """A table as a chart: its kind and its Typst code; see `draw_figure`."""
    drawn = draw_figure(table, theme, locale, rng, width)
    return None if drawn is None else (drawn[0], drawn[1].typst())


def draw_figure(
    table: Table, theme: Theme, locale: Locale, rng: random.Random, width: float
) -> tuple[str, Figure] | None:
    """A table as a chart: its kind and its figure; None where no kind fits.

    Args:
        table: Keys and one to three numeric columns of one kind.
        theme: The look.
        locale: How tick labels are printed.
        rng: Where all choices come from.
        width: Width of the figure, in points.
    """
    if not is_chartable(table):
        return None
    kinds = SINGLE if len(table.columns) == 1 else MULTIPLE
    names = [k for k in kinds if table.is_series or k not in SERIES_ONLY]
    if not all(is_additive(table, column) for column in range(len(table.columns))):
        names = [name for name in names if not name.startswith("stacked")]
    if len(table.columns) != 2:
        names = [name for name in names if name != "range"]
    for name in rng.sample(names, len(names)):
        painter = ChartPainter(table, theme, locale, rng, width)
        try:
            kinds[name](painter)
        except UnfitError:
            continue
        return name, painter.figure
    return None


def is_chartable(table: Table) -> bool:
    """Whether all columns hold numbers of one kind, unit and size, none below zero."""
    cells = [cell for row in table.cells for cell in row]
    kinds = {(cell.kind, cell.unit) for cell in cells}
    return (
        len(kinds) == 1
        and kinds <= {("number", ""), ("money", ""), ("percent", "%")}
        and len(table.columns) <= 3
        and 2 <= len(table.keys) <= 12
        and all((cell.number or 0) >= 0 for cell in cells)
        and any(cell.number for cell in cells)
        and _share_an_axis(table)
    )


def _share_an_axis(table: Table) -> bool:
    """Whether people would draw all columns against one axis: of one sort, none a mere speck."""
    units = {
        (column.label.partition("(")[2], column.group, is_additive(table, c))
        for c, column in enumerate(table.columns)
    }
    tops = [
        max(float(row[c].number or 0) for row in table.cells) for c in range(len(table.columns))
    ]
    return len(units) == 1 and max(tops) <= MAX_SPREAD * min(tops)
