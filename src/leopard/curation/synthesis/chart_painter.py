"""Parts of charts: axes, ticks, legends, names and values of one table.

Layout follows from estimated text widths: labels that would not fit make the kind of chart unfit.
Knows nothing of kinds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from leopard.curation.synthesis.facts import Table
from leopard.curation.synthesis.figures import Figure, Label, UnfitError, text_width
from leopard.curation.synthesis.theme import Theme
from leopard.curation.synthesis.values import Locale

PALETTES = (
    ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f"),
    ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#666666"),
    ("#003f5c", "#ffa600", "#bc5090", "#58508d", "#ff6361", "#2f9e8f", "#8a8a8a", "#c2b280"),
    ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51", "#8ab17d", "#b5838d", "#6d6875"),
    ("#222222", "#666666", "#999999", "#bbbbbb", "#444444", "#888888", "#aaaaaa", "#cccccc"),
)
DOT_ROOM = 5.5
"""Room for half a dot at the axis, in points, between it and the names."""


class ChartPainter:
    """Draws one table as one kind of chart.

    Args:
        table: Keys and numeric columns of one kind.
        theme: The look.
        locale: How tick labels are printed.
        rng: Where all choices come from.
        width: Width of the figure, in points.
    """

    def __init__(
        self, table: Table, theme: Theme, locale: Locale, rng: random.Random, width: float
    ) -> None:
        self.table, self.locale, self.rng = table, locale, rng
        self.size = theme.size * max(theme.small, 0.85)
        self.colours: Sequence[str] = rng.choice(PALETTES)
        self.rows, self.series = len(table.keys), len(table.columns)
        self.values = [
            [float(table.cells[r][c].number or 0) for c in range(self.series)]
            for r in range(self.rows)
        ]
        self.has_grid = rng.random() < 0.6
        self.has_ticks = rng.random() < 0.75
        height = max(width * rng.uniform(0.5, 0.75), self.size * 12)
        self.figure = Figure(width, height, self.size)

    # -- parts -----------------------------------------------------------------------------------

    def key(self, row: int, x: float, y: float, anchor: str = "center") -> None:
        """The name of a row."""
        name = self.table.keys[row].text
        self.figure.labels.append(Label(x, y, name, self.table.key_id(row), anchor))

    def value(self, row: int, column: int, x: float, y: float, anchor: str = "center") -> None:
        """The printed value of a cell."""
        text = self.table.cells[row][column].text
        self.figure.labels.append(Label(x, y, text, self.table.cell_id(row, column), anchor))

    def legend(self, y: float) -> None:
        """Names of the series in one line, with swatches where there are several."""
        x, names = 2.0, [column.label for column in self.table.columns]
        room = sum(text_width(n, self.size) + 3 * self.size for n in names)
        if room > self.figure.width:
            raise UnfitError("legend too long")
        for column, name in enumerate(names):
            if self.series > 1:
                self.figure.rect(x, y - self.size * 0.35, self.size * 0.7, self.size * 0.7,
                                 self.colours[column])  # fmt: skip
                x += self.size
            header = self.table.header_id(column)
            self.figure.labels.append(Label(x, y, name, header, "left", self.series == 1))
            x += text_width(name, self.size) + 2 * self.size

    def scale(self, top: float) -> tuple[float, list[float]]:
        """The end of a value axis that reaches `top`, and its ticks: round numbers."""
        raw = max(top, 1e-9) / 4
        base = 10.0 ** math.floor(math.log10(raw))
        step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.999)
        count = math.ceil(top / step - 1e-9)
        return step * count, [step * i for i in range(count + 1)]

    def tick_text(self, value: float) -> str:
        """A tick label."""
        number = Decimal(repr(round(value, 6))).normalize()
        decimals = max(0, -int(number.as_tuple().exponent))
        return self.locale.number(number, decimals)

    def upright(self, top: float) -> Plot:
        """Axes for columns and lines; values go up."""
        figure, size = self.figure, self.size
        end, ticks = self.scale(top)
        wide = max(text_width(self.tick_text(t), size) for t in ticks) if self.has_ticks else 0
        plot = Plot(wide + size * 0.8, size * 3.6, figure.width - 4, figure.height - size * 2, end)
        slot = plot.width / self.rows
        if max(text_width(k.text, size) for k in self.table.keys) > slot * 0.98:
            raise UnfitError("names too long for columns")
        for tick in ticks:
            y = plot.y(tick)
            if self.has_grid:
                figure.line([(plot.left, y), (plot.right, y)], "#d5d5d5", 0.5)
            if self.has_ticks:
                figure.labels.append(
                    Label(plot.left - size * 0.3, y, self.tick_text(tick), "", "right")
                )
        figure.line([(plot.left, plot.top), (plot.left, plot.bottom), (plot.right, plot.bottom)],
                    "#444444", 0.8)  # fmt: skip
        for row in range(self.rows):
            self.key(row, plot.left + slot * (row + 0.5), plot.bottom + size)
        self.legend(size * 0.8)
        return plot

    def flat(self, top: float, lines_per_row: int) -> Plot:
        """Axes for bars; values go right, names stand left."""
        figure, size = self.figure, self.size
        figure.height = max(figure.height, self.rows * lines_per_row * size * 1.6 + size * 4.5)
        names = max(text_width(k.text, size) for k in self.table.keys)
        values = max(text_width(v.text, size) for row in self.table.cells for v in row)
        gap = max(size * 0.4, DOT_ROOM)
        left, right = names + gap + size * 0.4, figure.width - values - size
        if right - left < figure.width * 0.25:
            raise UnfitError("names too long for bars")
        end, ticks = self.scale(top)
        plot = Plot(left, size * 2.2, right, figure.height - size * 2, end)
        room = plot.width / max(1, len(ticks) - 1)
        has_ticks = self.has_ticks and room > 1.2 * max(
            text_width(self.tick_text(t), size) for t in ticks
        )
        for tick in ticks:
            x = plot.x(tick)
            if self.has_grid:
                figure.line([(x, plot.top), (x, plot.bottom)], "#d5d5d5", 0.5)
            if has_ticks:
                figure.labels.append(Label(x, plot.bottom + size, self.tick_text(tick)))
        figure.line([(plot.left, plot.top), (plot.left, plot.bottom)], "#444444", 0.8)
        slot = plot.height / self.rows
        for row in range(self.rows):
            self.key(row, plot.left - gap, plot.top + slot * (row + 0.5), "right")
        self.legend(size * 0.8)
        return plot

    def check_value_room(self, slot: float) -> None:
        """Values that stand side by side must fit their slots."""
        widest = max(text_width(v.text, self.size) for row in self.table.cells for v in row)
        if widest > slot * 0.98:
            raise UnfitError("values too long")


@dataclass(frozen=True, slots=True)
class Plot:
    """The area between the axes."""

    left: float
    top: float
    right: float
    bottom: float
    end: float
    """Value at the far end of the value axis."""

    @property
    def width(self) -> float:
        """In points."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In points."""
        return self.bottom - self.top

    def y(self, value: float) -> float:
        """Height of a value on the upright axis, in points from the top."""
        return self.bottom - self.height * value / self.end

    def x(self, value: float) -> float:
        """Place of a value on the flat axis, in points from the left."""
        return self.left + self.width * value / self.end
