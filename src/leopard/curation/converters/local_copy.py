"""A user's local copy of a source: the files of one folder, by their path inside it.

Reads JSON, JSON lines, CSV, parquet, gzipped JSON, images and PDF pages. Only files that lie in
the folder can be read, whatever paths the records name. Knows nothing of any source.
"""

from __future__ import annotations

import csv
import fnmatch
import gzip
import hashlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from leopard.curation.converters.drafts import Picture
from leopard.curation.imports import BadRecordError
from leopard.errors import ConfigError, DataError, DocumentError

Record = Mapping[str, Any]
PDF_DPI = 150
"""Resolution of PDF pages, in pixels per inch."""
MAX_JSON_GZ = 64 * 2**20
"""Largest gzipped JSON that is unpacked, in bytes."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `slide_10` after `slide_9`."""
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


class LocalCopy:
    """Files of one source.

    Args:
        root: Folder with the unpacked files.
        hint: Where to get them; ends every message about missing files.

    Raises:
        DataError: If there is no such folder.
    """

    def __init__(self, root: Path, *, hint: str = "") -> None:
        self.root = root
        self.hint = hint
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give the unpacked files. {hint}")
        self._inside = root.resolve()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files, as paths with slashes, in natural order."""
        files = (f for f in self.root.rglob("*") if f.is_file())
        found = (str(PurePosixPath(f.relative_to(self.root))) for f in files)
        return tuple(sorted(found, key=natural_key))

    @cached_property
    def _by_tail(self) -> dict[str, list[str]]:
        tails: dict[str, list[str]] = {}
        for name in self.names:
            tails.setdefault(PurePosixPath(name).name, []).append(name)
        return tails

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the names and sizes of all files, in hex."""
        sizes = ((name, (self.root / name).stat().st_size) for name in self.names)
        return hashlib.sha256(repr(list(sizes)).encode()).hexdigest()

    def matching(self, *patterns: str) -> list[str]:
        """Files whose path fits one of the patterns at its end, in natural order."""
        return [
            name
            for name in self.names
            if any(fnmatch.fnmatchcase(f"/{name}", f"*/{pattern}") for pattern in patterns)
        ]

    def find(self, *patterns: str) -> str:
        """The first file that fits, patterns in order of preference.

        Raises:
            DataError: If there is none.
        """
        for pattern in patterns:
            if found := self.matching(pattern):
                return found[0]
        raise DataError(f"{self.root}: holds no {' or '.join(patterns)}. {self.hint}")

    def locate(self, *candidates: str) -> str:
        """The one file at one of these paths, or whose path ends so.

        Raises:
            BadRecordError: If there is none, or a path fits several files.
        """
        for candidate in candidates:
            path = candidate.replace("\\", "/").removeprefix("./").lstrip("/")
            ends = self._by_tail.get(PurePosixPath(path).name, [])
            fitting = [name for name in ends if name == path or name.endswith(f"/{path}")]
            if path in fitting:
                return path
            if len(fitting) > 1:
                raise BadRecordError("a file name fits several files")
            if fitting:
                return fitting[0]
        raise BadRecordError("a file is missing")

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            BadRecordError: If it leads out of the folder or cannot be read.
        """
        try:
            return self.path_of(name).read_bytes()
        except OSError as error:
            raise BadRecordError("a file cannot be read") from error

    def path_of(self, name: str) -> Path:
        """Where a file lies, links followed.

        Raises:
            BadRecordError: If it leads out of the folder.
        """
        path = (self.root / name).resolve()
        if not path.is_relative_to(self._inside):
            raise BadRecordError("a file lies outside the folder")
        return path

    def text(self, name: str) -> str:
        """Content of a UTF-8 file.

        Raises:
            BadRecordError: If it is not UTF-8.
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadRecordError("a file is not UTF-8") from error

    def json(self, name: str) -> Any:
        """Content of a file of many records.

        Raises:
            DataError: If it is not JSON.
        """
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError, BadRecordError) as error:
            raise DataError(
                f"{self.root}/{name}: not JSON ({error}); fetch the file again"
            ) from error

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

    def parquet(self, *patterns: str) -> Iterator[Record]:
        """Rows of all parquet files that fit, file after file.

        Raises:
            DataError: If there is none, or one is damaged.
            ConfigError: If pyarrow is not installed.
        """
        self.find(*patterns)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ConfigError(
                "parquet needs pyarrow, which is not installed: pip install 'leopard[curation]'"
            ) from error
        for name in self.matching(*patterns):
            try:
                file = pyarrow.parquet.ParquetFile(self.path_of(name))
                for batch in file.iter_batches(batch_size=32):
                    yield from batch.to_pylist()
            except (pyarrow.ArrowException, OSError) as error:
                raise DataError(
                    f"{self.root}/{name}: not readable as parquet ({error}); fetch the file again"
                ) from error

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
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
