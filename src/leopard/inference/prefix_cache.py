"""Keys and values of a prompt's beginning, so that a second question reads the document once.

The beginning ends with the last placeholder: what stands before is the same for every question.
Knows nothing of tokens' meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from transformers import DynamicCache

from leopard.inference.disk_store import DiskStore
from leopard.inference.growing_cache import GrowingLayer, cache_of
from leopard.inference.vision_cache import BoundedCache

KIND = "prefix"
"""Name of these entries on disk."""


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """Keys and values of all layers for the first positions of one prompt."""

    layers: tuple[GrowingLayer, ...]
    """One for each layer of the model; never written to."""

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        return sum(layer.num_bytes for layer in self.layers)

    def restore(self) -> DynamicCache:
        """A cache that starts with these positions; growing it leaves the entry as it is."""
        return cache_of(layer.fork() for layer in self.layers)


class PrefixCache(BoundedCache[PrefixEntry]):
    """Keys and values of prompt beginnings used before."""

    def __init__(self, max_bytes: int = 1024 * 2**20, disk: DiskStore | None = None) -> None:
        super().__init__(max_bytes)
        self._disk = disk

    def find(self, key: str, device: Any) -> PrefixEntry | None:
        """The entry of a key, from memory or from disk."""
        entry = self.get(key)
        if entry is None and self._disk is not None:
            tensors = self._disk.get(KIND, key)
            entry = None if tensors is None else _entry(tensors, device)
            if entry is not None:
                self.put(key, entry)
        return entry

    def store(self, key: str, cache: Any) -> None:
        """Keep the positions of a cache that goes on growing; windowed ones are left alone."""
        if not all(type(layer) is GrowingLayer for layer in cache.layers):
            return
        self.put(key, PrefixEntry(tuple(layer.fork() for layer in cache.layers)))
        if self._disk is not None:
            self._disk.put(KIND, key, _tensors(cache.layers))


def _tensors(layers: Sequence[Any]) -> dict[str, Tensor]:
    named = {}
    for index, layer in enumerate(layers):
        named[f"{index}.keys"], named[f"{index}.values"] = layer.keys, layer.values
    return named


def _entry(tensors: dict[str, Tensor], device: Any) -> PrefixEntry:
    layers = []
    for index in range(len(tensors) // 2):
        layer = GrowingLayer()
        layer.update(tensors[f"{index}.keys"].to(device), tensors[f"{index}.values"].to(device))
        layers.append(layer)
    return PrefixEntry(tuple(layers))


def prefix_length(input_ids: Sequence[int], image_token_id: int) -> int:
    """Positions up to and with the last placeholder; 0 without images."""
    for index in range(len(input_ids) - 1, -1, -1):
        if input_ids[index] == image_token_id:
            return index + 1
    return 0


def prefix_key(input_ids: Sequence[int], crop_keys: Sequence[str], scope: str) -> str:
    """Name of a prompt beginning: SHA-256 over its tokens, crops and weights."""
    digest = hashlib.sha256(scope.encode())
    digest.update(np.asarray(input_ids, dtype=np.int64).tobytes())
    for key in crop_keys:
        digest.update(key.encode())
    return digest.hexdigest()
