"""Zones of the small language model's stream: which numbers of a token say what.

Visual tokens and text use the same numbers for different things. Knows nothing of weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leopard.training.nano.characters import (
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
)

DIM = 576
HEAD = 64
"""Numbers of an attention head."""
ROPE_THETA = 10_000.0
SIDE = 13
"""Visual tokens along the side of a crop."""
IDENTITY = 15
"""Numbers of a code that tell characters apart."""
CODE = IDENTITY + 1
"""Numbers of a character's code; the last says that something stands here."""
AROUND = 56
"""Numbers that tell what stands around a line of a visual token, or what a text asks for."""
AXIS = 8
"""Numbers that tell the row of a crop, or the column."""
TILE_BITS = 8
"""Numbers that tell about where in the sequence a visual token stands."""
WAVES = (0, 1, 2)
"""Rotations (of those of positions) by which ordinals are told: the quickest, since together they
hardly come round again within a row of text."""
ORDINAL = 2 * len(WAVES)
"""Numbers that tell the ordinal of a place in its row: cosine and sine, wave after wave."""
PLACE_SIZE = AXIS + TILE_BITS + ORDINAL
"""Numbers that tell where a line of a token stands: row, part of the sequence, and the ordinal of
what begins in it."""
PLACE_LENGTH = 0.3
"""Size of each of these numbers at most."""

# Visual tokens: slots one after the other (the last ones repeat the end of each line), then the
# end of the cell to the left, what stands around, place in the crop and in the sequence.
LAST_OF_LEFT = SLOTS * CODE
LEFT_PER_LINE = 2
"""Characters at the end of the left cell that are known."""
AROUNDS = LAST_OF_LEFT + LINES_PER_CELL * LEFT_PER_LINE * CODE
"""For each line what stands around it (see `Surroundings`); from the second layer on with the label
of its image."""
ROW = AROUNDS + LINES_PER_CELL * AROUND
"""Where a visual token stands: row of its crop, then about where in the sequence."""
TILE = ROW + AXIS
ORDINALS = TILE + TILE_BITS
"""For each line of a token the ordinal of its first place, then for each line that of what begins
last in it."""
RUNS = ORDINALS + 2 * LINES_PER_CELL * ORDINAL
"""For each line, whether text goes on to here from the tile on the left without a gap."""
BREAK, PICTURE, LABEL = range(RUNS + LINES_PER_CELL, RUNS + LINES_PER_CELL + 3)
"""Marks of text alone: a line break, the token that an image begins with and, from the second layer
on, a colon, which labels of images end with."""
MARKS = LABEL + 1
TEXT, IMAGE, START, COLUMN_FLAG, ANSWER, SPECIAL = range(MARKS, MARKS + 6)
"""Marks: text, image, first token, first column of a crop (the last one has minus that), token
before an answer or a question, token of text that is no character."""
BEGUN = SPECIAL + 1
"""For each line, whether something begins in it."""
WORDS = BEGUN + LINES_PER_CELL
USER, ASSISTANT, ANSWERING, ASIDE = range(WORDS, WORDS + 4)
"""Marks of text alone: the words that say who speaks, and from the second layer on the token that
an answer comes after, and all tokens of an answer or behind a line break."""
PAGE_END = USER
"""Mark of visual tokens, from the second layer on: the last ones of a page's thumbnail and of its
first tile."""

# Text, over the slots of visual tokens: a letter, the one before it and what is to be said, the one
# before that, what is asked for, and what the letter itself says.
LETTER = 0
BEFORE = CODE
SAID = 2 * CODE
TWO_BEFORE = 3 * CODE
ASKED = 4 * CODE
MEANS = 3
"""Means of a question's letters; the last one is kept elsewhere (`asked_numbers`)."""
OWN_TRIPLE = ASKED + (MEANS - 1) * AROUND
OWN = AROUNDS
"""Where tokens that are no letters have something of their own: where no head of the first layer
reads it, as those that look for the left cell would."""
OWN_SIZE = 48
LAST_ASKED = OWN + OWN_SIZE
"""Where the last of the means is; it is written by the second layer."""
COUNTED = SLOTS * CODE - 40
"""Characters since the answer began, as an ordinal. The first token has something here too, so no
head may look for visual tokens by these numbers."""
TARGET = COUNTED + ORDINAL
"""For each line of a token, ordinal of the place that is to be read out next, if it is there."""
FOUND = TARGET + LINES_PER_CELL * ORDINAL
"""Places that may be meant, one for each line of a token."""
SURE = FOUND + LINES_PER_CELL * PLACE_SIZE
"""How sure each of them is."""
MEANT = SURE + LINES_PER_CELL
"""Whether each of them is sure enough to be meant, the same size."""
CHOSEN = MEANT + LINES_PER_CELL
"""Which of them is meant, if any."""

PAGE_CODE_SIZE = 6
"""Numbers of the code of a page, two halves: one for each of two digits."""
OF_PAGE = CHOSEN + LINES_PER_CELL
"""From the fourth layer on, of what is asked: the code of the page that is named, and whether any
is."""
ASKS_CHECK = OF_PAGE + PAGE_CODE_SIZE + 1
"""From the fourth layer on, of what is asked: how surely yes or no is the answer, 0 where not."""
CHECKED, AGREED = ASKS_CHECK + 1, ASKS_CHECK + 2
"""From the fifth layer on: 1 where yes or no is the answer, and 1 where anything is meant."""
PAGE_CODE = OWN_TRIPLE + AROUND
"""From the third layer on, of visual tokens: the code of their page, where the ends of lines stood
in the first."""
PAGE_LENGTH = 0.5
"""Length of either half of a page's code in the stream."""

TEXT_SCALE, IMAGE_SCALE = 1.65, 1.66
"""What the norm before a layer makes of a 1 in letters, and about in visual tokens."""
FLAG = 14.0
"""Size of the marks of text and of image: large, so that all tokens have about one norm."""
START_FLAG = 8.0
START_SCALE = DIM**0.5 / START_FLAG
ANSWER_FLAG = 2.0
SURE_SIZE = 0.1
"""Size of a step in being sure."""
assert ASIDE < DIM
assert OWN_TRIPLE + AROUND <= COUNTED
assert LAST_ASKED + AROUND <= ROW
assert PLACES * CODE <= PAGE_CODE <= COUNTED - PAGE_CODE_SIZE
assert AGREED < AROUNDS


def directions(start: int, count: int) -> Tensor:
    """Unit vectors of a zone, (count, DIM)."""
    return torch.eye(DIM)[start : start + count]


def asked_numbers(mean: int) -> slice:
    """Numbers of the stream that hold one of the means of a question's letters."""
    start = LAST_ASKED if mean == MEANS - 1 else ASKED + mean * AROUND
    return slice(start, start + AROUND)


def slot_frame(slot: int) -> Tensor:
    """Unit vectors that hold the code of a slot, (CODE, DIM)."""
    return directions(slot * CODE, CODE)


def around_line(line: int) -> Tensor:
    """Unit vectors that hold what stands around a line of a token, (AROUND, DIM)."""
    return directions(AROUNDS + line * AROUND, AROUND)


def turn(steps: float) -> Tensor:
    """Map of a row's or column's code to that of one so many further, (AXIS, AXIS).

    Args:
        steps: Rows or columns; a lower line stands half a row below its token.
    """
    angles = steps * torch.arange(1, AXIS // 2 + 1) * (2 * torch.pi / SIDE)
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])


def place_of_line(line: int) -> Tensor:
    """What gives the place of what begins in a line of a token, (PLACE_SIZE, DIM).

    Row of the crop, half a row further down for a lower line; part of the sequence; ordinal.
    """
    row = turn(line / LINES_PER_CELL) @ directions(ROW, AXIS)
    return torch.cat([row, directions(TILE, TILE_BITS), begin_of_line(line)])


def first_of_line(line: int) -> Tensor:
    """Unit vectors of the ordinal of a line's first place, (ORDINAL, DIM)."""
    return directions(ORDINALS + line * ORDINAL, ORDINAL)


def begin_of_line(line: int) -> Tensor:
    """Unit vectors of the ordinal of what begins in a line, (ORDINAL, DIM)."""
    return directions(ORDINALS + (LINES_PER_CELL + line) * ORDINAL, ORDINAL)


def ordinal_of_slot(slot: int) -> Tensor:
    """What gives the ordinal of a slot, (ORDINAL, DIM): that of its line, turned."""
    line, place = divmod(slot, PLACES_PER_LINE)
    first = first_of_line(line)
    angles = torch.tensor(wave_angles()) * place
    turned = [
        torch.stack([cos * part[0] - sin * part[1], sin * part[0] + cos * part[1]])
        for cos, sin, part in zip(angles.cos(), angles.sin(), first.split(2), strict=True)
    ]
    return torch.cat(turned)


def wave_angles() -> tuple[float, ...]:
    """How far each wave of ordinals turns from one place to the next, in radians."""
    return tuple(ROPE_THETA ** (-wave / (HEAD // 2)) for wave in WAVES)


def axis_codes() -> Tensor:
    """Codes of the rows or columns of a crop, (SIDE, AXIS): four waves, alike for neighbours."""
    waves = torch.arange(1, AXIS // 2 + 1) * (2 * torch.pi / SIDE)
    turns = torch.arange(SIDE)[:, None] * waves
    return torch.cat([turns.cos(), turns.sin()], 1) * PLACE_LENGTH
