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
from typing import Any

from leopard.errors import DataError

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


class LineLog:
    """Appends records to a file that only this process may write.

    Args:
        path: The file; made, with its folder, when it is not there.

    Raises:
        DataError: If another process is writing it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        if not lock(self._file.fileno()):
            self._file.close()
            raise DataError(f"{path}: another process is writing it; wait for its end")
        self.repaired = repair(path)

    def records(self) -> Iterator[dict[str, Any]]:
        """What was appended before, in order.

        Raises:
            DataError: If a line is not a JSON object, naming it.
        """
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{self.path}, line {number}: not JSON ({error})") from error
                if not isinstance(record, dict):
                    raise DataError(f"{self.path}, line {number}: not a JSON object")
                yield record

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record; when this returns it survives a crash."""
        line = json.dumps(record, ensure_ascii=False) + "\n"
        self._file.write(line.encode("utf-8", errors="backslashreplace"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> LineLog:
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
