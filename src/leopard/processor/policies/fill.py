"""An allocation rule that turns nearly the whole budget into tiles. Integers only.

Made for decks: the published rule gives no tile at all to any deck of 17 to 49 equal pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from leopard.processor.grid import MIN_TILES, grid_ladder
from leopard.processor.policies.registry import TileRequest, register
from leopard.schema.geometry import ImageSize

Steps = tuple[int, ...]
"""Numbers of tiles an image can have, 0 first: whole grids that `choose_grid` would choose."""


@register("fill")
def allocate(request: TileRequest) -> list[int]:
    """Hand out whole grids by area until nothing more fits.

    Every image climbs its own ladder of useful grids, from none up to the grid its size fills.
    Steps are taken in the order of Webster's divisor method (Sainte-Lague): the step of an image
    from `a` to `b` tiles has priority `area / ((a + b) / 2)`, so that equal areas stay within one
    step of each other and no size is favoured; ties go to the earlier image. A step that does not
    fit in what is left is passed over, and the next image gets its turn. When nobody competes
    every image gets the grid its size fills.

    The number of tiles in use never falls as the budget grows: where a larger budget would let
    one large step push out several small ones, the allocation of the smaller budget is kept and
    filled up. A count of 1 is never given, since a grid has at least two tiles.

    At least 95 % of the budget becomes tiles wherever steps are small against it. Where a handful
    of large pages share it, equal pages come before the last few tiles: three letter pages get 16,
    16 and 12 of 47, not 20, 16 and 9.
    """
    weights = request.weights or (1,) * len(request.sizes)
    most = min(request.budget, request.most_per_image)
    ladders = tuple(_ladder(size, most, request.crop_size) for size in request.sizes)
    values = tuple(size.area * w for size, w in zip(request.sizes, weights, strict=True))
    return list(_share(ladders, values, request.budget))


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
    most = sum(steps[-1] for steps in ladders)
    if most <= budget:
        return tuple(steps[-1] for steps in ladders)
    order = _order_of_steps(ladders, values)
    tiles = [0] * len(ladders)
    for allowance in range(MIN_TILES, budget + 1):
        fresh = _climb(order, [0] * len(ladders), allowance)
        kept = _climb(order, tiles, allowance)
        tiles = fresh if sum(fresh) >= sum(kept) else kept
    return tuple(tiles)


def _order_of_steps(ladders: Sequence[Steps], values: Sequence[int]) -> list[tuple[int, int, int]]:
    """All steps as (image, from, to), highest priority first."""
    # A common multiple of all divisors keeps the quotients whole, so that ties are exact.
    divisors = {low + high for steps in ladders for low, high in pairwise(steps)}
    multiple = math.lcm(*divisors)
    steps = [
        (-value * (multiple // (low + high)), image, low, high)
        for image, (ladder, value) in enumerate(zip(ladders, values, strict=True))
        for low, high in pairwise(ladder)
    ]
    return [(image, low, high) for _, image, low, high in sorted(steps)]


def _climb(order: Sequence[tuple[int, int, int]], start: Sequence[int], budget: int) -> list[int]:
    """Take steps in order while they fit, from a given allocation; returns a new one."""
    tiles = list(start)
    left = budget - sum(tiles)
    for image, low, high in order:
        if tiles[image] == low and high - low <= left:
            tiles[image] = high
            left -= high - low
    return tiles
