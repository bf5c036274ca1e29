"""A user's local copy of a data set: the files of one folder or zip, by their path inside it.

Files are found by the end of their path, so that it does not matter where an archive was unpacked.
Knows nothing of any data set.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from leopard.errors import ConfigError, DataError

_DIGITS = re.compile(r"(\d+)")
_PARQUET_ROWS = 32
"""Rows held at a time: a row may hold many pictures."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `page2` before `page10`; letter case does not count."""
    parts = _DIGITS.split(name.casefold())
    return tuple(
        (0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part)
        for part in parts
        if part
    )


def _is_litter(name: str) -> bool:
    """Files that download tools and archivers leave behind; their names end like real ones."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts)


class FileSet:
    """Files of one data set.

    Args:
        path: Folder or zip.
        hint: Where to get the files; ends every message about missing ones.

    Raises:
        DataError: If there is no such folder or zip (or the `set_error` of a subclass).
    """

    set_error: ClassVar[type[Exception]] = DataError
    """Raised when the set as a whole is not what it should be."""
    whole_files: ClassVar[tuple[str, ...]] = ()
    """Suffixes of single files that are a set by themselves."""
    extra: ClassVar[str] = "curation"
    """The extra of the package that brings what parquet files need."""

    def __init__(self, path: Path | str, *, hint: str = "") -> None:
        self.path = Path(path)
        self.hint = hint
        self._zip: zipfile.ZipFile | None = None
        if not self.path.exists():
            raise self.set_error(f"{self.path}: no such folder or zip. {hint}")
        if self.path.is_file() and self.path.suffix not in self.whole_files:
            if not zipfile.is_zipfile(self.path):
                raise self.set_error(f"{self.path}: not a folder or a zip. {hint}")
            self._zip = zipfile.ZipFile(self.path)

    def file_error(self, reason: str, name: str, /) -> Exception:
        """The error of one file that a record needs; other records may be fine."""
        return DataError(f"{reason} ({name})")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files, as paths with slashes, in natural order."""
        if self._zip is not None:
            found = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            files = (file for file in self.path.rglob("*") if file.is_file())
            found = [str(PurePosixPath(file.relative_to(self.path))) for file in files]
        found = [name for name in found if not _is_litter(name)]
        # Names that differ in case alone must not depend on the order of the disk.
        return tuple(sorted(found, key=lambda name: (natural_key(name), name)))

    @cached_property
    def _by_tail(self) -> dict[str, list[str]]:
        tails: dict[str, list[str]] = {}
        for name in self.names:
            tails.setdefault(PurePosixPath(name).name, []).append(name)
        return tails

    def matching(self, *patterns: str) -> list[str]:
        """Files whose path fits one of the patterns at its end, in natural order.

        A star stands for any part of one name: `*DUDE*.json` fits no file of a folder `DUDE`.
        """
        return [
            name
            for name in self.names
            if any(PurePosixPath(name).match(pattern) for pattern in patterns)
        ]

    def find(self, *patterns: str) -> str:
        """The first file that fits, patterns in order of preference.

        Raises:
            DataError: If there is none (or the `set_error` of a subclass).
        """
        for pattern in patterns:
            if found := self.matching(pattern):
                return found[0]
        raise self.set_error(f"{self.path}: holds no {' or '.join(patterns)}. {self.hint}")

    def locate(self, *candidates: str) -> str:
        """The one file at one of these paths, or whose path ends so.

        Raises:
            DataError: If there is none, or a path fits several files (or the `file_error` of a
                subclass).
        """
        for candidate in candidates:
            path = candidate.replace("\\", "/").removeprefix("./").lstrip("/")
            ends = self._by_tail.get(PurePosixPath(path).name, [])
            fitting = [name for name in ends if name == path or name.endswith(f"/{path}")]
            if path in fitting:
                return path
            if len(fitting) > 1:
                raise self.file_error("a file name fits several files", path)
            if fitting:
                return fitting[0]
        raise self.file_error("a file is missing", candidates[0])

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            DataError: If it cannot be read (or the `file_error` of a subclass).
        """
        try:
            return self.path_of(name).read_bytes() if self._zip is None else self._zip.read(name)
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            # zipfile says RuntimeError for a file with a password.
            raise self.file_error("a file cannot be read", name) from error

    def path_of(self, name: str) -> Path:
        """Where a file of a folder lies."""
        return self.path / name

    def text(self, name: str) -> str:
        """Content of a UTF-8 file.

        Raises:
            DataError: If it is not UTF-8 (or the `file_error` of a subclass).
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.file_error("a file is not UTF-8", name) from error

    def json(self, name: str) -> Any:
        """Content of a file of many records.

        Raises:
            DataError: If it is not JSON (or the `set_error` of a subclass).
        """
        content = self.read(name)
        try:
            return json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise self.set_error(
                f"{self.path}/{name}: not JSON ({error}); fetch the file again"
            ) from error

    def parquet(self, *patterns: str) -> Iterator[dict[str, Any]]:
        """Rows of all parquet files that fit, file after file; `_file` names the file of a row.

        Raises:
            DataError: If there is none, or one is damaged (or the `set_error` of a subclass).
            ConfigError: If pyarrow is not installed.
        """
        self.find(*patterns)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ConfigError(
                "parquet needs pyarrow, which is not installed: "
                f"pip install 'leopard[{self.extra}]'"
            ) from error
        for name in self.matching(*patterns):
            source = self.path_of(name) if self._zip is None else io.BytesIO(self.read(name))
            try:
                file = pyarrow.parquet.ParquetFile(source)
                for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                    yield from ({**row, "_file": name} for row in batch.to_pylist())
            except (pyarrow.ArrowException, OSError) as error:
                raise self.set_error(
                    f"{self.path}/{name}: not readable as parquet ({error}); fetch the file again"
                ) from error
