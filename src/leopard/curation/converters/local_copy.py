"""A user's local copy of a source: the files of one folder, by their path inside it.

Reads JSON, JSON lines, CSV, parquet, gzipped JSON, images and PDF pages. Only files that lie in
the folder can be read, whatever paths the records name. Knows nothing of any source.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from leopard.curation.converters.drafts import Picture
from leopard.curation.imports import BadRecordError
from leopard.errors import DataError, DocumentError
from leopard.schema.file_set import FileSet
from leopard.schema.pixels import png_bytes

Record = Mapping[str, Any]
PDF_DPI = 150
"""Resolution of PDF pages, in pixels per inch."""
MAX_JSON_GZ = 64 * 2**20
"""Largest gzipped JSON that is unpacked, in bytes."""


class LocalCopy(FileSet):
    """Files of one source.

    Args:
        root: Folder with the unpacked files.
        hint: Where to get them; ends every message about missing files.

    Raises:
        DataError: If there is no such folder.
    """

    def __init__(self, root: Path, *, hint: str = "") -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the unpacked files. {hint}")
        super().__init__(root, hint=hint)
        self._inside = root.resolve()

    def file_error(self, reason: str, _: str, /) -> BadRecordError:
        """The reason alone: reasons are counted."""
        return BadRecordError(reason)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files, in hex."""
        sizes = ((name, (self.path / name).stat().st_size) for name in self.names)
        return hashlib.sha256(repr(list(sizes)).encode()).hexdigest()

    def path_of(self, name: str) -> Path:
        """Where a file lies, links followed.

        Raises:
            BadRecordError: If it leads out of the folder.
        """
        path = (self.path / name).resolve()
        if not path.is_relative_to(self._inside):
            raise BadRecordError("a file lies outside the folder")
        return path

    def record_json(self, name: str) -> Any:
        """Content of the JSON file of one record, gzipped if its name ends in `.gz`.

        Raises:
            BadRecordError: If it is not JSON.
        """
        content = self.read(name)
        try:
            if name.endswith(".gz"):
                with gzip.open(io.BytesIO(content)) as file:
                    content = file.read(MAX_JSON_GZ + 1)
                if len(content) > MAX_JSON_GZ:
                    raise BadRecordError("a gzipped file is too large")
            return json.loads(content)
        except (ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
            raise BadRecordError("a file of a record is not JSON") from error

    def jsonl(self, name: str, rejects: Counter[str]) -> Iterator[Record]:
        """Records of a JSON-lines file; lines that are none are counted."""
        with io.TextIOWrapper(io.BytesIO(self.read(name)), "utf-8-sig", errors="replace") as file:
            for line in file:
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    rejects["a line is not JSON"] += 1

    def csv(self, name: str) -> Iterator[Record]:
        """Records of a CSV file with a header."""
        yield from csv.DictReader(io.StringIO(self.text(name)))

    def picture(self, *candidates: str) -> Picture:
        """The image at one of these paths.

        Raises:
            BadRecordError: If there is none.
        """
        name = self.locate(*candidates)
        return Picture(name=name, load=partial(self.read, name))

    def pdf_pages(self, name: str) -> tuple[Picture, ...]:
        """All pages of a PDF as pictures of 150 pixels per inch.

        Raises:
            BadRecordError: If the file is no PDF that can be opened.
        """
        from leopard.documents.limits import Limits
        from leopard.documents.pdf import PDFDocument

        path = self.path_of(name)
        try:
            document = PDFDocument(path, source=name, limits=Limits())
        except DocumentError as error:
            raise BadRecordError("a PDF cannot be opened") from error
        try:
            count = document.num_pages
        finally:
            document.close()
        stem = name.removesuffix(".pdf")
        return tuple(
            Picture(name=f"{stem}_p{page}.png", load=partial(_draw_page, path, page))
            for page in range(1, count + 1)
        )


def _draw_page(path: Path, page: int) -> bytes:
    from leopard.documents.limits import Limits
    from leopard.documents.pdf import PDFDocument
    from leopard.schema.geometry import ImageSize

    try:
        document = PDFDocument(path, source=path.name, limits=Limits())
        try:
            extent = document.extent(page)
            scale = PDF_DPI / 72
            size = ImageSize(round(extent.width * scale), round(extent.height * scale))
            image = document.render(page, size)
        finally:
            document.close()
    except DocumentError as error:
        raise BadRecordError("a PDF page cannot be drawn") from error
    return png_bytes(image)
