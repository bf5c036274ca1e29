"""Chooses how an image is cut into tiles, from integers alone.

The rule is the one of the published implementation: of all grids with at most `max_tiles` tiles,
take the one that keeps most pixels of the image, then the one that pads least. Knows nothing of
pixels' values, budgets of other images, tokens or torch.
"""

from __future__ import annotations

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
    if crop_size < 1:
        raise GeometryError(f"crop_size is {crop_size}; a crop has at least 1 pixel on a side")
    if max_tiles < MIN_TILES:
        return None
    return _choose(size.width, size.height, max_tiles, crop_size)


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
    ladder = []
    allowance = max_tiles
    while (grid := choose_grid(size, max_tiles=allowance, crop_size=crop_size)) is not None:
        ladder.append(grid)
        allowance = grid.num_tiles - 1
    return ladder[::-1]


@lru_cache(maxsize=65536)
def _choose(width: int, height: int, max_tiles: int, crop_size: int) -> Grid:
    best: Grid | None = None
    best_score = (-1, 0)
    for grid in _grids_up_to(max_tiles):
        score = _score(width, height, grid, crop_size)
        if score > best_score:
            best, best_score = grid, score
    assert best is not None
    return best


@lru_cache(maxsize=256)
def _grids_up_to(max_tiles: int) -> tuple[Grid, ...]:
    """Grids of 2 to `max_tiles` tiles, fewer rows first, then fewer columns."""
    return tuple(
        Grid(rows, cols)
        for rows in range(1, max_tiles + 1)
        for cols in range(1, max_tiles // rows + 1)
        if rows * cols >= MIN_TILES
    )


def _score(width: int, height: int, grid: Grid, crop_size: int) -> tuple[int, int]:
    """Pixels kept, then padded area negated: larger is better in both."""
    canvas_width, canvas_height = grid.cols * crop_size, grid.rows * crop_size
    scale = min(canvas_width / width, canvas_height / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return kept, kept - canvas_width * canvas_height
