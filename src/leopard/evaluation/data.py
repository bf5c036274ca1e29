"""A benchmark's files on disk: a folder or a zip, as distributed.

Reads JSON, JSON lines, TSV, parquet, images and PDF pages. Knows nothing of any benchmark.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from leopard.documents.resolution import PageExtent, drawn_size
from leopard.errors import EvaluationError
from leopard.evaluation.samples import DrawnPage, ImageSource
from leopard.schema.file_set import FileSet
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import png_bytes

Record = dict[str, Any]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PDF_DPI = 144
"""Resolution of PDF pages, in pixels per inch (as MMLongBench-Doc renders them)."""


class DataFolder(FileSet):
    """Files of one benchmark, by their path inside its folder or zip.

    Args:
        path: Folder, zip, or one shard (a parquet file).
        hint: Where to get the benchmark; ends every message about missing files.

    Raises:
        EvaluationError: If there is no such thing.
    """

    set_error = EvaluationError
    whole_files = (".parquet",)
    extra = "evaluation"

    def __init__(self, path: Path | str, *, hint: str = "") -> None:
        super().__init__(path, hint=hint)
        self._page_counts: dict[str, int] = {}

    def file_error(self, reason: str, name: str, /) -> EvaluationError:
        """The problem of one sample, with the file's name."""
        return EvaluationError(f"{reason} ({name})")

    def jsonl(self, name: str) -> Iterator[Record]:
        """Records of a JSON-lines file.

        Raises:
            EvaluationError: At a line that is not JSON.
        """
        for number, line in enumerate(self.text(name).splitlines(), start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise EvaluationError(
                        f"{self.path}/{name}, line {number}: not JSON ({error})"
                    ) from error

    def tsv(self, name: str) -> Iterator[Record]:
        """Records of a tab-separated file with a header; quotes are plain characters."""
        reader = csv.DictReader(
            io.StringIO(self.text(name)), delimiter="\t", quoting=csv.QUOTE_NONE
        )
        yield from reader

    def image(self, *candidates: str) -> ImageSource:
        """An image file at one of these paths.

        Raises:
            EvaluationError: If there is none.
        """
        name = self.locate(*candidates)
        return ImageSource(name, lambda: self.read(name))

    def pdf_pages(self, name: str) -> tuple[ImageSource, ...]:
        """All pages of a PDF as pictures at 144 pixels per inch.

        Raises:
            EvaluationError: If the file is no PDF that can be opened.
        """
        if name not in self._page_counts:
            self._page_counts[name] = _count_pages(self.read(name), name)
        count = self._page_counts[name]
        return tuple(
            ImageSource(f"{name}, page {index + 1}", _page_reader(self, name, index))
            for index in range(count)
        )


def _page_reader(data: DataFolder, name: str, index: int) -> Any:
    def read() -> bytes:
        content = data.read(name)
        return draw_pdf_page(content, index, drawn_size(_extents(content)[index], PDF_DPI))

    return read


def _count_pages(content: bytes, name: str) -> int:
    import pypdfium2

    try:
        return len(_extents(content))
    except pypdfium2.PdfiumError as error:
        raise EvaluationError(f"{name}: cannot be opened as a PDF ({error})") from error


def _extents(pdf: bytes) -> list[PageExtent]:
    """Sizes of all pages of a PDF, in points."""
    import pypdfium2

    from leopard.documents.pdf import PDFIUM_LOCK

    with PDFIUM_LOCK:
        document = pypdfium2.PdfDocument(pdf)
        try:
            sizes = [document.get_page_size(index) for index in range(len(document))]
        finally:
            document.close()
    return [PageExtent(width, height, is_vector=True) for width, height in sizes]


def draw_pdf_page(pdf: bytes, index: int, size: ImageSize) -> bytes:
    """One page of a PDF as a PNG file.

    Args:
        pdf: The PDF file.
        index: Page, from 0.
        size: Size of the picture.
    """
    import pypdfium2

    from leopard.documents.pdf import PDFIUM_LOCK, draw_page

    with PDFIUM_LOCK:
        document = pypdfium2.PdfDocument(pdf)
        try:
            page = document[index]
            image = draw_page(page, size)
            page.close()
        finally:
            document.close()
    return png_bytes(image)


# Several questions are asked about each document.
_drawn_once = lru_cache(maxsize=64)(draw_pdf_page)


def drawn_pages(pdf: bytes, label: str, *, dpi: float, first: int = 1) -> tuple[ImageSource, ...]:
    """All pages of a PDF that we made ourselves, at the resolution that a model wants.

    Args:
        pdf: The PDF file.
        label: Name of the document, for people.
        dpi: Resolution where no model has a say, in pixels per inch.
        first: Number of the first page, for people.
    """
    made = []
    for index, extent in enumerate(_extents(pdf)):
        page = DrawnPage(extent, partial(_drawn_once, pdf, index))
        name = f"{label}, drawn page {first + index}"
        made.append(ImageSource(name, partial(page.at, dpi), page))
    return tuple(made)


def embedded_image(value: Any, label: str) -> ImageSource:
    """An image inside a record: bytes, or `{bytes, path}` as the `datasets` library stores it.

    Raises:
        EvaluationError: If it holds no bytes.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise EvaluationError(f"{label}: the record holds no image bytes")
    return ImageSource(label, lambda: content)
