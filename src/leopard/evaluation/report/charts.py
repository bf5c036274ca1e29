"""Bars with intervals as inline SVG. Knows nothing of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

BAR_HEIGHT = 22
LABEL_WIDTH = 210
"""Least width of the labels, in pixels; longer ones get more, up to `LONGEST_LABEL` letters."""
LONGEST_LABEL = 60
_LETTER_WIDTH = 7
PLOT_WIDTH = 360
VALUE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; all numbers from 0 to 1."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def bars(rows: Sequence[Bar], title: str) -> str:
    """Horizontal bars from 0 to 100 %, whiskers for intervals.

    Args:
        rows: From top to bottom.
        title: Text for those who cannot see the picture.
    """
    height = BAR_HEIGHT * len(rows) + 22
    longest = min(max((len(row.label) for row in rows), default=0), LONGEST_LABEL)
    left = max(LABEL_WIDTH, _LETTER_WIDTH * longest + 12)
    width = left + PLOT_WIDTH + VALUE_WIDTH
    parts = [
        f'<svg class="plot" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ]
    for share in (0, 25, 50, 75, 100):
        x = left + PLOT_WIDTH * share / 100
        parts.append(
            f'<line class="tick" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height - 18}"/>'
            f'<text class="axis" x="{x:.1f}" y="{height - 4}" text-anchor="middle">{share}</text>'
        )
    for index, row in enumerate(rows):
        parts.append(_bar(row, left, index * BAR_HEIGHT))
    return "".join([*parts, "</svg>"])


def _bar(row: Bar, start: int, top: float) -> str:
    middle = top + BAR_HEIGHT / 2
    length = max(PLOT_WIDTH * min(max(row.value, 0.0), 1.0), 0.5)
    whisker = ""
    if row.low is not None and row.high is not None and row.high > row.low:
        low, high = (start + PLOT_WIDTH * v for v in (row.low, row.high))
        whisker = (
            f'<path class="whisker" d="M{low:.1f} {middle - 4}v8M{low:.1f} {middle}'
            f'H{high:.1f}M{high:.1f} {middle - 4}v8"/>'
        )
    label = (
        row.label if len(row.label) <= LONGEST_LABEL else row.label[: LONGEST_LABEL - 1] + "\u2026"
    )
    return (
        f'<text class="label" x="{start - 8}" y="{middle + 4}" text-anchor="end">'
        f"{escape(label)}</text>"
        f'<rect class="bar" x="{start}" y="{top + 4}" width="{length:.1f}" '
        f'height="{BAR_HEIGHT - 8}"/>{whisker}'
        f'<text class="value" x="{start + PLOT_WIDTH + 8}" y="{middle + 4}">'
        f"{100 * row.value:.1f} {escape(row.note)}</text>"
    )
