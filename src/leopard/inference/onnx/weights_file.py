"""Weights on their way to ONNX Runtime, in a file: they are never in memory twice.

The runtime maps such a file, brings each weight into the order that its products want, and lets
the mapping go. Weights handed over in memory would stay beside that copy until the last is done.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from leopard.errors import ConfigError

NAME = "weights"
"""Name of the file in its folder."""
_PAGE = 4096
"""Weights begin at multiples of it, so that they can be mapped one by one."""


class WeightsFile:
    """A temporary file that weights are written to; in a `with` block, at whose end it goes.

    Attributes:
        num_bytes: Bytes of all weights.

    Raises:
        ConfigError: If there is no room for it.
    """

    def __init__(self) -> None:
        self.num_bytes = 0
        self._digest = hashlib.sha256()
        self._resources = ExitStack()
        try:
            # Where mapped files cannot be deleted, the folder stays until the program ends.
            folder = tempfile.TemporaryDirectory(prefix="leopard-", ignore_cleanup_errors=True)
            self.folder = Path(self._resources.enter_context(folder))
            self._file = self._resources.enter_context((self.folder / NAME).open("wb"))
        except OSError as error:
            raise _no_room(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def add(self, name: str, array: NDArray[Any]) -> int:
        """Write weights; gives the place of their first byte.

        Raises:
            ConfigError: If the disk is full.
        """
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self._digest.update(f"{name} {array.dtype} {array.shape}".encode())
        self._digest.update(data)
        try:
            place = -(-self._file.tell() // _PAGE) * _PAGE
            self._file.seek(place)
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.num_bytes += array.nbytes
        return place

    def finish(self) -> bytes:
        """Put everything on disk; gives the SHA-256 of names and weights.

        Raises:
            ConfigError: If the disk is full.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        return self._digest.digest()


def _no_room(error: OSError) -> ConfigError:
    return ConfigError(
        f"engine onnx puts the weights into a temporary file while it loads, and that failed "
        f"({error.strerror}, in {tempfile.gettempdir()}); make room there, name another folder in "
        "TMPDIR, or use engine torch"
    )
