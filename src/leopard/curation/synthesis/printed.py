"""What a PDF really shows: the text under every mark, and whether text clashes or is cut off.

The boxes of marks are link annotations; the text is the PDF's own text layer. Nothing here looks
at the facts, so that what is read can disprove them. Knows nothing of questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from leopard.curation.synthesis.markup import MARK_SCHEME
from leopard.documents.pdf_text import (
    LINE_END_HYPHEN,
    Rectangle,
    raw_characters,
    raw_links,
)
from leopard.schema.geometry import Box

Boxes = npt.NDArray[np.float64]
GENERATED_BLANK = "\u2005"
"""Stands for a blank that PDFium guesses from a gap between glyphs and that nobody printed."""
PRINTS_BLANKS = "Typst"
"""Creator whose files hold every blank as a character; browsers leave gaps between words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element is printed."""

    page: int
    """Page number, counted from 0."""
    boxes: tuple[Box, ...]
    """One box per line, in points, origin top left."""
    text: str
    """The text found there; blanks as one space."""

    @property
    def outline(self) -> Box:
        """The smallest box around all lines."""
        return Box(
            min(b.left for b in self.boxes),
            min(b.top for b in self.boxes),
            max(b.right for b in self.boxes),
            max(b.bottom for b in self.boxes),
        )


@dataclass(frozen=True, slots=True)
class PrintedPage:
    """One page as read back."""

    width: float
    """In points."""
    height: float
    """In points."""
    text: str
    """All characters in text-layer order, without control characters."""
    marks: Mapping[str, Place]
    """Place of each element on this page."""
    num_clashes: int
    """Pairs of words that overlap by more than 15 % of the smaller one."""
    num_clipped: int
    """Characters that reach over the edge of the page."""
    min_text_height: float
    """Height of the lowest marked line, in points; infinite without marks."""


def read_pdf(data: bytes) -> list[PrintedPage]:
    """Read every page of a PDF back. PDFium is not thread-safe: call from one thread."""
    pdf = pdfium.PdfDocument(data)
    try:
        prints_blanks = pdf.get_metadata_value("Creator").startswith(PRINTS_BLANKS)
        return [_read_page(pdf, index, prints_blanks) for index in range(len(pdf))]
    finally:
        pdf.close()


def _read_page(pdf: pdfium.PdfDocument, index: int, prints_blanks: bool) -> PrintedPage:
    page = pdf[index]
    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        chars, boxes = _characters(textpage, height, prints_blanks)
        marks = _marks(page, height)
    finally:
        textpage.close()
        page.close()
    visible = np.array([not c.isspace() for c in chars], dtype=bool)
    places = {
        element: Place(index, tuple(found), _text_within(found, chars, boxes, visible))
        for element, found in marks.items()
    }
    ink = boxes[visible] if len(chars) else np.zeros((0, 4))
    clipped = (ink[:, 0] < -0.5) | (ink[:, 1] < -0.5)
    clipped |= (ink[:, 2] > width + 0.5) | (ink[:, 3] > height + 0.5)
    heights = [box.bottom - box.top for found in marks.values() for box in found]
    return PrintedPage(
        width=width,
        height=height,
        text=" ".join("".join(chars).split()),
        marks=places,
        num_clashes=_clashes(_words(chars, boxes)),
        num_clipped=int(clipped.sum()),
        min_text_height=min(heights, default=float("inf")),
    )


def _characters(textpage: Any, height: float, prints_blanks: bool) -> tuple[list[str], Boxes]:
    """Characters and their ink boxes, (character, left top right bottom), in points."""
    chars: list[str] = []
    boxes: list[Rectangle] = []
    for index, char, ink in raw_characters(textpage):
        if char == " " and prints_blanks and raw.FPDFText_IsGenerated(textpage.raw, index) == 1:
            char = GENERATED_BLANK
        chars.append("-" if char == LINE_END_HYPHEN else " " if char < " " else char)
        left, bottom, right, top = ink or (0.0, 0.0, 0.0, 0.0)
        boxes.append((left, height - top, right, height - bottom))
    return chars, np.array(boxes).reshape(-1, 4)


def _marks(page: pdfium.PdfPage, height: float) -> dict[str, list[Box]]:
    """Boxes of every mark; a mark that wraps has one box per line."""
    found: dict[str, list[Box]] = defaultdict(list)
    for uri, (left, one, right, other) in raw_links(page):
        if uri.startswith(MARK_SCHEME):
            top, bottom = sorted((height - one, height - other))
            found[uri.removeprefix(MARK_SCHEME)].append(Box(left, top, right, bottom))
    return dict(found)


def _text_within(
    lines: list[Box], chars: list[str], boxes: Boxes, visible: npt.NDArray[np.bool_]
) -> str:
    """Characters whose centre lies in one of the boxes, in text-layer order."""
    if not len(chars):
        return ""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    inside = np.zeros(len(chars), dtype=bool)
    for box in lines:
        # Marks reach from cap height to baseline; commas and descenders hang below, also those
        # of the line above, so there is hardly any slack upwards.
        slack = 0.3 + 0.05 * (box.bottom - box.top)
        hang = 0.5 + 0.2 * (box.bottom - box.top)
        inside |= (
            (x >= box.left - 0.1) & (x <= box.right + 0.1)
            & (y >= box.top - slack) & (y <= box.bottom + hang)
        )  # fmt: skip
    hits = np.flatnonzero(inside & visible)
    text, last = "", None
    for i in hits.tolist():
        if last is not None and any(c != GENERATED_BLANK for c in chars[last + 1 : i]):
            text += " "
        text += chars[i]
        last = i
    return text


def _words(chars: list[str], boxes: Boxes) -> Boxes:
    """Boxes of words; characters of one word that stand on two lines make two boxes."""
    found: list[list[float]] = []
    is_open = False
    for char, (left, top, right, bottom) in zip(chars, boxes.tolist(), strict=True):
        if char.isspace():
            is_open = False
            continue
        if is_open and top < found[-1][3] and bottom > found[-1][1] - 1:
            box = found[-1]
            found[-1] = [min(box[0], left), min(box[1], top), max(box[2], right),
                         max(box[3], bottom)]  # fmt: skip
        else:
            found.append([left, top, right, bottom])
        is_open = True
    return np.array(found).reshape(-1, 4)


def _clashes(words: Boxes) -> int:
    """Pairs of word boxes that overlap by more than 15 % of the smaller area."""
    if len(words) < 2:
        return 0
    left = np.maximum(words[:, None, 0], words[None, :, 0])
    top = np.maximum(words[:, None, 1], words[None, :, 1])
    right = np.minimum(words[:, None, 2], words[None, :, 2])
    bottom = np.minimum(words[:, None, 3], words[None, :, 3])
    shared = np.clip(right - left, 0, None) * np.clip(bottom - top, 0, None)
    area = (words[:, 2] - words[:, 0]) * (words[:, 3] - words[:, 1])
    smaller = np.minimum(area[:, None], area[None, :])
    clash = shared > 0.15 * np.maximum(smaller, 1e-6)
    return int(np.triu(clash, 1).sum())
