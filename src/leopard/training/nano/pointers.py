"""Supervised attention: a small model is shown where to look.

Layers without positions take three parts. In the first, the head of the next character's slot finds
the visual token that holds it, by the letters just before; the second finds where an answer
begins, knowing what the first found at the letters of the label; the third finds as the first does,
and so spells. Left to chance, a small model would need millions of sequences to
discover this. Knows nothing of pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import PLACES
from leopard.training.nano.start import LOOKING_HEADS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FIRST_LAYER, SECOND_LAYER, SPELLING_LAYER = 1, 3, 4
IDLE_WEIGHT = 0.08
"""Weight of the lesson that heads of other slots must rest on the first token."""
FIRST, SECOND, SPELL = 1, 2, 4
"""Parts that a pointer is a lesson for; they add up."""


@dataclass(slots=True)
class PartSum:
    """Sums over the lessons of one part."""

    count: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    right: float = 0.0

    def add(self, count: int, loss: Tensor, right: Tensor) -> None:
        """Add the lessons of a sequence."""
        self.count += count
        self.loss = self.loss + loss
        self.right += float(right)


@dataclass(slots=True)
class PointerSums:
    """Sums over the lessons of a batch."""

    found: PartSum = field(default_factory=PartSum)
    """The next letter, found by the first layer."""
    meant: PartSum = field(default_factory=PartSum)
    """The beginning of the answer, found by the second layer; right ones averaged over heads."""
    spelled: PartSum = field(default_factory=PartSum)
    """The next letter, found by the spelling layer."""


class PointerTeacher:
    """Listens to the inputs of three attention layers and scores where they would look."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        self.layers: Any = decoder.layers
        self._heard: dict[int, Tensor] = {}
        for index in (FIRST_LAYER, SECOND_LAYER, SPELLING_LAYER):
            attention = self.layers[index].self_attn
            attention.register_forward_pre_hook(self._listener(index), with_kwargs=True)

    def _listener(self, index: int) -> Any:
        def listen(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._heard[index] = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]

        return listen

    def score(self, targets: Tensor) -> PointerSums:
        """Score the last forward pass.

        Args:
            targets: (token, slot, parts) for each position, (batch, length, 3): where the character
                is printed that the position before should look for, and which parts should find it;
                parts is 0 where nothing is known.
        """
        sums = PointerSums()
        for row in range(len(targets)):
            token, slot, parts = targets[row, 1:].unbind(1)
            asked = (parts & SECOND > 0).nonzero().squeeze(1)
            if len(asked):
                goal = token[asked][:, None].expand(-1, LOOKING_HEADS)
                scores = self._log_attention(SECOND_LAYER, row, asked)[:, :LOOKING_HEADS]
                right = (scores.argmax(-1) == goal).float().mean(1).sum()
                sums.meant.add(len(asked), -_at(scores, goal).mean(1).sum(), right)
            for part, index, sum_ in (
                (FIRST, FIRST_LAYER, sums.found),
                (SPELL, SPELLING_LAYER, sums.spelled),
            ):
                asked = (parts & part > 0).nonzero().squeeze(1)
                if len(asked):
                    scores = self._log_attention(index, row, asked)[:, :PLACES]
                    sum_.add(len(asked), *_slot_loss(scores, token[asked], slot[asked]))
        return sums

    def _log_attention(self, index: int, row: int, asked: Tensor) -> Tensor:
        """Log attention of the asked positions, (asked, heads, keys); causal."""
        attention = self.layers[index].self_attn
        hidden = self._heard[index][row, : int(asked.max()) + 1]
        width = int(attention.head_dim)
        query = attention.q_proj(hidden[asked]).view(len(asked), -1, width)
        key = attention.k_proj(hidden).view(len(hidden), -1, width)
        scores = torch.einsum("nhd,lhd->nhl", query, key).float() * width**-0.5
        is_ahead = torch.arange(len(hidden)) > asked[:, None, None]
        masked: Tensor = scores.masked_fill(is_ahead, -1e4)
        return masked.log_softmax(-1)


def _slot_loss(scores: Tensor, token: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
    """The head of the due slot looks at the token, the others at the start of the sequence."""
    is_due = slot[:, None] == torch.arange(PLACES)
    goal = torch.where(is_due, token[:, None], 0)
    weights = torch.where(is_due, 1.0, IDLE_WEIGHT)
    right = ((scores.argmax(-1) == goal) & is_due).sum()
    return -(_at(scores, goal) * weights).sum(), right


def _at(scores: Tensor, index: Tensor) -> Tensor:
    return scores.gather(2, index[..., None]).squeeze(2)
