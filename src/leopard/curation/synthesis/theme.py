"""The look of one document: font, sizes, colours, rules.

A theme is drawn once per document, so that a document looks of one piece. Documents held out for
testing use fonts and block styles that no training document shows. Knows nothing of facts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

TRAIN_FONTS = (
    "Liberation Sans", "Liberation Sans", "Liberation Serif", "Liberation Serif",
    "Liberation Mono", "DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "Carlito", "Carlito",
    "Caladea", "Open Sans", "Lato", "Roboto", "TeX Gyre Heros", "TeX Gyre Termes",
    "TeX Gyre Pagella", "TeX Gyre Schola", "Noto Sans", "Noto Serif", "Libertinus Serif",
    "New Computer Modern", "Nimbus Sans", "C059",
)  # fmt: skip
"""Common document fonts; some twice because documents use them more."""
HELD_OUT_FONTS = ("Tinos", "Arimo", "Cousine", "FreeSans", "FreeSerif", "URW Bookman",
                  "TeX Gyre Adventor", "TeX Gyre Bonum", "Hanken Grotesk", "Manrope")  # fmt: skip
MONO_FONTS = ("Liberation Mono", "DejaVu Sans Mono")
ACCENTS = ("#1f4e79", "#7a1f1f", "#1d6b45", "#5b2a86", "#333333", "#000000", "#b8541a", "#0b6e75",
           "#8a6d1a", "#2c3e8f", "#a3195b", "#3d5a2a", "#444a58", "#005f9e")  # fmt: skip
PAPERS = ("#ffffff",) * 7 + ("#fbfaf5", "#f6f9fd", "#fdf7ef", "#f4f4f4", "#fffbe8", "#eef6f0")
TINTS = ("#eeeeee", "#e8eef5", "#f3ece2", "#e9f3ea", "#f5e9ec", "#ececf6", "#fff3cf", "#dddddd")


@dataclass(frozen=True, slots=True)
class Theme:
    """All that is the same on every page of a document."""

    font: str
    size: float
    """Body text, in points."""
    accent: str
    paper: str
    ink: str
    tint: str
    """Light fill of zebra rows and boxes."""
    margin: float
    """Page margin, in points."""
    leading: float
    """Space between lines, in em."""
    label_case: str
    """`as is`, `upper` or `lower`."""
    label_end: str
    """What follows a label on the same line."""
    label_bold: bool
    value_bold: bool
    small: float
    """Size of small print, relative to the body."""
    title_scale: float
    title_align: str
    title_fill: bool
    """Whether titles stand on a bar of the accent colour."""
    heading_caps: bool
    line: str
    """Stroke of rules and frames."""
    seed: int
    """For decorations that differ from document to document."""

    def label(self, text: str) -> str:
        """A label in this document's letter case."""
        if self.label_case == "upper":
            return text.upper()
        return text.lower() if self.label_case == "lower" else text

    def ending(self, label: str, end: str | None = None) -> str:
        """What follows a label on its line (`label_end` by default), with no second full stop."""
        end = self.label_end if end is None else end
        return "" if end == "." and label.endswith(".") else end

    def preamble(self, width: float, height: float | None) -> str:
        """Typst settings of a page size in points; without a height the page fits its content."""
        tall = "auto" if height is None else f"{height:.1f}pt"
        return (
            "#set document(date: none)\n"
            f"#set page(width: {width:.1f}pt, height: {tall}, margin: {self.margin:.1f}pt, "
            f'fill: rgb("{self.paper}"))\n'
            f'#set text(font: "{self.font}", size: {self.size:.2f}pt, fill: rgb("{self.ink}"), '
            'hyphenate: false, lang: "en", fallback: false)\n'
            f"#set par(leading: {self.leading:.2f}em, spacing: {self.leading + 0.5:.2f}em)\n"
            f"#set table(inset: {self.size * 0.45:.1f}pt)\n"
        )


def draw_theme(rng: random.Random, fonts: tuple[str, ...], size: float, width: float) -> Theme:
    """A theme with body text of `size` points for pages `width` points wide."""
    return Theme(
        font=rng.choice(fonts),
        size=size,
        accent=rng.choice(ACCENTS),
        paper=rng.choice(PAPERS),
        ink=rng.choice(("#000000",) * 5 + ("#222222", "#1a2a3a", "#333333")),
        tint=rng.choice(TINTS),
        margin=min(width * rng.uniform(0.03, 0.09), 60.0),
        leading=rng.uniform(0.45, 0.85),
        label_case=rng.choice(("as is",) * 6 + ("upper", "lower")),
        label_end=rng.choice((":",) * 5 + ("", " :", ".", " -")),
        label_bold=rng.random() < 0.45,
        value_bold=rng.random() < 0.15,
        small=rng.choice((0.8, 0.85, 0.9, 1.0)),
        title_scale=rng.uniform(1.15, 1.9),
        title_align=rng.choice(("left", "left", "center", "center", "right")),
        title_fill=rng.random() < 0.2,
        heading_caps=rng.random() < 0.2,
        line=rng.choice(("0.5pt", "0.5pt + luma(120)", "0.8pt", "0.4pt + luma(60)", "1pt")),
        seed=rng.getrandbits(32),
    )
