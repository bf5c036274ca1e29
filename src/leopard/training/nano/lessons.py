"""A lesson: one picture of a page, what is printed where, and questions with printed answers.

Lessons are drawn from the PDF that a page source makes, so that every character's box is exact.
Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leopard.documents.resolution import POINTS_PER_INCH, PageExtent
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import with_margins
from leopard.training.nano.characters import Glyph, Place

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from leopard.documents.options import LoadOptions

_LEADERS = re.compile(r"(?:\s?\.){4,}")
"""Dots between a label and its value are no text to learn."""
_SPACED = 2.2
"""Widest gap that still is one blank, in heights of a character."""


Asked = tuple[tuple[str, str, str], ...]
"""(question, answer, family) triples."""


@dataclass(frozen=True, slots=True)
class PageDraft:
    """A page as its source makes it."""

    pdf: bytes
    questions: Asked
    """The answers are printed on the page."""


@dataclass(frozen=True, slots=True)
class DocumentDraft:
    """A document as its source makes it."""

    pdf: bytes
    questions: tuple[Asked, ...]
    """For each page, what it answers; an answer that no page prints belongs to the first page. In
    place of the answer Yes stands what was asked after, as it is printed."""


class PageSource(Protocol):
    """Makes pages and documents from seeds. Must be picklable: workers get a copy each."""

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        """A page that has this size in pixels at `dpi`, with text of `text_px`; None to skip."""
        ...

    def document(self, seed: int) -> DocumentDraft | None:
        """A document of a few pages; None to skip."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """One page to learn from."""

    image: Picture
    glyphs: tuple[Glyph, ...]
    """Characters in the order of the text layer, in pixels."""
    questions: Asked


def draw_lessons(
    pdf: bytes, questions: Sequence[Asked], *, options: LoadOptions, has_pictures: bool = True
) -> list[Lesson]:
    """Rasterise pages as loading does, and read their text layer.

    Args:
        pdf: The document.
        questions: What each page answers; as many pages are drawn.
        options: At which resolution, and whether with margins.
        has_pictures: Whether to draw; else the pages are white.
    """
    import pypdfium2 as pdfium
    from PIL import Image

    from leopard.documents.loader import drawn_sizes
    from leopard.documents.pdf import draw_page
    from leopard.documents.pdf_text import pdf_text_layer

    document = pdfium.PdfDocument(pdf)
    lessons = []
    try:
        pages = [document[number] for number in range(len(questions))]
        extents = [PageExtent(p.get_width(), p.get_height(), is_vector=True) for p in pages]
        sizes = drawn_sizes(extents, options)
        for page, extent, size, asked in zip(pages, extents, sizes, questions, strict=True):
            dpi = size.page.width / extent.width * POINTS_PER_INCH
            if has_pictures:
                picture = with_margins(draw_page(page, size.page), size.picture)
            else:
                picture = Image.new("1", (size.picture.width, size.picture.height), 1)
            lessons.append(Lesson(picture, _glyphs(pdf_text_layer(page, dpi=dpi)), asked))
    finally:
        document.close()
    return lessons


def _glyphs(layer: Sequence[object]) -> tuple[Glyph, ...]:
    from leopard.documents.pdf_text import PrintedChar

    glyphs: list[Glyph] = []
    is_gap = False
    for char in layer:
        if not isinstance(char, PrintedChar):
            is_gap = True
            continue
        is_spaced = is_gap and bool(glyphs) and _is_next_word(glyphs[-1], char)
        glyphs.append(Glyph(char.text, char.box, char.line_middle, is_spaced))
        is_gap = False
    return tuple(glyphs)


def _is_next_word(before: Glyph, char: object) -> bool:
    from leopard.documents.pdf_text import PrintedChar

    assert isinstance(char, PrintedChar)
    gap = char.box.left - before.box.right
    height = char.box.bottom - char.box.top
    is_same_line = abs(char.line_middle - before.line_middle) < 3
    return is_same_line and -1 < gap < (height + 6) * _SPACED


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line of text, or a part of one that stands apart; its characters know where they stand."""

    text: str
    pointers: tuple[tuple[int, int], ...]
    """(token, slot) for each character, (-1, -1) where unknown."""
    row: int = -1
    """Number of the line of the page; its parts have the same."""


def printed_lines(glyphs: Sequence[Glyph], places: Sequence[Place | None]) -> list[PrintedLine]:
    """Text of a page by visual lines and their parts, in the order of the text layer.

    Args:
        glyphs: Characters of the page.
        places: Place of each character.
    """
    lines: list[PrintedLine] = []
    current: list[tuple[str, tuple[int, int]]] = []
    before: Glyph | None = None
    row = 0
    for glyph, place in zip(glyphs, places, strict=True):
        if before is not None and (_starts_line(before, glyph) or _stands_apart(before, glyph)):
            lines += _split_leaders(current, row)
            current = []
            row += _starts_line(before, glyph)
        if glyph.after_blank and current:
            known = place is not None and place.blank_slot >= 0
            current.append((" ", (place.token, place.blank_slot) if known and place else (-1, -1)))
        current.append((glyph.text, (place.token, place.slot) if place else (-1, -1)))
        before = glyph
    return lines + _split_leaders(current, row)


def _stands_apart(before: Glyph, glyph: Glyph) -> bool:
    """Whether a gap too wide for a blank is between two characters of a line."""
    height = glyph.box.bottom - glyph.box.top
    return not glyph.after_blank and glyph.box.left - before.box.right > (height + 6) * _SPACED


def _starts_line(before: Glyph, glyph: Glyph) -> bool:
    height = max(8.0, before.box.bottom - before.box.top, glyph.box.bottom - glyph.box.top)
    down = abs(glyph.line_middle - before.line_middle)
    return down > 1.2 * height or (down > 0.6 * height and glyph.box.left < before.box.right)


def _split_leaders(current: list[tuple[str, tuple[int, int]]], row: int) -> list[PrintedLine]:
    text = "".join(char for char, _ in current)
    lines = []
    start = 0
    for end, resume in [*(match.span() for match in _LEADERS.finditer(text)), (len(text),) * 2]:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = left + len(piece.strip())
        if right > left:
            pointers = tuple(pointer for _, pointer in current[left:right])
            lines.append(PrintedLine(text[left:right], pointers, row))
        start = resume
    return lines
