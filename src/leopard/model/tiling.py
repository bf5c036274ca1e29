"""Puts the tiles of a page together again, for what is to be known across their edges.

Knows nothing of pixels or models: values of cells in, values of cells out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Grids = Sequence[tuple[int, int]]
"""(rows, columns) of tiles of each image, which come after its thumbnail; (0, 0) of one that is a
thumbnail alone."""


def crops_of_pages(grids: Grids) -> dict[tuple[int, int], Tensor]:
    """Which crops make up each page, by how many rows and columns of tiles it has.

    The thumbnail of a tiled page stands for itself.

    Args:
        grids: Of each image, in prompt order.

    Returns:
        Numbers of crops, (pages, rows * columns), row-major.
    """
    found: dict[tuple[int, int], list[list[int]]] = {}
    first = 0
    for rows, columns in grids:
        found.setdefault((1, 1), []).append([first])
        if rows * columns:
            tiles = range(first + 1, first + 1 + rows * columns)
            found.setdefault((rows, columns), []).append([*tiles])
        first += 1 + rows * columns
    return {shape: torch.tensor(crops) for shape, crops in found.items()}


def num_crops(grids: Grids) -> int:
    """Crops of all images: thumbnails and tiles."""
    return sum(1 + rows * columns for rows, columns in grids)


def by_page(
    make: Callable[[Tensor], Tensor],
    values: Tensor,
    *,
    grids: Grids | None,
    is_shown: Tensor | None = None,
) -> Tensor:
    """What is made of the cells of whole pages, crop by crop again.

    Args:
        make: Given values of some pages of one size, (pages, rows, columns, ..); returns as many,
            (pages, rows, columns, ..).
        values: Of the cells of crops, (crops, side, side, ..).
        grids: Of each image, in prompt order. Without them each crop stands for itself.
        is_shown: Which crops show anything, (crops,); of pages that show nothing 0 is returned.

    Returns:
        (crops, side, side, ..).

    Raises:
        ValueError: If there are more or fewer crops than the grids have.
    """
    crops, side = values.shape[:2]
    grids = [(0, 0)] * crops if grids is None else grids
    if num_crops(grids) != crops:
        raise ValueError(
            f"there are {crops} crops, but grids of {num_crops(grids)}: one thumbnail of each of "
            f"{len(grids)} images and its tiles; give both for the same images"
        )
    parts, places = [], []
    for (rows, columns), members in crops_of_pages(grids).items():
        own = members.to(values.device)
        if is_shown is not None and not is_shown.is_meta:  # there nothing but sizes is known
            own = own[is_shown[own].any(1)]
        if not len(own):
            continue
        tiles = values[own].unflatten(1, (rows, columns))
        made = make(tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2))
        made = made.unflatten(2, (columns, side)).unflatten(1, (rows, side))
        parts.append(made.transpose(2, 3).flatten(0, 2))
        places.append(own.flatten())
    if not parts:
        empty = make(values[:1])
        return empty.new_zeros((crops, *empty.shape[1:]))
    found = torch.cat(parts)
    whole = found.new_zeros((crops, *found.shape[1:]))
    return whole.index_copy(0, torch.cat(places), found)
