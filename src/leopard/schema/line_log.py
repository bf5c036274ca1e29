"""A file of JSON lines that is appended to: what was appended survives a crash, nothing is torn.

Knows nothing of what the lines say.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from leopard.errors import DataError, LeopardError

_CHUNK = 1 << 16


def repair(path: Path) -> int:
    """Cut a half-written last line off; returns how many bytes went."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
        return size - end


def lock(descriptor: int) -> bool:
    """Take a file for this process until it is closed; False if another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def line_of(record: Mapping[str, Any]) -> str:
    """A record as a line, its end included; it can be written as UTF-8 whatever a model said."""
    line = json.dumps(record, ensure_ascii=False) + "\n"
    # Half a surrogate pair has no UTF-8; JSON has an escape for it that reads back the same.
    return line.encode("utf-8", errors="backslashreplace").decode("utf-8")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole records of a file; a half-written last line is not one.

    Raises:
        DataError: If another line is not a JSON object, naming it.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number}: not JSON ({error}); remove the line to go on"
                ) from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{path}, line {number}: not a JSON object; remove the line to go on"
                )
            yield record


class LineLog:
    """Appends records to a file that only this process may write.

    Args:
        path: The file; made, with its folder, when it is not there.

    Attributes:
        path: The file.
        repaired: Bytes of a half-written last line that were cut off.

    Raises:
        DataError: If another process is writing it.
    """

    in_use: ClassVar[type[LeopardError]] = DataError
    """The error of a second writer."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        if not lock(self._file.fileno()):
            self._file.close()
            raise self.in_use(f"{path}: another process is writing it; wait for its end")
        self.repaired = repair(path)

    def records(self) -> Iterator[dict[str, Any]]:
        """What was appended before, in order.

        Raises:
            DataError: If a line is not a JSON object, naming it.
        """
        return read_lines(self.path)

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records; when this returns they survive a crash."""
        self._file.write("".join(map(line_of, records)).encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the log."""
        self.close()
