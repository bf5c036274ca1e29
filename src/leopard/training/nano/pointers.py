"""Supervised attention: a small model is shown where to look.

The first layer without positions must find the visual token that holds the next character; the
second must find it with the head of the character's slot. Left to chance, a small model would need
millions of sequences to discover both. Knows nothing of pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import SLOTS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FINDING_LAYER, SPELLING_LAYER = 1, 3
FINDING_HEADS = 8
IDLE_WEIGHT = 0.08
"""Weight of the lesson that heads of other slots must rest on the first token."""


@dataclass(slots=True)
class PointerLoss:
    """Sums over the pointed characters of a batch."""

    loss: Tensor
    found: float
    """Characters whose token the finding heads attend to most, averaged over those heads."""
    spelled: float
    """Characters whose token the head of their slot attends to most."""
    count: int


class PointerTeacher:
    """Listens to the inputs of two attention layers and scores where they would look."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        self.layers: Any = decoder.layers
        self._heard: dict[int, Tensor] = {}
        for index in (FINDING_LAYER, SPELLING_LAYER):
            attention = self.layers[index].self_attn
            attention.register_forward_pre_hook(self._listener(index), with_kwargs=True)

    def _listener(self, index: int) -> Any:
        def listen(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._heard[index] = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]

        return listen

    def loss(self, targets: Tensor) -> PointerLoss:
        """Score the last forward pass.

        Args:
            targets: Where the character of each position is printed, as (position, slot) or
                (-1, -1); (batch, length, 2). Position t - 1 is asked about character t.
        """
        total, found, spelled, count = torch.zeros(()), 0.0, 0.0, 0
        for row in range(len(targets)):
            asked = (targets[row, 1:, 0] >= 0).nonzero().squeeze(1)
            if not len(asked):
                continue
            token, slot = targets[row, 1:][asked].unbind(1)
            scores = self._log_attention(FINDING_LAYER, row, asked)[:, :FINDING_HEADS]
            total = total - _at(scores, token[:, None].expand(-1, FINDING_HEADS)).mean(1).sum()
            found += float((scores.argmax(-1) == token[:, None]).float().mean(1).sum())
            scores = self._log_attention(SPELLING_LAYER, row, asked)[:, :SLOTS]
            is_due = slot[:, None] == torch.arange(SLOTS)
            goal = torch.where(is_due, token[:, None], 0)
            weights = torch.where(is_due, 1.0, IDLE_WEIGHT)
            total = total - (_at(scores, goal) * weights).sum()
            spelled += float(((scores.argmax(-1) == goal) & is_due).sum())
            count += len(asked)
        return PointerLoss(total, found, spelled, count)

    def _log_attention(self, index: int, row: int, asked: Tensor) -> Tensor:
        """Log attention of the asked positions, (asked, heads, keys); causal."""
        attention = self.layers[index].self_attn
        hidden = self._heard[index][row, : int(asked.max()) + 1]
        width = int(attention.head_dim)
        query = attention.q_proj(hidden[asked]).view(len(asked), -1, width)
        key = attention.k_proj(hidden).view(len(hidden), -1, width)
        scores = torch.einsum("nhd,lhd->nhl", query, key) * width**-0.5
        is_ahead = torch.arange(len(hidden)) > asked[:, None, None]
        masked: Tensor = scores.masked_fill(is_ahead, -1e4)
        return masked.log_softmax(-1)


def _at(scores: Tensor, index: Tensor) -> Tensor:
    return scores.gather(2, index[..., None]).squeeze(2)
