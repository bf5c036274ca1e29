"""What decoding carries from step to step, and how requests join and leave it.

Rows are padded on the left: the newest position of all rows is the last column. Knows nothing of
models or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from leopard.inference.growing_cache import GrowingLayer, cache_of, keeps_all


@dataclass(slots=True)
class DecodingState:
    """Keys, values and mask of rows that are decoded together."""

    mask: Tensor
    """1 at real positions, (rows, positions so far)."""
    cache: DynamicCache
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    """Scores for the next token, (rows, vocabulary)."""
    is_padded: bool = field(init=False)
    """Whether some rows are shorter than others; kernels without a mask are quicker."""

    def __post_init__(self) -> None:
        self.is_padded = len(self.mask) > 1 and not bool(self.mask.all())

    @property
    def is_joinable(self) -> bool:
        """Whether other rows can be joined: no layer forgets positions."""
        return keeps_all(self.cache)

    @property
    def num_columns(self) -> int:
        """Positions of each row, padding included."""
        return int(self.mask.shape[1])


def join_states(first: DecodingState, second: DecodingState) -> DecodingState:
    """All rows of both, the first's before the second's; both must be joinable.

    The newest position of every row is the last column, so the shorter rows are padded on the left.
    """
    assert first.is_joinable
    assert second.is_joinable
    columns = max(first.num_columns, second.num_columns)
    masks = [
        torch.nn.functional.pad(state.mask, (columns - state.num_columns, 0))
        for state in (first, second)
    ]
    layers = [
        GrowingLayer.holding(
            torch.cat([_padded(mine.keys, columns), _padded(theirs.keys, columns)]),
            torch.cat([_padded(mine.values, columns), _padded(theirs.values, columns)]),
        )
        for mine, theirs in zip(first.cache.layers, second.cache.layers, strict=True)
    ]
    return DecodingState(torch.cat(masks), cache_of(layers))


def keep_rows(state: DecodingState, rows: Sequence[int]) -> DecodingState:
    """Some of the rows, without the columns that are padding in all of them."""
    mask = state.mask[list(rows)]
    first = int(mask.any(dim=0).int().argmax())
    layers = [
        GrowingLayer.holding(*(kv[list(rows), :, first:] for kv in (layer.keys, layer.values)))
        for layer in state.cache.layers
    ]
    return DecodingState(mask[:, first:], cache_of(layers))


def _padded(tensor: Tensor, positions: int) -> Tensor:
    """Zeros on the left up to `positions`; (rows, heads, positions, head_dim)."""
    return torch.nn.functional.pad(tensor, (0, 0, positions - tensor.shape[2], 0))
