"""Cache entries on disk: safetensors files that are checked before they are believed.

An entry is known by the name that the cache gives it, which holds content, geometry and weights.
Its file repeats the name and carries a checksum; a file that is not what it says is deleted and
counted, and the caller computes the entry again. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from leopard.errors import ConfigError

FORMAT = "leopard-index-1"
"""Changes when files of earlier versions can no longer be used."""
MAX_BYTES = 20 * 2**30
VARIABLE = "LEOPARD_INDEX"


def default_folder() -> Path:
    """`LEOPARD_INDEX`, or `leopard/index` in the user's cache folder."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "leopard" / "index"


@dataclass(slots=True)
class StoreStats:
    """Counts since the store was opened."""

    read: int = 0
    written: int = 0
    damaged: int = 0
    """Files that were not what they said; they are deleted."""
    dropped: int = 0
    """Files deleted because the folder was full."""


class DiskStore:
    """Tensors by name in a folder.

    Args:
        folder: Made when the first entry is written.
        writes: Whether `put` keeps anything; without it the folder is only read.
        max_bytes: Most bytes of all files; those used longest ago are deleted.

    Raises:
        ConfigError: If `max_bytes` is below 1.
    """

    def __init__(self, folder: Path, *, writes: bool = False, max_bytes: int = MAX_BYTES) -> None:
        if max_bytes < 1:
            raise ConfigError(f"the index may take {max_bytes} bytes; it must be at least 1")
        self.folder = folder
        self.writes = writes
        self.max_bytes = max_bytes
        self.stats = StoreStats()

    def path(self, kind: str, key: str) -> Path:
        """File of an entry."""
        return self.folder / kind / key[:2] / f"{key}.safetensors"

    def get(self, kind: str, key: str) -> dict[str, Tensor] | None:
        """The tensors of an entry on the CPU, or None when there is no good file."""
        path = self.path(kind, key)
        if not path.exists():
            return None
        tensors = _read(path, kind, key)
        if tensors is None:
            self.stats.damaged += 1
            path.unlink(missing_ok=True)
            return None
        self.stats.read += 1
        os.utime(path)
        return tensors

    def put(self, kind: str, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write an entry, all of it or nothing; entries that are there are left alone.

        Raises:
            ConfigError: If the folder cannot be written to.
        """
        path = self.path(kind, key)
        if not self.writes or path.exists():
            return
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        labels = {"format": FORMAT, "kind": kind, "key": key, "sha256": _checksum(held)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
            os.close(handle)
            try:
                save_file(held, partial, metadata=labels)
                Path(partial).replace(path)
            finally:
                Path(partial).unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            raise ConfigError(
                f"the index {self.folder} cannot be written ({error}); choose another folder with "
                f"--index or {VARIABLE}"
            ) from error
        self.stats.written += 1
        self._make_room(path)

    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and path of each entry, oldest first."""
        found = []
        for path in self.folder.glob("*/*/*.safetensors"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another process deleted it
                continue
            found.append((state.st_mtime, state.st_size, path))
        return sorted(found)

    def _make_room(self, newest: Path) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.max_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                self.stats.dropped += 1
                total -= size


def _read(path: Path, kind: str, key: str) -> dict[str, Tensor] | None:
    """The tensors of a file whose labels and checksum are right."""
    try:
        with safe_open(path, framework="pt") as file:
            labels = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RuntimeError):
        return None
    if (labels.get("format"), labels.get("kind"), labels.get("key")) != (FORMAT, kind, key):
        return None
    return tensors if labels.get("sha256") == _checksum(tensors) else None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
