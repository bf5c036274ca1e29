"""What a PDF really shows: the text under every mark, and whether text clashes or is cut off.

The boxes of marks are link annotations; the text is the PDF's own text layer. Nothing here looks
at the facts, so that what is read can disprove them. Knows nothing of questions.
"""

from __future__ import annotations

import ctypes
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
NEAR = 0.2
"""Least gap between words as a share of the height of their ink; blanks are twice as wide."""
CELL_GAP = 0.4
"""Least gap between neighbouring cells, in em: more than a blank in most fonts."""
COVERED = 0.15
"""Least width of text under a later fill, as a share of the height of the text."""
CSS_PIXEL = 0.75
"""Points; browsers write sizes of text in CSS pixels."""


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
    num_touching: int
    """Words set apart that nearly touch, and neighbouring cells with less than a blank between."""
    num_clipped: int
    """Characters that reach over the edge of the page."""
    num_covered: int
    """Texts over which something filled is painted afterwards, such as the box beside theirs."""
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


def count_pages(data: bytes) -> int:
    """Pages of a PDF. PDFium is not thread-safe: call from one thread."""
    pdf = pdfium.PdfDocument(data)
    try:
        return len(pdf)
    finally:
        pdf.close()


def _read_page(pdf: pdfium.PdfDocument, index: int, prints_blanks: bool) -> PrintedPage:
    page = pdf[index]
    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        layer = _read_layer(textpage, height, prints_blanks)
        marks = _marks(page, height)
        covered = _covered(page)
        within = {element: _within(found, layer) for element, found in marks.items()}
        sizes = {
            element: raw.FPDFText_GetFontSize(textpage.raw, layer.positions[hits[0]])
            for element, hits in within.items()
            if len(hits)
        }
    finally:
        textpage.close()
        page.close()
    chars, boxes, visible = layer.chars, layer.boxes, layer.visible
    places = {
        element: Place(index, tuple(found), _text(within[element], chars))
        for element, found in marks.items()
    }
    touching = _crowded(marks, sizes, 1 if prints_blanks else CSS_PIXEL)
    if prints_blanks:  # browsers set words in pieces, and tables as wide as their longest words
        touching += _touching(_pieces(layer))
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
        num_touching=touching,
        num_clipped=int(clipped.sum()),
        num_covered=covered,
        min_text_height=min(heights, default=float("inf")),
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    """The text layer of a page, one entry per character."""

    chars: list[str]
    boxes: Boxes
    """Ink: left, top, right, bottom in points, (character, 4)."""
    runs: list[int | None]
    """What the file sets at once, a text object; None for what PDFium adds."""
    positions: list[int]
    """Number of the character in PDFium's layer."""
    visible: npt.NDArray[np.bool_]


def _read_layer(textpage: Any, height: float, prints_blanks: bool) -> _Layer:
    chars: list[str] = []
    boxes: list[Rectangle] = []
    runs: list[int | None] = []
    positions: list[int] = []
    for index, char, ink in raw_characters(textpage):
        if char == " " and prints_blanks and raw.FPDFText_IsGenerated(textpage.raw, index) == 1:
            char = GENERATED_BLANK
        chars.append("-" if char == LINE_END_HYPHEN else " " if char < " " else char)
        left, bottom, right, top = ink or (0.0, 0.0, 0.0, 0.0)
        boxes.append((left, height - top, right, height - bottom))
        run = raw.FPDFText_GetTextObject(textpage.raw, index)
        runs.append(ctypes.cast(run, ctypes.c_void_p).value)
        positions.append(index)
    visible = np.array([not c.isspace() for c in chars], dtype=bool)
    return _Layer(chars, np.array(boxes).reshape(-1, 4), runs, positions, visible)


def _marks(page: pdfium.PdfPage, height: float) -> dict[str, list[Box]]:
    """Boxes of every mark; a mark that wraps has one box per line."""
    found: dict[str, list[Box]] = defaultdict(list)
    for uri, (left, one, right, other) in raw_links(page):
        if uri.startswith(MARK_SCHEME):
            top, bottom = sorted((height - one, height - other))
            found[uri.removeprefix(MARK_SCHEME)].append(Box(left, top, right, bottom))
    return dict(found)


def _covered(page: pdfium.PdfPage) -> int:
    """Texts under a fill that is painted later; by the boxes of the page's own objects."""
    texts: list[tuple[float, float, float, float]] = []
    fills: list[tuple[int, tuple[float, float, float, float]]] = []
    for item in page.get_objects(max_depth=1):
        if item.type == raw.FPDF_PAGEOBJ_TEXT:
            texts.append(item.get_bounds())
        elif item.type == raw.FPDF_PAGEOBJ_PATH and texts and _is_filled(item):
            fills.append((len(texts), item.get_bounds()))
    if not fills:
        return 0
    words = np.array(texts)
    hidden = np.zeros(len(words), dtype=bool)
    for count, (left, bottom, right, top) in fills:
        height = words[:count, 3] - words[:count, 1]
        wide = np.minimum(words[:count, 2], right) - np.maximum(words[:count, 0], left)
        high = np.minimum(words[:count, 3], top) - np.maximum(words[:count, 1], bottom)
        hidden[:count] |= (wide > COVERED * height) & (high > 0.5 * height)
    return int(hidden.sum())


def _is_filled(item: pdfium.PdfObject) -> bool:
    """Whether a path is painted within, and not clear."""
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(item.raw, mode, stroke)
    parts = [ctypes.c_uint() for _ in range(4)]
    raw.FPDFPageObj_GetFillColor(item.raw, *parts)
    return mode.value != raw.FPDF_FILLMODE_NONE and parts[3].value > 0


def _within(lines: list[Box], layer: _Layer) -> list[int]:
    """Characters whose centre lies in one of the boxes, in text-layer order."""
    if not layer.chars:
        return []
    boxes = layer.boxes
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    inside = np.zeros(len(boxes), dtype=bool)
    for box in lines:
        # Marks reach from cap height to baseline; commas and descenders hang below, also those
        # of the line above, so there is hardly any slack upwards.
        slack = 0.3 + 0.05 * (box.bottom - box.top)
        hang = 0.5 + 0.2 * (box.bottom - box.top)
        inside |= (
            (x >= box.left - 0.1) & (x <= box.right + 0.1)
            & (y >= box.top - slack) & (y <= box.bottom + hang)
        )  # fmt: skip
    hits: list[int] = np.flatnonzero(inside & layer.visible).tolist()
    return hits


def _text(hits: list[int], chars: list[str]) -> str:
    """The characters with a blank where one is printed between them."""
    text, last = "", None
    for i in hits:
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


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Parts of words that are set at once and say something: punctuation alone may touch."""

    boxes: Boxes
    """Left, top, right, bottom in points, (piece, 4)."""
    runs: npt.NDArray[np.int64]
    """Number of the run that each belongs to, (piece,)."""


def _pieces(layer: _Layer) -> _Pieces:
    found: list[tuple[list[float], int]] = []
    text, numbers = "", dict[int | None, int]()
    last: int | None = None
    for char, run, box in zip(
        [*layer.chars, " "], [*layer.runs, None], [*layer.boxes.tolist(), []], strict=True
    ):
        is_blank = char.isspace()
        if text and (is_blank or run != last):
            if not any(c.isalnum() for c in text):
                found.pop()
            text = ""
        if not is_blank and text:
            whole = found[-1][0]
            whole[:] = [*map(min, whole[:2], box[:2]), *map(max, whole[2:], box[2:])]
        elif not is_blank:
            found.append((list(box), numbers.setdefault(run, len(numbers))))
        text, last = ("" if is_blank else text + char), run
    return _Pieces(
        np.array([box for box, _ in found]).reshape(-1, 4),
        np.array([number for _, number in found], dtype=np.int64),
    )


def _touching(pieces: _Pieces) -> int:
    """Pairs of pieces of different runs that stand on one line and read as one word."""
    boxes = pieces.boxes
    if len(boxes) < 2:
        return 0
    gap, is_level, height = _beside(boxes)
    touch = is_level & (gap < NEAR * height)
    touch &= pieces.runs[:, None] != pieces.runs[None, :]
    return int(np.triu(touch, 1).sum())


def _crowded(
    marks: Mapping[str, list[Box]], sizes: Mapping[str, float], points_per_unit: float
) -> int:
    """Pairs of neighbouring headers, keys or cells of a table with less than a blank between."""
    groups: dict[tuple[str, bool], list[tuple[int, Box, float]]] = defaultdict(list)
    for number, (element, lines) in enumerate(marks.items()):
        table, *place = element.split(".")
        if place and place != ["h", "t"]:
            is_name = place[0] == "h" or place[-1] == "k"
            em = sizes.get(element, 0) * points_per_unit
            groups[table, is_name] += ((number, line, em) for line in lines)
    count = 0
    for members in groups.values():
        boxes = np.array([(b.left, b.top, b.right, b.bottom) for _, b, _ in members])
        numbers = np.array([number for number, _, _ in members])
        ems = np.array([em for _, _, em in members])
        gap, is_level, _ = _beside(boxes)
        near = is_level & (gap < CELL_GAP * np.minimum(ems[:, None], ems[None, :]))
        near &= numbers[:, None] != numbers[None, :]
        count += int(np.triu(near, 1).sum())
    return count


def _beside(boxes: Boxes) -> tuple[Boxes, npt.NDArray[np.bool_], Boxes]:
    """For all pairs: the gap from side to side, whether both are on one line, the lower height."""
    gap = np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    gap = gap - np.minimum(boxes[:, None, 2], boxes[None, :, 2])
    heights = boxes[:, 3] - boxes[:, 1]
    height = np.minimum(heights[:, None], heights[None, :])
    level = np.minimum(boxes[:, None, 3], boxes[None, :, 3])
    level = level - np.maximum(boxes[:, None, 1], boxes[None, :, 1])
    return gap, level > 0.5 * height, height


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
