"""Tables and long screenshots cut over several images.

Follows the Leopard paper, sections 3.1 and A.3: single tables become multi-image samples by cuts
between rows or columns, long screenshots by cuts across. A cut never goes through a cell, and
goes through plain background where there is some. Knows nothing of sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import PIL.Image

from leopard.documents.tables import Cell

Rows = Sequence[Sequence[Cell]]


def row_cuts(cells: Rows) -> list[int]:
    """Rows before which a table may be cut: after the header, and where no cell spans down."""
    header = num_carried_rows(cells)
    cuts = []
    reach = 0
    for index, row in enumerate(cells):
        if index > header and index >= reach:
            cuts.append(index)
        reach = max([reach, *(index + max(cell.rows, 1) for cell in row)])
    return cuts


def num_carried_rows(cells: Rows) -> int:
    """Leading rows that every part repeats: the header, or the first row where none is marked.

    Spans that hang from them further down make them more; one row at least stays for the parts.
    """
    count = 0
    while count < len(cells) and cells[count] and all(cell.is_header for cell in cells[count]):
        count += 1
    count = max(count, 1)
    reach = max([count, *(i + cell.rows for i, row in enumerate(cells[:count]) for cell in row)])
    return min(reach, len(cells) - 1) if cells else 0


def split_rows(cells: Rows, cuts: Sequence[int]) -> list[list[list[Cell]]]:
    """The table cut before these rows; every part carries the header.

    Args:
        cells: Rows of cells, as HTML lays them out.
        cuts: Row numbers out of `row_cuts`, ascending.
    """
    header = [list(row) for row in cells[: num_carried_rows(cells)]]
    edges = [len(header), *cuts, len(cells)]
    return [header + [list(row) for row in cells[start:stop]] for start, stop in pairwise(edges)]


def split_columns(cells: Rows, cut: int) -> list[list[list[Cell]]]:
    """A table without spans cut before a column; both parts carry the first column.

    Args:
        cells: Rows of equally many cells.
        cut: At least 2, at most the number of columns less one.
    """
    left = [list(row[:cut]) for row in cells]
    right = [[row[0], *row[cut:]] for row in cells]
    return [left, right]


def is_plain(cells: Rows) -> bool:
    """Whether no cell spans and all rows are equally long."""
    lengths = {len(row) for row in cells}
    return len(lengths) == 1 and all(c.rows == 1 and c.cols == 1 for row in cells for c in row)


def split_in_two(cells: Rows, rng: Random) -> list[list[list[Cell]]] | None:
    """A table cut at random between two rows or two columns; None if it has no place for a cut."""
    ways: list[str] = []
    cuts = row_cuts(cells)
    ways += ["rows"] if cuts else []
    wide = is_plain(cells) and len(cells[0]) >= 3
    ways += ["columns"] if wide else []
    if not ways:
        return None
    if rng.choice(ways) == "rows":
        return split_rows(cells, [rng.choice(cuts)])
    return split_columns(cells, rng.randint(2, len(cells[0]) - 1))


def split_long(cells: Rows, max_rows: int) -> list[list[list[Cell]]]:
    """A table cut so that no part has more body rows than this, where cells allow it."""
    header = num_carried_rows(cells)
    chosen: list[int] = []
    start = header
    allowed = row_cuts(cells)
    while len(cells) - start > max_rows:
        reachable = [cut for cut in allowed if start < cut <= start + max_rows]
        later = [cut for cut in allowed if cut > start + max_rows]
        if not reachable and not later:
            break
        start = reachable[-1] if reachable else later[0]
        chosen.append(start)
    return split_rows(cells, chosen)


@dataclass(frozen=True, slots=True)
class Strip:
    """A piece of a tall picture."""

    top: int
    """First row of pixels."""
    bottom: int
    """Row of pixels after the last."""


def strips(image: PIL.Image.Image, *, most: int = 5, shape: float = 1.4) -> list[Strip]:
    """How to cut a tall picture across.

    Args:
        image: The picture.
        most: Most pieces; a very tall picture gets taller pieces.
        shape: Wanted height of a piece as a multiple of its width.

    Returns:
        Pieces from top to bottom that cover every row of pixels once.
    """
    width, height = image.size
    count = min(most, max(1, round(height / (shape * width))))
    step = height / count
    busy = _busyness(image) if count > 1 else np.zeros(0, dtype=np.int16)
    edges = [0]
    for number in range(1, count):
        middle = round(number * step)
        slack = round(step / 6)
        low = max(edges[-1] + 1, middle - slack)
        window = busy[low : middle + slack + 1]
        quiet = np.flatnonzero(window == window.min()) + low
        edges.append(int(quiet[np.argmin(np.abs(quiet - middle))]))
    edges.append(height)
    return [Strip(top, bottom) for top, bottom in pairwise(edges)]


def _busyness(image: PIL.Image.Image) -> np.ndarray[tuple[Any, ...], np.dtype[np.int16]]:
    """How much each row of pixels changes from left to right; 0 for plain background."""
    grey = np.asarray(image.convert("L"), dtype=np.int16)
    change: np.ndarray[tuple[Any, ...], np.dtype[np.int16]] = np.abs(np.diff(grey, axis=1))
    return np.asarray(change.max(axis=1, initial=0), dtype=np.int16)
