"""Which characters stand in which visual token: the targets of reading lessons.

A visual token of the small model covers a cell of 28x28 pixels, about four characters on one or two
lines. Its slots say which: an upper and a lower line of seven places, a blank before a word being a
character of its own; then the last three characters of each line once more, last one first, so that
the cell to the right can know what comes before it. A character belongs to the cell of its own
middle across and of its *line's* middle down; taken by its own ink, `g` and `d` of one line would
fall into different cells.

Numpy only; of models it knows which gaps part the columns of a table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from leopard.model.spelling import PARTED
from leopard.processor.crops import TiledImage
from leopard.schema.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHARACTERS = "".join(chr(code) for code in range(33, 127)) + "€£•–—’“”°"  # noqa: RUF001
"""Characters with a class of their own; class 0 is nothing."""
OTHER = len(CHARACTERS) + 1
"""Class of any other character."""
BLANK = len(CHARACTERS) + 2
"""Class of the blank before a word."""
NUM_CLASSES = len(CHARACTERS) + 3
WIDE_BLANK = NUM_CLASSES
"""Stands for `BLANK` where the gap is one between the columns of a table."""

CELL = 28
"""Side of a cell, in pixels."""
STRIDE = 4
"""Side of a place in the dense map, in pixels."""
LINES_PER_CELL = 2
PLACES_PER_LINE = 7
PLACES = LINES_PER_CELL * PLACES_PER_LINE
"""Characters that a cell can hold."""
LAST_PER_LINE = 3
"""Characters at the end of a line that are named once more."""
SLOTS = PLACES + LINES_PER_CELL * LAST_PER_LINE
"""What is said of a cell: its characters in order, then the last ones of each line."""
SAME_LINE = 2.0
"""Middles of the characters of a line step by at most so much, in pixels."""
GAP, WIDEST_GAP = 0.6, 2.0 * CELL
"""Narrowest gap that looks like a blank, in heights of a character; and the widest in pixels: after
it an empty cell tells."""
LOOSE = 1.5
"""Pixels by which middles of characters are moved in reading lessons."""
LINE_GAP = 4.0
"""Middles of lines are at least this far apart, in pixels."""

_ALIASES = {"‘": "'", "\xad": "-", "−": "-", "‐": "-", "·": "•", "„": "“"}  # noqa: RUF001
_CLASSES = {char: number for number, char in enumerate(CHARACTERS, start=1)}


@dataclass(frozen=True, slots=True)
class Glyph:
    """One printed character in the pixels of a picture."""

    text: str
    box: Box
    """Tight box of the ink."""
    line_middle: float
    """Height of the middle of its line."""
    after_blank: bool
    """Whether a blank on the same line comes before it."""

    def scaled(self, scale: tuple[float, float], shift: tuple[float, float]) -> Glyph:
        """The same character after the picture was scaled and then moved, as (x, y) each."""
        box = Box(
            self.box.left * scale[0] + shift[0],
            self.box.top * scale[1] + shift[1],
            self.box.right * scale[0] + shift[0],
            self.box.bottom * scale[1] + shift[1],
        )
        middle = self.line_middle * scale[1] + shift[1]
        return Glyph(self.text, box, middle, self.after_blank)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a character stands: which visual token of its image, and which slots of it."""

    token: int
    """Visual token, counted over the crops of the image, thumbnail first."""
    slot: int
    """Slot of the character."""
    blank_slot: int
    """Slot of the blank before it, or -1."""


def character_class(text: str) -> int:
    """Class of a character."""
    return _CLASSES.get(_ALIASES.get(text, text), OTHER)


def dense_map(glyphs: Sequence[Glyph], width: int, height: int) -> NDArray[np.int16]:
    """Class at every place of a map with one place for 4x4 pixels.

    Args:
        glyphs: Characters, in pixels of the picture.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.

    Returns:
        Classes, (height / 4, width / 4); 0 where no character's box holds the place's centre.
    """
    classes = np.zeros((height // STRIDE, width // STRIDE), np.int16)
    for glyph in glyphs:
        rows = _covered(glyph.box.top, glyph.box.bottom)
        cols = _covered(glyph.box.left, glyph.box.right)
        classes[rows, cols] = character_class(glyph.text)
    return classes


def _covered(low: float, high: float) -> slice:
    """Places whose centres lie between two edges; at least the one under the middle."""
    first = int(np.ceil((low - STRIDE / 2) / STRIDE))
    last = int(np.floor((high - STRIDE / 2) / STRIDE))
    if last < first:
        first = last = int((low + high) / 2 // STRIDE)
    return slice(max(first, 0), max(last + 1, 0))


def cell_slots(
    glyphs: Sequence[Glyph], rows: int, cols: int
) -> tuple[NDArray[np.int16], list[Place | None]]:
    """Sort characters into the cells of a canvas.

    Args:
        glyphs: Characters, in pixels of the canvas.
        rows: Rows of cells.
        cols: Columns of cells.

    Returns:
        Classes per slot, (rows, cols, SLOTS), 0 for an empty slot; and the place of each character,
        its token counted row by row, or None where it found no slot.
    """
    is_spaced_at = _spaced(glyphs)
    is_wide_at = _wide(glyphs, is_spaced_at)
    slots = np.zeros((rows, cols, SLOTS), np.int16)
    places: list[Place | None] = [None] * len(glyphs)
    for (row, col), lines in _cell_lines(glyphs, rows, cols).items():
        for number, line in lines.items():
            slot = number * PLACES_PER_LINE
            for index in line:
                is_spaced = is_spaced_at[index]
                if slot + is_spaced >= (number + 1) * PLACES_PER_LINE:
                    break
                if is_spaced:
                    slots[row, col, slot] = WIDE_BLANK if is_wide_at[index] else BLANK
                blank_slot = slot if is_spaced else -1
                slot += is_spaced
                slots[row, col, slot] = character_class(glyphs[index].text)
                places[index] = Place(row * cols + col, slot, blank_slot)
                slot += 1
            name_last(slots[row, col], number, slot)
    return slots, places


def line_columns(
    glyphs: Sequence[Glyph], rows: int, cols: int, side: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Which character has its middle at each column of each line, for reading lessons.

    Middles are moved by up to LOOSE pixels: what was read before is to decide where it is not
    clear which column it is. No two characters share a column; a blank has one of its own between
    two words.

    Args:
        glyphs: Characters, in pixels of the canvas.
        rows: Rows of cells.
        cols: Columns of cells.
        side: Cells along the side of a crop; no text is moved from one crop into the next.
        rng: Moves middles.

    Returns:
        Classes, (rows, LINES_PER_CELL, cols * CELL / STRIDE); 0 for nothing.
    """
    is_spaced_at = _spaced(glyphs)
    columns = np.zeros((rows, LINES_PER_CELL, cols * CELL // STRIDE), np.int16)
    lines: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for (row, col), members in _cell_lines(glyphs, rows, cols).items():
        for number, line in members.items():
            lines[row, col // side, number] += line
    width = side * CELL // STRIDE
    for (row, crop, number), line in lines.items():
        line.sort(key=lambda index: glyphs[index].box.center[0])
        first, end = crop * width, (crop + 1) * width
        free = first
        for index in line:
            is_spaced = is_spaced_at[index] and free < end - 1
            middle = glyphs[index].box.center[0] + rng.uniform(-LOOSE, LOOSE)
            at = max(int(middle // STRIDE), free + is_spaced)
            if at >= end:
                break
            if is_spaced:
                is_first = free == first
                columns[row, number, at - 1 if is_first else (free + at) // 2] = BLANK
            columns[row, number, at] = character_class(glyphs[index].text)
            free = at + 1
    return columns


def _cell_lines(
    glyphs: Sequence[Glyph], rows: int, cols: int
) -> dict[tuple[int, int], dict[int, list[int]]]:
    """Characters by (row, column) of their cell and number of their line, from left to right."""
    cells: dict[tuple[int, int], list[tuple[float, float, int]]] = defaultdict(list)
    for index, glyph in enumerate(glyphs):
        x, y = glyph.box.center[0], glyph.line_middle
        row, col = int(y // CELL), int(x // CELL)
        if 0 <= row < rows and 0 <= col < cols:
            cells[row, col].append((y, x, index))
    return {
        (row, col): dict(_numbered(_lines(members), glyphs, row * CELL))
        for (row, col), members in cells.items()
    }


def name_last(cell: NDArray[np.integer], line: int, end: int) -> None:
    """Repeat the last characters of a line, last one first; the line's slots end before `end`."""
    first, repeated = line * PLACES_PER_LINE, PLACES + line * LAST_PER_LINE
    cell[repeated : repeated + LAST_PER_LINE] = 0
    for back in range(min(LAST_PER_LINE, end - first)):
        cell[repeated + back] = cell[end - 1 - back]


def _numbered(
    lines: list[list[int]], glyphs: Sequence[Glyph], top: float
) -> list[tuple[int, list[int]]]:
    """Lines of a cell with their numbers: a line alone has that of the half it stands in.

    So a line has one number across a row of cells, whatever stands above or below it in some.
    """
    if len(lines) == 1:
        is_lower = glyphs[lines[0][0]].line_middle - top >= CELL / LINES_PER_CELL
        return [(int(is_lower), lines[0])]
    return list(enumerate(lines[:LINES_PER_CELL]))


def _spaced(glyphs: Sequence[Glyph]) -> list[bool]:
    """Whether a blank, or a gap that looks like one, is before each character on its line.

    A label and its value may be far apart in the text layer and side by side in print.
    """
    spaced = [glyph.after_blank for glyph in glyphs]
    for line in _visual_lines(glyphs):
        for before, here in pairwise(line):
            spaced[here] |= _is_gap(glyphs[before].box, glyphs[here].box)
    return spaced


def _visual_lines(glyphs: Sequence[Glyph]) -> Iterator[list[int]]:
    """Characters by the lines they are printed on, from left to right."""
    order = sorted(range(len(glyphs)), key=lambda index: glyphs[index].line_middle)
    line: list[int] = []
    for index in [*order, -1]:
        if line and (
            index < 0 or glyphs[index].line_middle - glyphs[line[-1]].line_middle > SAME_LINE
        ):
            yield sorted(line, key=lambda at: glyphs[at].box.left)
            line = []
        line.append(index)


def _wide(glyphs: Sequence[Glyph], spaced: Sequence[bool]) -> list[bool]:
    """Whether the gap before each character is one between columns, as an encoder tells it.

    See `leopard.model.spelling.Spelling`.
    """
    wide = [False] * len(glyphs)
    share, more = PARTED
    for line in _visual_lines(glyphs):
        middles = [glyphs[index].box.center[0] // STRIDE for index in line]
        steps = [here - before for before, here in pairwise(middles)]
        close = [step for step, here in zip(steps, line[1:], strict=True) if not spaced[here]]
        mean = max(1.0, sum(close) / len(close)) if close else 1.0
        for step, here in zip(steps, line[1:], strict=True):
            wide[here] = spaced[here] and step > share * mean + more
    return wide


def _is_gap(before: Box, here: Box) -> bool:
    height = max(before.bottom - before.top, here.bottom - here.top)
    return GAP * (height + 6) < here.left - before.right < WIDEST_GAP


def _lines(members: list[tuple[float, float, int]]) -> list[list[int]]:
    """Characters of a cell, by lines from top to bottom and by place from left to right."""
    lines: list[list[tuple[float, int]]] = []
    previous = -np.inf
    for middle, x, index in sorted(members):
        if middle - previous > LINE_GAP:
            lines.append([])
        lines[-1].append((x, index))
        previous = middle
    return [[index for _, index in sorted(line)] for line in lines]


def image_slots(
    glyphs: Sequence[Glyph], image: TiledImage
) -> tuple[NDArray[np.int16], list[Place | None]]:
    """Slots of every visual token of an image, in prompt order.

    Thumbnails of tiled images are too coarse to read: their slots are empty.

    Args:
        glyphs: Characters, in pixels of the image.
        image: How the image becomes crops.

    Returns:
        Classes, (visual tokens of the image, SLOTS), and the place of each character.
    """
    side = image.crop_size // CELL
    moved, rows, cols = _on_canvas(glyphs, image)
    slots, places = cell_slots(moved, rows, cols)
    if image.grid is None:
        return slots.reshape(-1, SLOTS), places
    return _by_tiles(slots, side), [
        place and _in_tiles(place, side, cols // side) for place in places
    ]


def image_columns(
    glyphs: Sequence[Glyph], image: TiledImage, rng: np.random.Generator
) -> NDArray[np.int16]:
    """`line_columns` of every crop of an image, in prompt order.

    Returns:
        Classes, (crops, rows, LINES_PER_CELL, columns); of thumbnails 0.
    """
    side = image.crop_size // CELL
    moved, rows, cols = _on_canvas(glyphs, image)
    columns = line_columns(moved, rows, cols, side, rng)
    tiles = columns.reshape(rows // side, side, LINES_PER_CELL, cols // side, -1)
    crops = tiles.transpose(0, 3, 1, 2, 4).reshape(-1, *tiles.shape[1:3], tiles.shape[-1])
    if image.grid is None:
        return crops
    return np.concatenate([np.zeros_like(crops[:1]), crops])


def _on_canvas(glyphs: Sequence[Glyph], image: TiledImage) -> tuple[list[Glyph], int, int]:
    """Characters in pixels of what is cut into tiles, and its rows and columns of cells."""
    side = image.crop_size // CELL
    canvas, resized, paste = image.canvas, image.resized, image.paste_at
    if image.grid is None or canvas is None or resized is None or paste is None:
        scale = (image.crop_size / image.size.width, image.crop_size / image.size.height)
        return [glyph.scaled(scale, (0.0, 0.0)) for glyph in glyphs], side, side
    factor = resized.width / image.size.width
    moved = [glyph.scaled((factor, factor), paste) for glyph in glyphs]
    return moved, image.grid.rows * side, image.grid.cols * side


def _by_tiles(cells: NDArray[np.int16], side: int) -> NDArray[np.int16]:
    """Rows and columns of cells to those of a thumbnail, which are 0, and of tile after tile."""
    rows, cols = cells.shape[0] // side, cells.shape[1] // side
    tiles = cells.reshape(rows, side, cols, side, *cells.shape[2:]).swapaxes(1, 2)
    flat = tiles.reshape(-1, *cells.shape[2:])
    return np.concatenate([np.zeros((side * side, *cells.shape[2:]), np.int16), flat])


def _in_tiles(place: Place, side: int, tile_cols: int) -> Place:
    """Renumber a token from rows of the canvas to tiles after a thumbnail."""
    row, col = divmod(place.token, tile_cols * side)
    tile = (row // side) * tile_cols + col // side
    token = side * side * (1 + tile) + (row % side) * side + col % side
    return Place(token, place.slot, place.blank_slot)
