"""In which order samples come: shuffled sources, mixed by weight, from seeds alone.

The order is a function of seed and position, so a run can go on anywhere, with any number of
processes. Pure integers; knows nothing of files.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Shuffle:
    """How one source is shuffled: groups of rows over the whole source, rows within a window."""

    seed: int
    window: int
    """Rows that are mixed with one another."""
    enabled: bool = True

    def epoch(self, groups: Sequence[range], source: int, epoch: int) -> list[int]:
        """Row numbers of one pass over a source.

        Args:
            groups: Rows that lie together in a file.
            source: Number of the source.
            epoch: Number of the pass, counted from 0.
        """
        order = list(groups)
        if not self.enabled:
            return [row for group in order for row in group]
        rng = random.Random(f"{self.seed}:{source}:{epoch}")
        rng.shuffle(order)
        rows = [row for group in order for row in group]
        mixed: list[int] = []
        for start in range(0, len(rows), self.window):
            part = rows[start : start + self.window]
            rng.shuffle(part)
            mixed += part
        return mixed


def mix_shares(sizes: Sequence[int], weights: Sequence[float | None]) -> list[float]:
    """Share of each source in the mix; they add up to 1.

    Args:
        sizes: Samples of each source.
        weights: Weight of each source, or None for its number of samples. Given weights are
            relative to one another; sources without one share what their samples make of all.
    """
    given = [weight for weight in weights if weight is not None]
    if not given:
        return [size / sum(sizes) for size in sizes]
    free = sum(size for size, weight in zip(sizes, weights, strict=True) if weight is None)
    rest = free / sum(sizes)
    return [
        size / sum(sizes) if weight is None else (1 - rest) * weight / sum(given)
        for size, weight in zip(sizes, weights, strict=True)
    ]


@dataclass(slots=True)
class MixState:
    """How far a mix has come: all that is needed to go on."""

    drawn: list[int]
    """Samples drawn from each source so far."""

    @property
    def position(self) -> int:
        """Samples drawn so far."""
        return sum(self.drawn)


@dataclass(slots=True)
class Mix:
    """An endless stream of (source, row) from several sources in fixed shares.

    The source that lags furthest behind its share comes next, so every stretch of the stream has
    the shares of the whole, to within a sample of each source.
    """

    groups: Sequence[Sequence[range]]
    """For each source, rows that lie together in a file."""
    shares: Sequence[float]
    shuffle: Shuffle
    state: MixState = field(default_factory=lambda: MixState([]))
    _orders: dict[int, tuple[int, list[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.state.drawn:
            self.state.drawn = [0] * len(self.groups)

    def draw(self) -> tuple[int, int]:
        """Source number and row number of the next sample."""
        drawn = self.state.drawn
        ahead = self.state.position + 1
        source = max(range(len(drawn)), key=lambda i: (self.shares[i] * ahead - drawn[i], -i))
        row = self._row(source, drawn[source])
        drawn[source] += 1
        return source, row

    def upcoming(self, source: int, count: int) -> list[int]:
        """The next rows of a source, without drawing them."""
        first = self.state.drawn[source]
        return [self._row(source, first + offset) for offset in range(count)]

    def _row(self, source: int, number: int) -> int:
        size = sum(len(group) for group in self.groups[source])
        epoch, place = divmod(number, size)
        if source not in self._orders or self._orders[source][0] != epoch:
            order = self.shuffle.epoch(self.groups[source], source, epoch)
            self._orders[source] = (epoch, order)
        return self._orders[source][1][place]
