"""A benchmark's files on disk: a folder or a zip, as distributed.

Reads JSON, JSON lines, TSV, parquet, images and PDF pages. Knows nothing of any benchmark.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from leopard.documents.resolution import PageExtent, drawn_size
from leopard.errors import EvaluationError
from leopard.evaluation.samples import DrawnPage, ImageSource
from leopard.schema.geometry import ImageSize

Record = dict[str, Any]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PDF_DPI = 144
"""Resolution of PDF pages, in pixels per inch (as MMLongBench-Doc renders them)."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `page_10` after `page_9`."""
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


class DataFolder:
    """Files of one benchmark, by their path inside its folder or zip.

    Args:
        path: Folder, zip, or one shard (a parquet file).
        hint: Where to get the benchmark; ends every message about missing files.
    """

    def __init__(self, path: Path | str, *, hint: str = "") -> None:
        self.path = Path(path)
        self.hint = hint
        if not self.path.exists():
            raise EvaluationError(f"{self.path}: no such file or folder. {hint}")
        self._zip: zipfile.ZipFile | None = None
        self._page_counts: dict[str, int] = {}
        if self.path.is_file():
            if self.path.suffix == ".parquet":
                return
            if not zipfile.is_zipfile(self.path):
                raise EvaluationError(f"{self.path}: give the folder or the zip. {hint}")
            self._zip = zipfile.ZipFile(self.path)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files, in natural order."""
        if self._zip is not None:
            found = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            found = [
                str(PurePosixPath(file.relative_to(self.path)))
                for file in self.path.rglob("*")
                if file.is_file()
            ]
        return tuple(sorted(found, key=natural_key))

    @cached_property
    def _by_tail(self) -> dict[str, list[str]]:
        tails: dict[str, list[str]] = {}
        for name in self.names:
            tails.setdefault(PurePosixPath(name).name, []).append(name)
        return tails

    def matching(self, *patterns: str) -> list[str]:
        """Files whose path fits one of the patterns at its end, in natural order."""
        return [
            name
            for name in self.names
            if any(fnmatch.fnmatch(f"/{name}", f"*/{pattern}") for pattern in patterns)
        ]

    def find(self, *patterns: str) -> str:
        """The first file that fits, patterns in order of preference.

        Raises:
            EvaluationError: If there is none.
        """
        for pattern in patterns:
            found = self.matching(pattern)
            if found:
                return found[0]
        raise EvaluationError(f"{self.path}: holds no {' or '.join(patterns)}. {self.hint}")

    def locate(self, *candidates: str) -> str:
        """The one file at one of these paths, or whose path ends so.

        Raises:
            EvaluationError: If there is none, or if a bare name fits several files.
        """
        for candidate in candidates:
            path = candidate.replace("\\", "/").lstrip("./")
            fitting = [
                name
                for name in self._by_tail.get(PurePosixPath(path).name, [])
                if name == path or name.endswith(f"/{path}")
            ]
            if path in fitting:
                return path
            if len(fitting) > 1:
                raise EvaluationError(f"{path}: fits {len(fitting)} files, such as {fitting[0]}")
            if fitting:
                return fitting[0]
        raise EvaluationError(f"missing file {candidates[0]}")

    def read(self, name: str) -> bytes:
        """Content of a file."""
        if self._zip is not None:
            return self._zip.read(name)
        return (self.path / name).read_bytes()

    def text(self, name: str) -> str:
        """Content of a UTF-8 file."""
        return self.read(name).decode("utf-8-sig")

    def json(self, name: str) -> Any:
        """Content of a JSON file.

        Raises:
            EvaluationError: If it is not JSON.
        """
        try:
            return json.loads(self.text(name))
        except ValueError as error:
            raise EvaluationError(f"{self.path}/{name}: not JSON ({error})") from error

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

    def parquet(self, *patterns: str) -> Iterator[Record]:
        """Records of all parquet files that fit, file after file.

        Raises:
            EvaluationError: If there is none, or pyarrow is not installed.
        """
        self.find(*patterns)
        try:
            import pyarrow.parquet
        except ModuleNotFoundError as error:
            raise EvaluationError(
                "reading parquet needs pyarrow; run: pip install 'leopard[evaluation]'"
            ) from error
        for name in self.matching(*patterns):
            file = pyarrow.parquet.ParquetFile(io.BytesIO(self.read(name)))
            for batch in file.iter_batches(batch_size=64):
                for record in batch.to_pylist():
                    yield {**record, "_file": name}

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


def png_bytes(image: Any) -> bytes:
    """A Pillow image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def embedded_image(value: Any, label: str) -> ImageSource:
    """An image inside a record: bytes, or `{bytes, path}` as the `datasets` library stores it.

    Raises:
        EvaluationError: If it holds no bytes.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise EvaluationError(f"{label}: the record holds no image bytes")
    return ImageSource(label, lambda: content)
