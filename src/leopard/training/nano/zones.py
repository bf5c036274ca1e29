"""Zones of the small language model's stream: which numbers of a token say what.

Visual tokens and text use the same numbers for different things. Knows nothing of weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leopard.training.nano.characters import LAST_PER_LINE, LINES_PER_CELL, PLACES, SLOTS

DIM = 576
SIDE = 13
"""Visual tokens along the side of a crop."""
IDENTITY = 15
"""Numbers of a code that tell characters apart."""
CODE = IDENTITY + 1
"""Numbers of a character's code; the last says that something stands here."""
PAIR = 56
"""Numbers of a bag of letter pairs: what a line of a visual token shows, or what a text says."""
AXIS = 8
"""Numbers that tell the row of a crop, or the column."""
TILE_BITS = 8
"""Numbers that tell about where in the sequence a visual token stands."""
PLACE_SIZE = 2 * AXIS + TILE_BITS
PLACE_LENGTH = 0.3
"""Size of each of these numbers at most."""

# Visual tokens: slots one after the other (the last ones repeat the end of each line), then the
# end of the cell to the left, bags of letter pairs, place in the crop and in the sequence.
LAST_OF_LEFT = SLOTS * CODE
BEGINS = PLACES * CODE
"""From the second layer on, over the repeated ends of lines: the codes of the characters that begin
something in the token, added up over its upper line, then over its lower one."""
GAPS = BEGINS + LINES_PER_CELL * CODE
"""From the second layer on, for each line: whether it begins after a gap."""
ABOVE = GAPS + LINES_PER_CELL
"""From the third layer on: the letter pairs of the tokens above."""
PAIRS = LAST_OF_LEFT + LINES_PER_CELL * LAST_PER_LINE * CODE
"""For each line the letter pairs of the token; from the third layer on also of those left of it."""
PLACE = PAIRS + LINES_PER_CELL * PAIR
"""Where a visual token stands: row and column of its crop, and its crop. In text, where what a
letter found stands."""
ROWS = PLACE + PLACE_SIZE
TEXT, IMAGE, START, COLUMN_FLAG, ANSWER, FILLED, SPECIAL, BEGUN = range(
    ROWS + SIDE, ROWS + SIDE + 8
)
"""Marks: text, image, first token, first column of a crop, token before an answer, cell that shows
something (in text: letter found in one place), token of text that is no character, line of a cell
in which something begins (one number for each line, from the fourth layer on)."""

# Text, over the slots of visual tokens: a letter and the two before it, what is to be said, the
# first character of what is meant, where that stands, the letter pairs of what is asked, the pair
# of the letter itself, and in how many places it was found (where: in PLACE).
LETTER = 0
BEFORE = CODE
BEFORE_2 = 2 * CODE
SAID = 3 * CODE
FIRST = 4 * CODE
MEANT = 5 * CODE
ASKED = MEANT + PLACE_SIZE
OWN_PAIR = ASKED + PAIR
COUNT = OWN_PAIR + PAIR
OWN = COUNT + 1
"""Where tokens that are no letters have something of their own."""
OWN_SIZE = 64

TEXT_SCALE, IMAGE_SCALE = 2.35, 2.33
"""What the norm before a layer makes of a 1 in letters, and about in visual tokens."""
FLAG = 10.0
"""Size of the marks of text and of image: large, so that all tokens have about one norm."""
START_FLAG = 8.0
START_SCALE = DIM**0.5 / START_FLAG
ANSWER_FLAG = 2.0

assert BEGUN + LINES_PER_CELL <= DIM
assert OWN + OWN_SIZE <= LAST_OF_LEFT
assert ABOVE + PAIR <= LAST_OF_LEFT


STARTS = tuple(
    sorted(
        {LETTER, BEFORE, BEFORE_2, SAID, FIRST, MEANT, MEANT + AXIS, MEANT + 2 * AXIS, ASKED}
        | {OWN_PAIR, COUNT, OWN, OWN + OWN_SIZE, BEGINS, BEGINS + IDENTITY, BEGINS + CODE}
        | {BEGINS + CODE + IDENTITY, GAPS, GAPS + 1, ABOVE, ABOVE + PAIR, LAST_OF_LEFT}
        | {PAIRS, PAIRS + PAIR, PLACE, PLACE + AXIS, PLACE + 2 * AXIS, ROWS}
        | set(range(TEXT, BEGUN + LINES_PER_CELL + 1))
    )
)
"""First numbers of all zones, of text and of visual tokens."""


def directions(start: int, count: int) -> Tensor:
    """Unit vectors of a zone, (count, DIM)."""
    return torch.eye(DIM)[start : start + count]


def slot_frame(slot: int) -> Tensor:
    """Unit vectors that hold the code of a slot, (CODE, DIM)."""
    return directions(slot * CODE, CODE)


def begins(line: int) -> Tensor:
    """Unit vectors that hold the beginnings of a line of a token, (CODE, DIM)."""
    return directions(BEGINS + line * CODE, CODE)


def pairs(line: int) -> Tensor:
    """Unit vectors that hold the letter pairs of a line of a token, (PAIR, DIM)."""
    return directions(PAIRS + line * PAIR, PAIR)


def turn(steps: float) -> Tensor:
    """Map of a row's or column's code to that of one so many further, (AXIS, AXIS).

    Args:
        steps: Rows or columns; a lower line stands half a row below its token.
    """
    angles = steps * torch.arange(1, AXIS // 2 + 1) * (2 * torch.pi / SIDE)
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])


def place_of_line(line: int) -> Tensor:
    """What gives the place of a line of a token, (PLACE_SIZE, DIM): that of the token, or lower."""
    place = directions(PLACE, PLACE_SIZE)
    return torch.cat([turn(line / LINES_PER_CELL) @ place[:AXIS], place[AXIS:]])


def axis_codes() -> Tensor:
    """Codes of the rows or columns of a crop, (SIDE, AXIS): four waves, alike for neighbours."""
    waves = torch.arange(1, AXIS // 2 + 1) * (2 * torch.pi / SIDE)
    turns = torch.arange(SIDE)[:, None] * waves
    return torch.cat([turns.cos(), turns.sin()], 1) * PLACE_LENGTH
