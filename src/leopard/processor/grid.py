"""Chooses how an image is cut into tiles, from integers alone.

The rule is the one of the published implementation: of all grids with at most `max_tiles` tiles,
take the one that keeps most pixels of the image, then the one that pads least. Knows nothing of
pixels' values, budgets of other images, tokens or torch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from leopard.errors import GeometryError
from leopard.schema.geometry import Grid, ImageSize

MIN_TILES = 2
"""Fewest tiles of a grid: one tile would repeat the thumbnail."""


def choose_grid(size: ImageSize, *, max_tiles: int, crop_size: int) -> Grid | None:
    """Choose the grid of an image (paper 3.2; published `select_best_resolution`).

    Every grid of 2 to `max_tiles` tiles is scored by the image pixels that survive scaling into
    it (never more than the image has), then by the padded area, which should be small; ties go to
    fewer rows. The floating-point expressions and their order are those of the published code,
    because a truncated product decides some sizes.

    Args:
        size: Image size in pixels.
        max_tiles: Most tiles the image may have.
        crop_size: Side of a square tile, in pixels.

    Returns:
        The grid, or None when `max_tiles` is 0 or 1: the thumbnail alone shows the image.

    Raises:
        GeometryError: If `crop_size` is below 1.

    Example:
        >>> choose_grid(ImageSize(1190, 1684), max_tiles=15, crop_size=364)
        Grid(rows=5, cols=3)
    """
    steps = grid_ladder(size, max_tiles=max_tiles, crop_size=crop_size)
    return steps[-1] if steps else None


def grid_ladder(size: ImageSize, *, max_tiles: int, crop_size: int) -> Sequence[Grid]:
    """All grids that `choose_grid` can choose as the allowance grows, fewest tiles first.

    An allowance between two steps of this ladder leaves tiles unused.

    Args:
        size: Image size in pixels.
        max_tiles: Most tiles the image may have.
        crop_size: Side of a square tile, in pixels.

    Returns:
        Grids with strictly growing numbers of tiles, none above `max_tiles`.

    Raises:
        GeometryError: If `crop_size` is below 1.
    """
    if crop_size < 1:
        raise GeometryError(f"crop_size is {crop_size}; a crop has at least 1 pixel on a side")
    if max_tiles < MIN_TILES:
        return ()
    # Ladders of all allowances are the start of one; few lengths keep the cache small.
    length = max(16, 1 << (max_tiles - 1).bit_length())
    ladder = _ladder(size.width, size.height, length, crop_size)
    return ladder[: bisect_right(ladder, max_tiles, key=lambda grid: grid.num_tiles)]


@lru_cache(maxsize=16384)
def _ladder(width: int, height: int, max_tiles: int, crop_size: int) -> tuple[Grid, ...]:
    """Every grid that is better than all grids of fewer tiles, and than others of as many.

    Equal scores mean equal numbers of tiles, so going through grids by tiles and then by rows
    gives the published choice, which goes by rows and then by columns.
    """
    ladder: list[Grid] = []
    best = (-1, 0)
    for grid in _grids_up_to(max_tiles):
        score = _score(width, height, grid, crop_size)
        if score > best:
            best = score
            if ladder and ladder[-1].num_tiles == grid.num_tiles:
                ladder.pop()
            ladder.append(grid)
    return tuple(ladder)


@lru_cache(maxsize=64)
def _grids_up_to(max_tiles: int) -> tuple[Grid, ...]:
    """Grids of 2 to `max_tiles` tiles, fewer tiles first, then fewer rows."""
    grids = (
        Grid(rows, cols)
        for rows in range(1, max_tiles + 1)
        for cols in range(1, max_tiles // rows + 1)
        if rows * cols >= MIN_TILES
    )
    return tuple(sorted(grids, key=lambda grid: (grid.num_tiles, grid.rows)))


def _score(width: int, height: int, grid: Grid, crop_size: int) -> tuple[int, int]:
    """Pixels kept, then padded area negated: larger is better in both."""
    canvas_width, canvas_height = grid.cols * crop_size, grid.rows * crop_size
    scale = min(canvas_width / width, canvas_height / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return kept, kept - canvas_width * canvas_height
