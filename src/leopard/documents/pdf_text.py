"""What is printed on a PDF page and where: characters, words and marked elements, in pixels.

Reads the text layer; knows nothing of pictures of text. Boxes fit the pictures that
`leopard.documents.pdf.draw_page` makes at the same resolution: crop box and rotation are applied.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median_low

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from leopard.documents.pdf import PDFIUM_LOCK
from leopard.documents.resolution import POINTS_PER_INCH
from leopard.schema.geometry import Box

LINE_END_HYPHEN = "\x02"
"""PDFium's character for any hyphen at the end of a line, soft or real."""
BASELINES = 10
"""Baselines and sizes of print are the same to a tenth of a pixel and of a point."""
_SPAN = 1 << 24
"""Device units per page side when the page-to-picture transform is asked of PDFium, which answers
in whole units; fine enough to leave no rounding."""


@dataclass(frozen=True, slots=True)
class PrintedChar:
    """One character with its ink."""

    text: str
    """One character, never blank; a hyphen at a line end is `-`."""
    box: Box
    """Tight box of the ink, in pixels."""
    line_middle: float
    """Height of the middle of its line, in pixels from the top: equal for `g` and `d`, whatever
    boxes the font gives them."""


@dataclass(frozen=True, slots=True)
class PrintedWord:
    """A run of characters without blanks; broken at a line end it has several parts."""

    parts: tuple[str, ...]
    """Text on each line, hyphens included: `("con-", "cerning")`. Mostly one."""
    boxes: tuple[Box, ...]
    """Tight box of each part, in pixels."""

    @property
    def text(self) -> str:
        """The parts in one, with the hyphen of the line end: `con-cerning`."""
        return "".join(self.parts)


def pdf_chars(page: pdfium.PdfPage, *, dpi: float) -> list[PrintedChar]:
    """Characters of a page in the order of the text layer, blanks left out.

    Args:
        page: A PDFium page.
        dpi: Resolution of the picture that the boxes are for, in pixels per inch.
    """
    return [char for char in pdf_text_layer(page, dpi=dpi) if char is not None]


def pdf_text_layer(page: pdfium.PdfPage, *, dpi: float) -> list[PrintedChar | None]:
    """Characters of a page in the order of the text layer; None stands for a blank.

    Args:
        page: A PDFium page.
        dpi: Resolution of the picture that the boxes are for, in pixels per inch.
    """
    return [
        None if box is None else PrintedChar("-" if text == LINE_END_HYPHEN else text, box, middle)
        for text, box, middle in _layer(page, dpi)
    ]


def pdf_words(page: pdfium.PdfPage, *, dpi: float) -> list[PrintedWord]:
    """Words of a page in the order of the text layer.

    A word that is broken at the end of a line has one part and one box for each line, so that no
    box spans two lines.

    Args:
        page: A PDFium page.
        dpi: Resolution of the picture that the boxes are for, in pixels per inch.
    """
    words: list[PrintedWord] = []
    parts: list[tuple[str, Box]] = []
    is_line_end = True
    for text, box, _ in _layer(page, dpi):
        if box is None:
            words += _as_word(parts)
            parts, is_line_end = [], True
            continue
        shown = "-" if text == LINE_END_HYPHEN else text
        if is_line_end:
            parts.append((shown, box))
        else:
            parts[-1] = (parts[-1][0] + shown, _union(parts[-1][1], box))
        is_line_end = text == LINE_END_HYPHEN
    return words + _as_word(parts)


def pdf_marks(page: pdfium.PdfPage, *, dpi: float) -> dict[str, list[Box]]:
    """Boxes of the web links of a page by address; a link over several lines has several boxes.

    Generators of training pages mark elements with links such as `gt:table.3`; see PDF 32000-1,
    12.5.6.5 (link annotations) and 12.6.4.7 (URI actions).

    Args:
        page: A PDFium page whose document is still open.
        dpi: Resolution of the picture that the boxes are for, in pixels per inch.
    """
    found: dict[str, list[Box]] = {}
    with PDFIUM_LOCK:
        place = _placement(page, dpi)
        for uri, rectangle in raw_links(page):
            found.setdefault(uri, []).append(place(*rectangle))
    return found


Rectangle = tuple[float, float, float, float]
"""Left, bottom, right, top in the page's own coordinates: points, origin bottom left."""


def raw_links(page: pdfium.PdfPage) -> Iterator[tuple[str, Rectangle]]:
    """Address and place of every web link, in the page's own coordinates; takes no lock."""
    position, link, rect = ctypes.c_int(0), pdfium_c.FPDF_LINK(), pdfium_c.FS_RECTF()
    while pdfium_c.FPDFLink_Enumerate(page, position, link):
        action = pdfium_c.FPDFLink_GetAction(link)
        if not action or not pdfium_c.FPDFLink_GetAnnotRect(link, rect):
            continue
        uri = _uri(page, action)
        if uri:
            yield uri, (rect.left, rect.bottom, rect.right, rect.top)


def raw_characters(
    textpage: pdfium.PdfTextPage,
) -> Iterator[tuple[int, str, Rectangle | None]]:
    """Index, text and ink of every character, in the page's own coordinates; takes no lock.

    Two halves of a character beyond 16 bits are one. Without ink there is no rectangle.
    """
    handle = textpage.raw
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    # PDFium's order is left, right, bottom, top.
    refs = tuple(ctypes.byref(side) for side in (left, right, bottom, top))
    high = 0
    for index in range(pdfium_c.FPDFText_CountChars(handle)):
        code = pdfium_c.FPDFText_GetUnicode(handle, index)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00) if high else 0
        high = 0
        has_ink = pdfium_c.FPDFText_GetCharBox(handle, index, *refs)
        ink = (left.value, bottom.value, right.value, top.value) if has_ink else None
        yield index, chr(code), ink


def _as_word(parts: list[tuple[str, Box]]) -> list[PrintedWord]:
    if not parts:
        return []
    return [PrintedWord(tuple(text for text, _ in parts), tuple(box for _, box in parts))]


def _union(one: Box, other: Box) -> Box:
    return Box(
        min(one.left, other.left),
        min(one.top, other.top),
        max(one.right, other.right),
        max(one.bottom, other.bottom),
    )


def _uri(page: pdfium.PdfPage, action: object) -> str:
    length = pdfium_c.FPDFAction_GetURIPath(page.pdf, action, None, 0)
    buffer = ctypes.create_string_buffer(length)
    pdfium_c.FPDFAction_GetURIPath(page.pdf, action, buffer, length)
    return buffer.value.decode("utf-8", "replace")


_Character = tuple[str, Box | None, float]
"""Text, box of the ink, height of the middle of its line; blanks have no box."""


def _layer(page: pdfium.PdfPage, dpi: float) -> list[_Character]:
    """Characters with their boxes; blanks have none."""
    with PDFIUM_LOCK:
        textpage = page.get_textpage()
        try:
            return _read_layer(textpage, _placement(page, dpi))
        finally:
            textpage.close()


def _read_layer(
    textpage: pdfium.PdfTextPage, place: Callable[[float, float, float, float], Box]
) -> list[_Character]:
    """Some fonts give `d` a higher box than `a`; on one baseline the middle one of them counts."""
    loose = pdfium_c.FS_RECTF()
    x, y = ctypes.c_double(), ctypes.c_double()
    layer: list[tuple[str, Box | None, tuple[int, int]]] = []
    middles: dict[tuple[int, int], list[float]] = defaultdict(list)
    for index, text, ink in raw_characters(textpage):
        if ink is None or text == "\0" or text.isspace():
            layer.append((" ", None, (0, 0)))
            continue
        pdfium_c.FPDFText_GetLooseCharBox(textpage, index, loose)
        pdfium_c.FPDFText_GetCharOrigin(textpage, index, x, y)
        size = pdfium_c.FPDFText_GetFontSize(textpage, index)
        line = place(loose.left, loose.bottom, loose.right, loose.top)
        base = place(x.value, y.value, x.value, y.value).top
        baseline = (round(base * BASELINES), round(size * BASELINES))
        middles[baseline].append(line.center[1])
        layer.append((text, place(*ink), baseline))
    middle = {baseline: median_low(heights) for baseline, heights in middles.items()}
    return [(text, box, middle.get(baseline, 0.0)) for text, box, baseline in layer]


def _placement(page: pdfium.PdfPage, dpi: float) -> Callable[[float, float, float, float], Box]:
    """Function from a rectangle in the page's own coordinates to a box in the picture's pixels."""
    width = page.get_width() * dpi / POINTS_PER_INCH
    height = page.get_height() * dpi / POINTS_PER_INCH
    u_unit, v_unit = width / _SPAN, height / _SPAN

    def corner(x: float, y: float) -> tuple[float, float]:
        u, v = ctypes.c_int(), ctypes.c_int()
        pdfium_c.FPDF_PageToDevice(page, 0, 0, _SPAN, _SPAN, 0, x, y, u, v)
        return u.value * u_unit, v.value * v_unit

    # The transform is affine: three points of it are all of it.
    reach = 1000.0
    (u0, v0), (ux, vx), (uy, vy) = corner(0, 0), corner(reach, 0), corner(0, reach)
    du_dx, dv_dx = (ux - u0) / reach, (vx - v0) / reach
    du_dy, dv_dy = (uy - u0) / reach, (vy - v0) / reach

    def place(x0: float, y0: float, x1: float, y1: float) -> Box:
        us = (u0 + du_dx * x0 + du_dy * y0, u0 + du_dx * x1 + du_dy * y1)
        vs = (v0 + dv_dx * x0 + dv_dy * y0, v0 + dv_dx * x1 + dv_dy * y1)
        return Box(min(us), min(vs), max(us), max(vs))

    return place
