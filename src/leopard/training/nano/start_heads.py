"""Attention heads written by hand: what a head looks for, what it reads and where it writes it.

See `leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from leopard.training.nano.zones import (
    DIM,
    FLAG,
    HEAD,
    IMAGE,
    IMAGE_SCALE,
    PLACE_LENGTH,
    ROPE_THETA,
    SIDE,
    START,
    START_FLAG,
    START_SCALE,
    TEXT,
    TEXT_SCALE,
)

NUM_HEADS = 16
HALF = HEAD // 2
RESTING = 31
"""The slowest rotation: it lets heads rest on the first token."""
FAST = tuple(math.exp(-n / 2.5) + (0.15 if n >= 8 else 0.0) for n in range(16))
"""Shares of rotations in telling distances apart: quick ones know neighbours, slow ones regions."""
PEAK = 60.0
"""Attention logit at the distance looked for; a neighbour of it has 0.82 of it at most."""
NOISE = 1e-5
PREVIOUS_TILE = SIDE * SIDE - SIDE + 1
"""Tokens from a cell in a tile's first column back to its left neighbour in the tile before."""
TEXT_MARK = {TEXT: FLAG * TEXT_SCALE}
IMAGE_MARK = {IMAGE: FLAG * IMAGE_SCALE}


@dataclass(frozen=True, slots=True)
class Peak:
    """A distance to attend to."""

    distance: int
    """In tokens."""
    highest: float = PEAK
    """Attention logit there."""
    rest: float | None = 44.0
    """Logit of the first token; None not to rest."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A zone of the query that says where, which tokens should be like."""

    query: Tensor
    """What the query has, (numbers, DIM)."""
    key: Tensor
    """What tokens have, (numbers, DIM)."""
    logit: float
    """Where both are the same and PLACE_LENGTH long."""
    used: float
    """Half the numbers where they are cosines and sines, which are 1 long in pairs; all of them for
    signs."""


class Heads:
    """The weights of one attention layer, head by head: (heads, HEAD, DIM) each."""

    def __init__(self, attention: Any) -> None:
        def split(weight: Tensor) -> Tensor:
            return weight.view(-1, HEAD, DIM)

        self.query = split(attention.q_proj.weight)
        self.key = split(attention.k_proj.weight)
        self.value = split(attention.v_proj.weight)
        self._out = attention.o_proj.weight  # (DIM, heads * HEAD)

    def clear(self, head: int) -> None:
        """Silence a head's queries and keys."""
        self.query[head], self.key[head] = 0, 0

    def carry(self, head: int, value: Tensor, out: Tensor) -> None:
        """What the head reads, (numbers, DIM), and where it writes it, (numbers, DIM)."""
        self.value[head] = 0
        self.value[head, : len(value)] = value
        first = head * HEAD
        self._out[:, first : first + HEAD] = 0
        self._out[:, first : first + len(out)] = out.T

    def carry_besides(self, head: int, value: Tensor, out: Tensor) -> None:
        """As `carry`, in the last numbers of the head's vectors, beside what it carries already."""
        last = slice(HEAD - len(value), HEAD)
        self.value[head, last] = value
        self._out[:, head * HEAD : (head + 1) * HEAD][:, last] = out.T

    def rest(self, head: int, number: int, logit: float, flags: dict[int, float]) -> None:
        """Give tokens with these flags the first token to rest on, at a logit.

        Args:
            head: Which head.
            number: Number of the head's vectors to use.
            logit: Attention logit of the first token.
            flags: Marks with about the size that the norm gives them.
        """
        for flag, size in flags.items():
            self.query[head, number, flag] = math.sqrt(HEAD) * logit / size / 20
        self.key[head, number, START] = 20 / (START_FLAG * START_SCALE)

    def look_back(
        self,
        head: int,
        peak: Peak,
        query: dict[int, float],
        key: dict[int, float],
    ) -> None:
        """Attend to one distance: a sum of cosines of the distance that peaks there.

        Args:
            head: Which head.
            peak: The distance, and how much it is preferred.
            query: Marks that turn the head on (off if below 0), with their sizes.
            key: Marks that tokens to be looked at have, with their sizes.
        """
        self.clear(head)
        for number, share in enumerate(FAST):
            gain = math.sqrt(peak.highest * share / sum(FAST) * math.sqrt(HEAD))
            angle = ROPE_THETA ** (-number / HALF) * peak.distance
            for mark, size in query.items():
                self.query[head, number, mark] = gain / size
            for mark, size in key.items():
                self.key[head, number, mark] = gain / size * math.cos(angle)
                self.key[head, HALF + number, mark] = gain / size * math.sin(angle)
        if peak.rest is not None:
            self.rest(head, RESTING, peak.rest, TEXT_MARK | IMAGE_MARK)

    def prefer(self, head: int, at: int, likeness: Likeness) -> None:
        """Prefer tokens that are where the query says.

        Args:
            head: Which.
            at: First number of the head's vectors to use.
            likeness: What must be like what.
        """
        gain = math.sqrt(likeness.logit * math.sqrt(HEAD) / likeness.used) / PLACE_LENGTH
        numbers = slice(at, at + len(likeness.query))
        self.query[head, numbers] = likeness.query * gain / TEXT_SCALE
        self.key[head, numbers] = likeness.key * gain / IMAGE_SCALE
