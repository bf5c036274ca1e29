"""Figures: shapes as SVG, labels set by the typesetter under their marks.

Knows nothing of what a figure shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from leopard.curation.synthesis.markup import html_marked, html_text, marked, typst_text

CHAR_WIDTH = 0.58
"""Width of an average character, in em, on the safe side."""


class UnfitError(Exception):
    """The table cannot be drawn as this kind of chart at this size."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text in a figure; `x`, `y` is the anchor, `y` the middle of the line, in points."""

    x: float
    y: float
    text: str
    element: str = ""
    """Element id that marks it, or empty."""
    anchor: str = "center"
    """`left`, `center` or `right` of the text lies at `x`."""
    bold: bool = False


@dataclass(slots=True)
class Figure:
    """Shapes and labels of one chart, in points, origin top left."""

    width: float
    height: float
    size: float
    """Text size, in points."""
    shapes: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """A filled rectangle."""
        self.shapes.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" '
            f'height="{max(height, 0):.2f}" fill="{fill}"/>'
        )

    def line(self, points: Sequence[tuple[float, float]], stroke: str, width: float = 1) -> None:
        """A polyline."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self.shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"/>'
        )

    def polygon(self, points: Sequence[tuple[float, float]], fill: str) -> None:
        """A filled polygon."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self.shapes.append(f'<polygon points="{path}" fill="{fill}" fill-opacity="0.55"/>')

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """A filled circle."""
        self.shapes.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{fill}"/>')

    def slice(
        self, box: tuple[float, float, float, float], turn: tuple[float, float], fill: str
    ) -> None:
        """A ring segment: (centre x, centre y, outer, inner radius), (from, to) in turns."""
        cx, cy, outer, inner = box
        start, stop = (2 * math.pi * t - math.pi / 2 for t in turn)
        large = int(stop - start > math.pi)
        corners = [
            (cx + r * math.cos(a), cy + r * math.sin(a))
            for r, a in ((outer, start), (outer, stop), (inner, stop), (inner, start))
        ]
        (ax, ay), (bx, by), (dx, dy), (ex, ey) = corners
        self.shapes.append(
            f'<path d="M{ax:.2f} {ay:.2f} A{outer:.2f} {outer:.2f} 0 {large} 1 {bx:.2f} {by:.2f} '
            f'L{dx:.2f} {dy:.2f} A{inner:.2f} {inner:.2f} 0 {large} 0 {ex:.2f} {ey:.2f} Z" '
            f'fill="{fill}" stroke="white" stroke-width="1"/>'
        )

    def svg(self, unit: str = "") -> str:
        """The shapes as an SVG document; labels are set by the typesetter."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.2f}{unit}" '
            f'height="{self.height:.2f}{unit}" viewBox="0 0 {self.width:.2f} {self.height:.2f}">'
            f"{''.join(self.shapes)}</svg>"
        )

    def html(self) -> str:
        """The figure as HTML."""
        labels = "".join(_html_label(label, self.size) for label in self.labels)
        return (
            f'<div style="position:relative;width:{self.width:.2f}pt;height:{self.height:.2f}pt">'
            f'<div style="position:absolute;width:{self.width:.2f}pt;height:{self.height:.2f}pt">'
            f"{self.svg(unit='pt')}</div>{labels}</div>"
        )

    def typst(self) -> str:
        """The figure as Typst code."""
        svg = self.svg().replace("\\", "\\\\").replace('"', '\\"')
        picture = (
            f'#place(top + left, image(bytes("{svg}"), format: "svg", width: {self.width:.2f}pt))'
        )
        placed = "".join(_placed(label, self.size) for label in self.labels)
        return f"#block(width: {self.width:.2f}pt, height: {self.height:.2f}pt)[{picture}{placed}]"


_SHIFTS = {"left": "0", "center": "-50%", "right": "-100%"}


def _html_label(label: Label, size: float) -> str:
    body = html_marked(label.element, label.text) if label.element else html_text(label.text)
    weight = "bold" if label.bold else "normal"
    return (
        f'<div style="position:absolute;left:{label.x:.2f}pt;top:{label.y:.2f}pt;'
        f"font-size:{size:.2f}pt;font-weight:{weight};line-height:1;white-space:nowrap;"
        f'transform:translate({_SHIFTS[label.anchor]},-50%)">{body}</div>'
    )


def _placed(label: Label, size: float) -> str:
    body = marked(label.element, label.text) if label.element else typst_text(label.text)
    if label.bold:
        body = f"#strong[{body}]"
    room = text_width(label.text, size) * 1.3 + 8
    shift = {"left": 0.0, "center": room / 2, "right": room}[label.anchor]
    return (
        f"#place(top + left, dx: {label.x - shift:.2f}pt, dy: {label.y - 0.36 * size:.2f}pt)"
        f"[#box(width: {room:.2f}pt)[#align({label.anchor})[#text(size: {size:.2f}pt)[{body}]]]]"
    )


def text_width(text: str, size: float) -> float:
    """Estimated width of a text, in points."""
    return len(text) * CHAR_WIDTH * size


def crosses(line: Sequence[tuple[float, float]], box: tuple[float, float, float, float]) -> bool:
    """Whether a polyline runs through a box: left, top, right, bottom in points."""
    return any(_enters(start, end, box) for start, end in pairwise(line))


def _enters(
    start: tuple[float, float],
    end: tuple[float, float],
    box: tuple[float, float, float, float],
) -> bool:
    """Whether a stretch has a part within a box, by Liang and Barsky's clipping."""
    first, last = 0.0, 1.0
    for axis in (0, 1):
        step = end[axis] - start[axis]
        low, high = box[axis] - start[axis], box[axis + 2] - start[axis]
        if step == 0:
            if low > 0 or high < 0:
                return False
            continue
        near, far = sorted((low / step, high / step))
        first, last = max(first, near), min(last, far)
    return first < last
