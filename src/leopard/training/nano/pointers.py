"""Supervised attention: a small model is shown where to look.

Two layers take parts. In one, heads find where an answer begins, beside or below what has the
letter pairs of the question, which a layer before has gathered; in the other, the head of the next
character's slot finds the visual token that holds it, by the letters just before, and so spells.
Left to chance, a small model would need millions of sequences to discover this. Knows nothing of
pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leopard.training.nano.characters import LINES_PER_CELL, PLACES, PLACES_PER_LINE
from leopard.training.nano.start import LOOKING_HEADS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GATHERING_LAYER, SECOND_LAYER, SPELLING_LAYER = 2, 3, 4
IDLE_WEIGHT = 0.08
"""Weight of the lesson that heads of other slots must rest on the first token."""
AFTER_WEIGHT = 0.05
"""Weight of a look from within an answer."""
SECOND, SPELL = 1, 2
"""Parts that a pointer is a lesson for; they add up."""


MISSED = 0.03
"""Added to the share of attention at a goal before its logarithm is taken. Where a goal is out of
reach, as most are that no label leads to, the loss is bounded; without a bound all heads learn to
rest, since one sure miss costs more than many hits bring."""
REST_WEIGHT = 0.2
"""Weight of the lesson that heads look at the beginning or rest, the wrong line's always."""


@dataclass(frozen=True, slots=True)
class Look:
    """A position that should know where an answer begins."""

    position: int
    token: int
    """Position of the visual token where the answer begins."""
    slot: int
    first: int
    """Class of the answer's first character."""
    is_after: bool = False
    """Whether the position says a later character: it has seen the first one, so it knows where the
    answer stands all too easily and counts little."""

    @property
    def weight(self) -> float:
        """How much the look counts."""
        return AFTER_WEIGHT if self.is_after else 1.0

    def moved(self, new: Sequence[int]) -> Look:
        """The same after positions were renumbered; `new` holds the new number of each."""
        return replace(
            self,
            position=new[self.position],
            token=new[self.token],
        )


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
        self.right += float(right.detach())


@dataclass(slots=True)
class PointerSums:
    """Sums over the lessons of a batch."""

    meant: PartSum = field(default_factory=PartSum)
    """The beginning of the answer, found by the second layer."""


class PointerTeacher:
    """Takes the inputs of attention layers and scores where they would look."""

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

    def score_looks(self, sums: PointerSums, row: int, looks: Sequence[Look]) -> None:
        """Score where a sequence of the last forward pass looks for the beginnings of answers."""
        if not looks:
            return
        asked = positions_of(looks)
        goal = torch.tensor([look.token for look in looks])
        line = torch.tensor([look.slot // PLACES_PER_LINE for look in looks])
        scores = self.log_attention(SECOND_LAYER, row, asked)[:, :LOOKING_HEADS]
        loss, is_right = _look_loss(scores, goal, line)
        weight, is_first = weights_of(looks)
        sums.meant.add(int(is_first.sum()), (loss * weight).sum(), (is_right & is_first).sum())

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


def positions_of(looks: Sequence[Look]) -> Tensor:
    """Positions that look, (looks,)."""
    return torch.tensor([look.position for look in looks])


def weights_of(looks: Sequence[Look]) -> tuple[Tensor, Tensor]:
    """How much each look counts, and whether it is the one where the answer begins, (looks,)."""
    weight = torch.tensor([look.weight for look in looks])
    return weight, torch.tensor([not look.is_after for look in looks])


def _turned(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Vectors (positions, heads, width) turned by their positions (rotary, halves)."""
    first, second = vectors.chunk(2, -1)
    return vectors * cos + torch.cat([-second, first], -1) * sin


def _look_loss(scores: Tensor, goal: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """Some head of the due line looks at the token; all others there too, or they rest.

    Args:
        scores: Log attention, (looks, heads, keys).
        goal: Tokens, (looks,).
        line: Due lines, (looks,).

    Returns:
        The loss of each look, and whether it is right: the due heads together look there most.
    """
    by_line = scores.unflatten(1, (LINES_PER_CELL, -1))
    number = torch.arange(len(line))
    due = by_line[number, line]  # (looks, heads of a line, keys)
    at_goal = due.gather(2, goal[:, None, None].expand(-1, due.shape[1], 1)).squeeze(2)
    idle = by_line[number, LINES_PER_CELL - 1 - line, :, 0]
    apart = bounded(torch.cat([torch.logaddexp(at_goal, due[..., 0]), idle], 1)).mean(1)
    loss = -bounded(at_goal.logsumexp(1) - math.log(due.shape[1])) - REST_WEIGHT * apart
    seen = due.detach().logsumexp(1)
    seen[:, 0] = -1e4
    return loss, seen.argmax(-1) == goal


def bounded(log_share: Tensor) -> Tensor:
    """The logarithm of a share and `MISSED`."""
    return torch.logaddexp(log_share, torch.full_like(log_share, math.log(MISSED)))


def slot_loss(scores: Tensor, token: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
    """The head of the due slot looks at the token, the others at the start of the sequence.

    Args:
        scores: Log attention, (asked, heads, keys); the first heads are those of slots.
        token: Tokens to look at, (asked,).
        slot: Due slots, (asked,).

    Returns:
        The loss, and how many looked right; both added up.
    """
    scores = scores[:, :PLACES]
    is_due = slot[:, None] == torch.arange(PLACES)
    goal = torch.where(is_due, token[:, None], 0)
    weights = torch.where(is_due, 1.0, IDLE_WEIGHT)
    right = ((scores.argmax(-1) == goal) & is_due).sum()
    return -(_at(scores, goal) * weights).sum(), right


def _at(scores: Tensor, index: Tensor) -> Tensor:
    return scores.gather(2, index[..., None]).squeeze(2)
