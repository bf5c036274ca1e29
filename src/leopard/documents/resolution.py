"""At which resolution a document is drawn: enough to fill the page's grid of tiles, not more.

Plain arithmetic on the crop budget. Which page gets which grid in the end is the processor's
decision; this only makes sure that the pixels are there and that no time goes into pixels that
the encoder would average away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from leopard.schema.geometry import Grid, ImageSize

POINTS_PER_INCH = 72.0
MIN_DPI = 72.0
MAX_DPI = 300.0
DEFAULT_DPI = 150.0
_LEAST_READING = 0.85
"""Share of the resolution for reading that may be drawn to save a row or column of crops."""
_LEAST_FILL = 0.51
"""Share of the outer row or column of tiles that must hold pixels. Above one half, so that rules
that round a side to whole tiles count the row or column in."""


@dataclass(frozen=True, slots=True)
class PageExtent:
    """Size of a page before it is drawn: in points if it can be drawn at any resolution."""

    width: float
    height: float
    is_vector: bool
    """True: width and height are points (1/72 inch). False: they are pixels."""


@lru_cache(maxsize=4096)
def _best_grid(width: float, height: float, max_tiles: int) -> Grid:
    """The grid of at most `max_tiles` that shows the page largest; of equals the smallest."""
    best, best_scale = Grid(1, 1), min(1 / width, 1 / height)
    for rows in range(1, max_tiles + 1):
        for cols in range(1, max_tiles // rows + 1):
            scale = min(cols / width, rows / height)
            if scale > best_scale:
                best, best_scale = Grid(rows, cols), scale
            elif scale == best_scale and rows * cols < best.num_tiles:
                best = Grid(rows, cols)
    return best


def dpi_for_tiles(page: PageExtent, *, max_tiles: int, crop_size: int = 364) -> float:
    """Resolution at which a page fills the best grid of at most `max_tiles` tiles.

    The page fits the grid's canvas exactly on its tighter side, unless the outer row or column
    on the other side would then be about half empty. In that case it is drawn a little larger,
    since a processor that counts tiles by rounding would otherwise not choose this grid.

    Args:
        page: Width and height in points.
        max_tiles: Tiles that the page may take; below 2 the page has its thumbnail only.
        crop_size: Side of a crop, in pixels.

    Returns:
        Pixels per inch, from 72 to 300.
    """
    grid = _best_grid(page.width, page.height, max(1, max_tiles))
    fitted = min(grid.cols / page.width, grid.rows / page.height)
    wide_enough = (grid.cols - 1 + _LEAST_FILL) / page.width if grid.cols > 1 else 0.0
    high_enough = (grid.rows - 1 + _LEAST_FILL) / page.height if grid.rows > 1 else 0.0
    scale = max(fitted, wide_enough, high_enough)
    return min(MAX_DPI, max(MIN_DPI, scale * crop_size * POINTS_PER_INCH))


def fitting_dpi(
    page_size_points: tuple[float, float],
    num_pages: int | None = None,
    *,
    crop_size: int = 364,
    max_crops: int = 50,
) -> float:
    """Resolution at which one of `num_pages` alike pages fills the grid it can get.

    Every page has a thumbnail; the other crops are tiles, of which a page may get an even share
    and a third more, because what one page cannot use goes to others.

    Args:
        page_size_points: Width and height of the page, in points.
        num_pages: Pages of the whole request, or None if that is not known yet.
        crop_size: Side of a crop, in pixels.
        max_crops: Most crops of the request, thumbnails included.

    Returns:
        Pixels per inch, from 72 to 300; 150 if `num_pages` is None.
    """
    if num_pages is None:
        return DEFAULT_DPI
    width, height = page_size_points
    tiles = _share(max_crops - num_pages, max(1, num_pages))
    page = PageExtent(width, height, is_vector=True)
    return dpi_for_tiles(page, max_tiles=tiles, crop_size=crop_size)


def _share(tiles: int, num_pages: int) -> int:
    """Tiles that one of several alike pages may get: a third more than an even share.

    Tiles are handed out in whole grids, so some pages get what others cannot use.
    """
    return max(0, min(tiles, -(-tiles * 4 // (num_pages * 3))))


def tiles_per_drawn_page(pages: Sequence[PageExtent], *, crop_size: int, max_crops: int) -> int:
    """Tiles that each drawn page can use when images of fixed size take part.

    Images take at most such a share; what they leave goes to the pages that can be drawn larger.
    """
    drawn = sum(page.is_vector for page in pages)
    if not drawn:
        return 0
    budget = max(0, max_crops - len(pages))
    fixed = sum(
        min(
            math.ceil(page.width / crop_size) * math.ceil(page.height / crop_size),
            _share(budget, len(pages)),
        )
        for page in pages
        if not page.is_vector
    )
    return max(_share(budget, len(pages)), _share(budget - fixed, drawn))


@dataclass(frozen=True, slots=True)
class DrawnSize:
    """How large a page is drawn, and the white picture that it is put on, at the left and top."""

    page: ImageSize
    """Of the page alone, in pixels."""
    picture: ImageSize
    """Of the whole; the same unless margins are added."""


def on_whole_crops(size: ImageSize, crop_size: int) -> ImageSize:
    """The smallest picture of whole crops that holds a page, in pixels.

    Cut into its own grid it is not scaled, and a thumbnail of one crop is the page itself.
    """
    cols, rows = (-(-side // crop_size) for side in (size.width, size.height))
    return ImageSize(cols * crop_size, rows * crop_size)


def dpi_for_reading(
    page: PageExtent, *, reading_dpi: float, max_tiles: int, crop_size: int = 364
) -> float:
    """Resolution at which print has one size, or as near to it as whole crops allow.

    No higher than `reading_dpi`, nor than what fits the best grid of `max_tiles`; up to 15 % lower
    where that takes fewer crops.

    Args:
        page: Width and height in points.
        reading_dpi: At which a model reads best, in pixels per inch.
        max_tiles: Tiles that the page may take.
        crop_size: Side of a crop, in pixels.

    Returns:
        Pixels per inch, 72 or more.
    """
    sides = (page.width, page.height)
    grid = _best_grid(*sides, max(1, max_tiles))
    pixels = crop_size * POINTS_PER_INCH
    fitted = min(grid.cols / page.width, grid.rows / page.height) * pixels
    highest = max(MIN_DPI, min(reading_dpi, fitted))
    counts = range(1, max(grid.cols, grid.rows) + 1)
    fitting = [count * pixels / side for count in counts for side in sides]
    lowest = max(MIN_DPI, _LEAST_READING * highest)
    allowed = [highest, *(dpi for dpi in fitting if lowest <= dpi <= highest)]

    def cost(dpi: float) -> tuple[int, float]:
        return on_whole_crops(drawn_size(page, dpi), crop_size).area, -dpi

    return min(allowed, key=cost)


def drawn_size(page: PageExtent, dpi: float) -> ImageSize:
    """Pixels of a page at a resolution, rounded, at least 1x1."""
    scale = dpi / POINTS_PER_INCH
    return ImageSize(max(1, round(page.width * scale)), max(1, round(page.height * scale)))


def within_side(size: ImageSize, max_side_px: int | None) -> ImageSize:
    """The size scaled down, aspect kept, so that no side is longer than `max_side_px`."""
    longest = max(size.width, size.height)
    if max_side_px is None or longest <= max_side_px:
        return size
    share = max_side_px / longest
    return ImageSize(max(1, round(size.width * share)), max(1, round(size.height * share)))


def within_area(size: ImageSize, max_pixels: int) -> ImageSize:
    """The size scaled down, aspect kept, so that it has no more than `max_pixels`."""
    if size.area <= max_pixels:
        return size
    share = math.sqrt(max_pixels / size.area)
    width = max(1, min(math.floor(size.width * share), max_pixels))
    return ImageSize(width, max(1, min(math.floor(size.height * share), max_pixels // width)))
