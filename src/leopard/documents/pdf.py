"""PDF files as documents, drawn by PDFium.

Knows passwords, page boxes and drawing. What is printed on a page is `pdf_text`'s knowledge.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from leopard.documents.document import one_line
from leopard.documents.limits import Limits
from leopard.documents.resolution import PageExtent
from leopard.errors import DocumentError, DocumentFormatError
from leopard.schema.geometry import ImageSize

PDFIUM_LOCK = threading.RLock()
"""PDFium is not thread-safe: whoever calls it, opening and closing included, holds this lock."""

_WHITE = (255, 255, 255, 255)
_NOT_A_PAGE = "repair the file, for example by printing it to PDF again"


class PDFDocument:
    """A PDF file.

    Args:
        path: The file.
        source: Name for people.
        limits: Limit of pixels per page.
        password: Password, if the file is encrypted; unencrypted files ignore it.

    Raises:
        DocumentFormatError: If the file is damaged, has no pages, or the password is missing or
            wrong.
    """

    def __init__(
        self, path: Path, *, source: str, limits: Limits, password: str | None = None
    ) -> None:
        self.source = source
        self.skipped = Counter[str]()
        self._path = path
        self._limits = limits
        self._password = password
        self._pdf: pdfium.PdfDocument | None = None
        with self._opened() as pdf:
            self.num_pages = len(pdf)
        if self.num_pages < 1:
            self.close()
            raise DocumentFormatError(
                "the PDF file has no pages", source=source, remedy="give a file with pages"
            )

    def extent(self, number: int) -> PageExtent:
        """Width and height in points, crop box and rotation applied."""
        with self._opened() as pdf:
            try:
                width, height = pdf.get_page_size(number - 1)
            except pdfium.PdfiumError as error:
                raise self._damaged(number, error) from error
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise self._damaged(number, f"its size is {width:g} x {height:g} points")
        return PageExtent(width, height, is_vector=True)

    def render(self, number: int, size: ImageSize) -> PIL.Image.Image:
        """Draw a page with its annotations and filled-in form fields on white."""
        self._limits.check_pixels(
            size,
            source=self.source,
            page=number,
            remedy="lower target_dpi or raise max_pixels (--max-megapixels)",
        )
        with self._opened() as pdf:
            try:
                page = pdf[number - 1]
                try:
                    return draw_page(page, size)
                finally:
                    page.close()
            except (pdfium.PdfiumError, ctypes.ArgumentError, ValueError, MemoryError) as error:
                raise self._damaged(number, error) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with PDFIUM_LOCK:
            if self._pdf is not None:
                self._pdf.close()
                self._pdf = None

    @contextmanager
    def _opened(self) -> Iterator[pdfium.PdfDocument]:
        with PDFIUM_LOCK:
            if self._pdf is None:
                try:
                    _forget_last_error()
                    self._pdf = pdfium.PdfDocument(self._path, password=self._password)
                    self._pdf.init_forms()
                except pdfium.PdfiumError as error:
                    self.close()
                    raise self._not_opened(error) from error
                except (OSError, ValueError) as error:
                    raise self._not_opened(error) from error
            yield self._pdf

    def _not_opened(self, error: Exception) -> DocumentError:
        if getattr(error, "err_code", None) != pdfium_c.FPDF_ERR_PASSWORD:
            return DocumentFormatError(
                f"the PDF file is damaged or has no pages ({_reason(error)})",
                source=self.source,
                remedy="repair it or fetch it again",
            )
        if self._password:
            return DocumentFormatError(
                "the password is wrong",
                source=self.source,
                remedy="give the right password (--password)",
            )
        return DocumentFormatError(
            "the PDF file is encrypted and no password was given",
            source=self.source,
            remedy="give the password (--password)",
        )

    def _damaged(self, number: int, error: object) -> DocumentFormatError:
        return DocumentFormatError(
            f"the page is damaged ({_reason(error)})",
            source=self.source,
            page=number,
            remedy=_NOT_A_PAGE,
        )


def _forget_last_error() -> None:
    """Leave no password error behind.

    PDFium refuses a file without pages but sets no error for it; the error of the file before
    would be reported. A file that is none leaves a format error, which is near enough.
    """
    pdfium_c.FPDF_LoadMemDocument(b"", 0, None)


def draw_page(page: pdfium.PdfPage, size: ImageSize) -> PIL.Image.Image:
    """Draw a PDFium page at a size in pixels: RGB, on white, with annotations and form fields.

    The whole page is drawn into the size; the caller keeps the aspect. Crop box and rotation are
    PDFium's part.

    Raises:
        pypdfium2.PdfiumError: If the bitmap cannot be made.
    """
    with PDFIUM_LOCK:
        bitmap = pdfium.PdfBitmap.new_native(
            size.width, size.height, pdfium_c.FPDFBitmap_BGR, rev_byteorder=True
        )
        try:
            bitmap.fill_rect(_WHITE, 0, 0, size.width, size.height)
            flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
            place = (0, 0, size.width, size.height, 0, flags)
            pdfium_c.FPDF_RenderPageBitmap(bitmap, page, *place)
            if page.formenv is not None:
                pdfium_c.FPDF_FFLDraw(page.formenv, bitmap, page, *place)
            # The picture must not share memory with a bitmap that is about to be closed.
            image: PIL.Image.Image = bitmap.to_pil()
            return image.copy()
        finally:
            bitmap.close()


def _reason(error: object) -> str:
    """The reason alone, of `Failed to load document (PDFium: Data format error).` and the like."""
    text = one_line(error)
    _, found, reason = text.rpartition("(PDFium: ")
    return reason.rstrip(").") if found else text
