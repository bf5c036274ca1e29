"""Where the small model looks: what its attention is asked for, and whether it finds that.

The head of the next character's slot finds the visual token that holds it, and so spells. Knows
nothing of pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPELLING_LAYER = 4
BEGINNING, SPELL = 1, 2
"""Kinds of characters with known places: the first one of an answer, and those after it."""


class Pointers:
    """Takes the inputs of attention layers and tells where they would look."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        self.layers: Any = decoder.layers
        self._heard: dict[int, Tensor] = {}
        self._turns: tuple[Tensor, Tensor]
        self._crowd: Tensor

    def hear(
        self,
        index: int,
        hidden: Tensor,
        crowd: Tensor,
        turns: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Take the input of a layer's attention, which is not run itself.

        Args:
            index: The layer.
            hidden: (batch, length, dim).
            crowd: What to add to the attention logits of each token, (length,).
            turns: Rotations of the positions, where the layer knows them.
        """
        self._heard[index], self._crowd = hidden, crowd
        if turns is not None:
            self._turns = turns

    def log_attention(self, index: int, row: int, asked: Tensor) -> Tensor:
        """Log attention of the asked positions, (asked, heads, keys); causal."""
        attention = self.layers[index].self_attn
        hidden = self._heard[index][row, : int(asked.max()) + 1]
        width = int(attention.head_dim)
        query = attention.q_proj(hidden[asked]).view(len(asked), -1, width)
        key = attention.k_proj(hidden).view(len(hidden), -1, width)
        if attention.use_rope:
            cos, sin = (turn[min(row, len(turn) - 1)][:, None] for turn in self._turns)
            query = _turned(query, cos[asked], sin[asked])
            key = _turned(key, cos[: len(hidden)], sin[: len(hidden)])
        scores = torch.einsum("nhd,lhd->nhl", query, key).float() * width**-0.5
        scores = scores + self._crowd[: len(hidden)]
        is_ahead = torch.arange(len(hidden)) > asked[:, None, None]
        masked: Tensor = scores.masked_fill(is_ahead, -1e4)
        return masked.log_softmax(-1)


def _turned(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Vectors (positions, heads, width) turned by their positions (rotary, halves)."""
    first, second = vectors.chunk(2, -1)
    return vectors * cos + torch.cat([-second, first], -1) * sin


def num_found(scores: Tensor, token: Tensor, slot: Tensor) -> int:
    """How many characters the heads of their slots look at most.

    Args:
        scores: Log attention, (asked, heads, keys); the first heads are those of slots.
        token: Tokens to look at, (asked,).
        slot: Due slots, (asked,).
    """
    due = scores[torch.arange(len(slot)), slot]
    return int((due.argmax(-1) == token).sum())
