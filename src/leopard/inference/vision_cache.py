"""Visual tokens by what the vision encoder saw: equal crops are encoded once.

A crop is known by the SHA-256 of its pixels, and only together with the crop geometry and the
weights that encoded it; where an encoder joins the tiles of a page, by all crops of its page
(`page_keys`). Knows nothing of prompts.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leopard.errors import ConfigError
from leopard.inference.disk_store import DiskStore

KIND = "vision"
"""Name of these entries on disk."""


class Sized(Protocol):
    """Something that knows its memory."""

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        ...


EntryT = TypeVar("EntryT", bound=Sized)


@dataclass(slots=True)
class CacheStats:
    """Counts since the cache was made."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    refused: int = 0
    """Entries larger than the whole cache."""


class BoundedCache(Generic[EntryT]):
    """Keeps the entries used last within a number of bytes.

    Args:
        max_bytes: Most bytes of all entries together; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ConfigError(f"cache size is {max_bytes} bytes; it must be 0 or more")
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self.stats = CacheStats()
        self._entries: OrderedDict[str, EntryT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> EntryT | None:
        """The entry of a key, which becomes the one used last."""
        entry = self._entries.get(key)
        if entry is None:
            self.stats.misses += 1
            return None
        self._entries.move_to_end(key)
        self.stats.hits += 1
        return entry

    def put(self, key: str, entry: EntryT) -> None:
        """Keep an entry, dropping those used longest ago where room is needed."""
        if entry.num_bytes > self.max_bytes:
            self.stats.refused += 1
            return
        if (old := self._entries.pop(key, None)) is not None:
            self.num_bytes -= old.num_bytes
        self._entries[key] = entry
        self.num_bytes += entry.num_bytes
        while self.num_bytes > self.max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self.num_bytes -= dropped.num_bytes
            self.stats.evictions += 1

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.num_bytes = 0


@dataclass(frozen=True, slots=True)
class VisualTokens:
    """Visual tokens of one crop, (visual_tokens_per_crop, dim)."""

    tokens: Tensor

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        return self.tokens.numel() * self.tokens.element_size()


class VisionCache(BoundedCache[VisualTokens]):
    """Visual tokens of crops seen before."""

    def __init__(self, max_bytes: int = 512 * 2**20, store: DiskStore | None = None) -> None:
        super().__init__(max_bytes)
        self._store = store

    def get(self, key: str) -> VisualTokens | None:
        """The entry of a key, from memory or from disk."""
        entry = super().get(key)
        if entry is None and self._store is not None:
            tensors = self._store.get(KIND, key)
            if tensors is not None and tensors.keys() == {"tokens"}:
                entry = VisualTokens(tensors["tokens"])
                super().put(key, entry)
        return entry

    def put(self, key: str, entry: VisualTokens) -> None:
        """Keep an entry, on disk as well where that is asked for."""
        super().put(key, entry)
        if self._store is not None:
            self._store.put(KIND, key, {"tokens": entry.tokens})


def crop_key(pixels: NDArray[np.float32], scope: str) -> str:
    """Name of a crop: SHA-256 over its pixels, geometry and weights.

    Args:
        pixels: Normalised crop, (3, crop_size, crop_size).
        scope: What else decides the visual tokens; see `weights_fingerprint`.
    """
    digest = hashlib.sha256(scope.encode())
    digest.update(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


class WeightsFingerprint:
    """SHA-256 of some modules' weights, computed again when they were changed in place.

    Args:
        modules: The modules whose weights count.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self._modules = modules
        self._version: tuple[int, ...] | None = None
        self._digest = ""

    def __call__(self) -> str:
        """The digest in hex."""
        version = tuple(
            part
            for tensor in self._tensors()
            for part in (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        )
        if version != self._version:
            self._digest = self._compute()
            self._version = version
        return self._digest

    def _tensors(self) -> list[Tensor]:
        return [
            tensor
            for module in self._modules
            for tensor in (*module.parameters(), *module.buffers())
        ]

    def _compute(self) -> str:
        digest = hashlib.sha256()
        for tensor in self._tensors():
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def page_keys(crops: Sequence[str], grid: tuple[int, int]) -> tuple[str, ...]:
    """Keys of a page's crops where each one's visual tokens depend on the others.

    Args:
        crops: `crop_key` of each crop, in order.
        grid: Rows and columns of tiles.

    Returns:
        A key for each crop; the same for the same page only.
    """
    page = hashlib.sha256(f"{grid} {' '.join(crops)}".encode()).hexdigest()
    return tuple(
        hashlib.sha256(f"{page} {number}".encode()).hexdigest() for number in range(len(crops))
    )
