"""Keys and values with room to grow: a new position is written into place, nothing is copied.

The cache of transformers is made again for every token. Here each layer keeps a buffer with some
free positions at its end, and a document in the prefix cache lends its buffer to one question at a
time. Knows nothing of models or tokens.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 256
"""Positions added whenever a buffer is full."""


class Buffer:
    """Memory of one layer; one layer object at a time may write behind what others read."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.writer: weakref.ReferenceType[GrowingLayer] | None = None

    def fits(self, keys: Tensor, values: Tensor, positions: int) -> bool:
        """Whether so many positions of such keys and values have room here."""
        return self.keys.shape[2] >= positions and all(
            (mine.shape[:2], mine.shape[3], mine.dtype)
            == (other.shape[:2], other.shape[3], other.dtype)
            for mine, other in ((self.keys, keys), (self.values, values))
        )

    def may_write(self, layer: GrowingLayer) -> bool:
        """Whether nobody else writes here; the layer is the writer from then on."""
        writer = self.writer() if self.writer is not None else None
        if writer is None:
            self.writer = weakref.ref(layer)
        return writer is None or writer is layer


class GrowingLayer(DynamicLayer):
    """A layer of `DynamicCache` whose tensors are views of a longer buffer."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self._buffer: Buffer | None = None

    @classmethod
    def holding(cls, keys: Tensor, values: Tensor) -> GrowingLayer:
        """A layer with these positions, (rows, heads, positions, head_dim); they stay as given."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        return layer

    @property
    def num_bytes(self) -> int:
        """Bytes in memory, free positions included."""
        if self._buffer is not None:
            return _bytes(self._buffer.keys) + _bytes(self._buffer.values)
        return 0 if self.keys is None else _bytes(self.keys) + _bytes(self.values)

    def fork(self) -> GrowingLayer:
        """The same positions for another reader, without a copy as long as one of them grows."""
        assert self.keys is not None
        assert self.values is not None
        other = GrowingLayer.holding(self.keys, self.values)
        other._buffer = self._buffer
        return other

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write new positions behind the others; returns all of them."""
        start, new = self.get_seq_length(), key_states.shape[-2]
        buffer = self.extend(new, key_states, value_states)
        buffer.keys[:, :, start : start + new] = key_states
        buffer.values[:, :, start : start + new] = value_states
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def extend(
        self, count: int, key_like: Tensor, value_like: Tensor, *, reserve: int = 0
    ) -> Buffer:
        """Make room for new positions behind the others, which the caller writes.

        Args:
            count: New positions.
            key_like: (rows, heads, any, head_dim), of the keys' number type and device.
            value_like: The same for values.
            reserve: Positions in all that will soon be needed.

        Returns:
            Memory with the positions so far, the new ones behind them, and free ones.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_like, value_like)
        end = self.get_seq_length() + count
        buffer = self._writable(end, key_like, value_like, max(end, reserve))
        self.keys, self.values = buffer.keys[:, :, :end], buffer.values[:, :, :end]
        return buffer

    def _writable(self, end: int, key_like: Tensor, value_like: Tensor, size: int) -> Buffer:
        """A buffer of at least `end` positions that holds the present ones and is ours."""
        buffer = self._buffer
        if buffer is not None and buffer.fits(key_like, value_like, end) and buffer.may_write(self):
            return buffer
        start = self.get_seq_length()
        buffer = Buffer(_roomy(key_like, size), _roomy(value_like, size))
        if start:
            assert self.keys is not None
            assert self.values is not None
            buffer.keys[:, :, :start] = self.keys
            buffer.values[:, :, :start] = self.values
        buffer.may_write(self)
        self._buffer = buffer
        return buffer

    def reset(self) -> None:
        """Forget all positions."""
        self._buffer = None
        super().reset()


def new_cache(config: Any) -> DynamicCache:
    """An empty cache for a model; layers that forget positions stay those of transformers."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(one) is DynamicLayer else one for one in cache.layers]
    return cache


def cache_of(layers: Iterable[GrowingLayer]) -> DynamicCache:
    """A cache of these layers."""
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


def keeps_all(cache: DynamicCache) -> bool:
    """Whether no layer forgets positions, so that rows can be joined and prefixes kept."""
    return all(type(layer) in (GrowingLayer, DynamicLayer) for layer in cache.layers)


def _roomy(like: Tensor, positions: int) -> Tensor:
    rows, heads, _, dim = like.shape
    return torch.empty(rows, heads, positions + ROOM, dim, dtype=like.dtype, device=like.device)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
