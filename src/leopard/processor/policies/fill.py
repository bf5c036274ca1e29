"""An allocation rule that turns nearly the whole budget into tiles. Integers only.

Made for decks: the published rule gives no tile at all to any deck of 17 to 49 equal pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise

from leopard.processor.grid import MIN_TILES, grid_ladder
from leopard.processor.policies.registry import TileRequest, register
from leopard.schema.geometry import ImageSize

Steps = tuple[int, ...]
"""Numbers of tiles an image can have, 0 first: whole grids that `choose_grid` would choose."""

_USED_PERCENT = 95
"""Share of the budget that must become tiles where whole grids can add up to it."""
_WEIGHT_UNIT = 10**6
"""Weights count in these units, so that an image of weight 0 still counts for something."""


@register("fill")
def allocate(request: TileRequest) -> list[int]:
    """Share the budget over whole grids by area, at least 95 % of it wherever grids allow that.

    An image can take the tiles of one of its useful grids, from none up to the grid that its size
    fills; a single tile is never given, since a grid has at least two. When all of these top grids
    fit, every image gets its own. Otherwise each image has a share of the budget by area, and a
    choice of whole grids is taken in which

    - every image gets one of the two grids around its share, or the next on either side of these,
    - the sum is at least 95 % of the budget, or all but one tile, since one tile is no grid;
      where no choice comes to that, the largest sum that keeps the rules above and below,
    - the sum is not below that for a smaller budget,
    - no image's next grid would fit in what is left.

    For each sum the choice nearest to the shares is known exactly, by the sum of
    `(tiles - share) ** 2 / area`, the criterion of Webster and Sainte-Lague; of the sums that will
    do, the nearest is taken. Images that differ are treated alike in any order; of equal images the
    earlier get more.

    Where no choice keeps all four (few decks in a thousand), the largest sum is taken.

    Single images may get fewer tiles from a larger budget, since one grid can push out another:
    no rule could fill 95 % otherwise. Where few large pages share a budget, 95 % comes before
    equality: three letter pages get 20, 16 and 9 of 47, since 16, 16 and 12 would leave three.
    """
    weights = request.content.weights or (1,) * len(request.sizes)
    most = min(request.budget, request.most_per_image)
    values = [
        size.area * (weight * _WEIGHT_UNIT or 1)
        for size, weight in zip(request.sizes, weights, strict=True)
    ]
    order = sorted(
        range(len(values)), key=lambda i: (-values[i], request.sizes[i].width, i)
    )  # so that the order of images decides between equal ones only
    ladders = tuple(_ladder(request.sizes[i], most, request.crop_size) for i in order)
    shares = _share(ladders, tuple(values[i] for i in order), request.budget)
    tiles = [0] * len(values)
    for index, count in zip(order, shares, strict=True):
        tiles[index] = count
    return tiles


def own_tiles(size: ImageSize, crop_size: int) -> int:
    """Tiles that an image fills by itself: sides over crop size, halves up, at least 1 per axis."""
    cols, rows = ((2 * side + crop_size) // (2 * crop_size) for side in (size.width, size.height))
    return max(cols, 1) * max(rows, 1)


def _ladder(size: ImageSize, most: int, crop_size: int) -> Steps:
    most = min(own_tiles(size, crop_size), most)
    grids = grid_ladder(size, max_tiles=most, crop_size=crop_size)
    return (0, *(grid.num_tiles for grid in grids))


@lru_cache(maxsize=1024)
def _share(ladders: tuple[Steps, ...], values: tuple[int, ...], budget: int) -> tuple[int, ...]:
    if sum(steps[-1] for steps in ladders) <= budget:
        return tuple(steps[-1] for steps in ladders)
    choices = _Choices(ladders, values, budget)
    total = 0
    for allowance in range(budget + 1):  # from small to large, so that sums never fall
        total = choices.best_total(allowance, least=total)
    return choices.tiles(total)


@dataclass(frozen=True)
class _Choices:
    """The choice of whole grids nearest to shares by area, for every sum within a budget."""

    ladders: tuple[Steps, ...]
    values: tuple[int, ...]
    """Claim of each image, positive: its area, weighted."""
    budget: int
    _next_steps: dict[int, int] = field(default_factory=dict)

    def best_total(self, allowance: int, *, least: int) -> int:
        """The sum to go for.

        Args:
            allowance: Most tiles.
            least: A possible sum that must be reached.
        """
        costs, _ = self._table
        possible = [total for total in range(allowance + 1) if costs[total] is not None]
        wanted = min(-(-allowance * _USED_PERCENT // 100), allowance - (MIN_TILES - 1))
        wanted = max(least, min(wanted, possible[-1]))
        tiles, value = self._level(allowance)

        def distance(total: int) -> tuple[int, int]:
            # Sum of (tiles - share)**2 / claim, times common factors, less what all sums share.
            cost = costs[total]
            assert cost is not None
            return cost * value - 2 * self._common * tiles * total, -total

        fair = [
            total
            for total in possible
            if total >= least
            and self._next_step(total) > allowance - total
            and self._is_near_shares(total, tiles, value)
        ]
        enough = [total for total in fair if total >= wanted]
        return min(enough, key=distance, default=max(fair, default=possible[-1]))

    def tiles(self, total: int) -> tuple[int, ...]:
        """Tiles per image of the nearest choice with this sum; equal images in falling order."""
        _, table = self._table
        found: list[int] = []
        for picks in reversed(table):
            found.append(picks[total])
            total -= picks[total]
        groups: dict[tuple[int, Steps], list[int]] = {}
        kinds = list(zip(self.values, self.ladders, strict=True))
        for kind, count in zip(kinds, reversed(found), strict=True):
            groups.setdefault(kind, []).append(count)
        for counts in groups.values():
            counts.sort()
        return tuple(groups[kind].pop() for kind in kinds)

    @cached_property
    def _common(self) -> int:
        """A common multiple of all claims keeps costs whole, so that comparisons are exact."""
        return math.lcm(*self.values)

    @cached_property
    def _table(self) -> tuple[list[int | None], list[list[int]]]:
        """Least cost of every sum, and for each image the tiles it then takes of that sum."""
        costs: list[int | None] = [0, *[None] * self.budget]
        table = []
        for steps, value in zip(self.ladders, self.values, strict=True):
            own = [(count, count**2 * (self._common // value)) for count in steps]
            costs, picks = self._with_one_more(costs, own)
            table.append(picks)
        return costs, table

    def _with_one_more(
        self, costs: list[int | None], own: Sequence[tuple[int, int]]
    ) -> tuple[list[int | None], list[int]]:
        wider: list[int | None] = [None] * len(costs)
        picks = [0] * len(costs)
        for before, cost in enumerate(costs):
            if cost is None:
                continue
            for count, extra in own:
                total = before + count
                if total >= len(costs):
                    break
                known = wider[total]
                if known is None or cost + extra < known:
                    wider[total], picks[total] = cost + extra, count
        return wider, picks

    @cached_property
    def _tops(self) -> list[tuple[int, int]]:
        """Top grid and claim of each image, the soonest satisfied first."""
        images = zip(self.ladders, self.values, strict=True)
        tops = [(steps[-1], own) for steps, own in images]
        return sorted(tops, key=lambda image: image[0] * (self._common // image[1]))

    def _level(self, allowance: int) -> tuple[int, int]:
        """Tiles per claim, as a fraction, at which shares use up an allowance.

        Images that reach their top grid leave the rest to the others.
        """
        left, value = allowance, sum(self.values)
        for top, own in self._tops:
            if left * own <= top * value:
                break
            left, value = left - top, value - own
        return left, value

    def _is_near_shares(self, total: int, tiles: int, value: int) -> bool:
        """Whether every image gets one of the grids around its share, or the next on either side.

        Args:
            total: Sum of the choice.
            tiles: The level of shares: `tiles` for a claim of `value`.
            value: See `tiles`.
        """
        for steps, own, taken in zip(self.ladders, self.values, self.tiles(total), strict=True):
            below = sum(count * value <= own * tiles for count in steps) - 1
            if not below - 1 <= steps.index(taken) <= below + 2:
                return False
        return True

    def _next_step(self, total: int) -> int:
        """Tiles of the smallest step to a next grid in the nearest choice with this sum."""
        if total not in self._next_steps:
            self._next_steps[total] = min(
                larger - count
                for steps, taken in zip(self.ladders, self.tiles(total), strict=True)
                for count, larger in pairwise(steps)
                if count == taken
            )
        return self._next_steps[total]
