"""What the layers between attention do at the start: marks, letter pairs, first characters.

Gated units as steps and ramps, written into the small language model before its first lesson; see
`leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import (
    LAST_PER_LINE,
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
)
from leopard.training.nano.letter_pairs import PairWeights
from leopard.training.nano.zones import (
    ANSWER,
    ANSWER_FLAG,
    BEFORE,
    BEGINS,
    BEGUN,
    CODE,
    COUNT,
    FILLED,
    FIRST,
    FLAG,
    GAPS,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LAST_OF_LEFT,
    LETTER,
    OWN_PAIR,
    PAIR,
    SAID,
    TEXT,
    TEXT_SCALE,
    directions,
    slot_frame,
)


def mark_filled(mlp: Any) -> None:
    """Mark visual tokens that show anything: a ramp that one character climbs."""
    presence = sum(slot_frame(slot)[-1] for slot in range(PLACES))
    ramp = 4.0
    for unit, shift in enumerate((0.0, 1.0)):
        mlp.gate_proj.weight[unit] = presence * ramp / (0.5 * IMAGE_SCALE)
        mlp.gate_proj.weight[unit, IMAGE] = -shift * ramp / (FLAG * IMAGE_SCALE)
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, IMAGE] = 1 / (FLAG * IMAGE_SCALE)
        mlp.down_proj.weight[:, unit] = 0
        mlp.down_proj.weight[FILLED, unit] = (1 - 2 * shift) * 2 / ramp


def mark_begun(mlp: Any) -> None:
    """Mark lines of visual tokens in which anything begins, one thing or several."""
    ramp = 4.0
    for unit in range(2 * LINES_PER_CELL):
        line, shift = divmod(unit, 2)
        mlp.gate_proj.weight[unit] = 0
        mlp.gate_proj.weight[unit, BEGINS + line * CODE + IDENTITY] = ramp / IMAGE_SCALE
        mlp.gate_proj.weight[unit, IMAGE] = -shift * ramp / (FLAG * IMAGE_SCALE)
        mlp.gate_proj.weight[unit, TEXT] = -10.0 / FLAG
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, IMAGE] = 1 / (FLAG * IMAGE_SCALE)
        mlp.down_proj.weight[:, unit] = 0
        mlp.down_proj.weight[BEGUN + line, unit] = (1 - 2 * shift) * 2 / ramp


UNIQUE_UNITS = 4
"""Units that mark letters found in one place; those that gather beginnings come after them."""


def mark_unique(mlp: Any) -> None:
    """Mark letters found in one place, or in two: where a cell ends, the next one is found too.

    Over the count of places a hill with a flat top: nothing up to 0.5 and from 2.7 on.
    """
    ramp = 6.0
    for unit, (shift, share) in enumerate(((0.5, 2.0), (1.0, -2.0), (2.2, -2.0), (2.7, 2.0))):
        mlp.gate_proj.weight[unit] = 0
        mlp.gate_proj.weight[unit, COUNT] = ramp / TEXT_SCALE
        mlp.gate_proj.weight[unit, TEXT] = -shift * ramp / (FLAG * TEXT_SCALE)
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, TEXT] = 1 / (FLAG * TEXT_SCALE)
        mlp.down_proj.weight[:, unit] = 0
        mlp.down_proj.weight[FILLED, unit] = share * 2 / ramp


RESERVED = 2
"""Units of the first layer's MLP that do not make letter pairs: they mark filled cells."""


def pair_letters(mlp: Any, weights: PairWeights) -> None:
    """Text: the vector of a letter and the one before it, as `LetterPairs` makes it of a page's.

    A unit for each of its own, whose other factor is whether there is a letter; and one for what is
    added to all.
    """
    count = len(weights.bias)
    units = slice(RESERVED, RESERVED + count + 1)
    for part in (mlp.gate_proj, mlp.up_proj):
        part.weight[units] = 0
    mlp.down_proj.weight[:, units] = 0
    letters = torch.cat([directions(LETTER, CODE), directions(BEFORE, CODE)]) / TEXT_SCALE
    mlp.gate_proj.weight[RESERVED : RESERVED + count] = weights.units @ letters
    mlp.gate_proj.weight[RESERVED : RESERVED + count, TEXT] = weights.bias / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[RESERVED + count, TEXT] = 10 / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[units, IMAGE] = -10.0 / FLAG
    mlp.up_proj.weight[units, LETTER + IDENTITY] = 2 / TEXT_SCALE
    fold = torch.cat([weights.fold, weights.fold_bias[:, None] / 10], 1)
    mlp.down_proj.weight[OWN_PAIR : OWN_PAIR + PAIR, units] = fold


def gather_beginnings(mlp: Any) -> None:
    """In BEGINS, by line, the characters that follow nothing or a blank: a unit for each number.

    The last number of a code counts them. In GAPS, whether a line begins in the token. The first
    units belong to `mark_unique`.
    """
    numbers = [(slot, number) for slot in range(PLACES) for number in range(CODE)]
    for unit, (slot, number) in enumerate(numbers, start=UNIQUE_UNITS):
        line, place = divmod(slot, PLACES_PER_LINE)
        here, before = slot_frame(slot)[-1], seen_before(line, place, 1)[-1]
        value = slot_frame(slot)[number] / IMAGE_SCALE
        if number == IDENTITY:
            value = directions(IMAGE, 1)[0] / (FLAG * IMAGE_SCALE)
        _step(mlp, unit, here - 2 * before, value, BEGINS + line * CODE + number)
    for line in range(LINES_PER_CELL):
        here = slot_frame(line * PLACES_PER_LINE)[-1]
        before = seen_before(line, 0, 1)[-1]
        value = directions(IMAGE, 1)[0] / (FLAG * IMAGE_SCALE)
        _step(mlp, UNIQUE_UNITS + len(numbers) + line, here - 2 * before, value, GAPS + line)


def _step(mlp: Any, unit: int, presence: Tensor, value: Tensor, target: int) -> None:
    """A unit of visual tokens that passes a value on where a character is present."""
    step = 3.0
    mlp.gate_proj.weight[unit] = presence * step / (0.5 * IMAGE_SCALE)
    mlp.gate_proj.weight[unit, TEXT] = -10.0 / FLAG
    mlp.up_proj.weight[unit] = value
    mlp.down_proj.weight[:, unit] = 0
    mlp.down_proj.weight[target, unit] = 1 / step


def seen_before(line: int, place: int, back: int) -> Tensor:
    """Directions of the character so many places before a place, (CODE, DIM)."""
    if back <= place:
        return slot_frame(line * PLACES_PER_LINE + place - back)
    return directions(LAST_OF_LEFT + (line * LAST_PER_LINE + back - place - 1) * CODE, CODE)


def begin(mlp: Any) -> None:
    """After the token before an answer, say the first character of what is meant."""
    for unit in range(IDENTITY):
        mlp.gate_proj.weight[unit] = 0
        mlp.gate_proj.weight[unit, ANSWER] = 6 / (ANSWER_FLAG * TEXT_SCALE)
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, FIRST + unit] = 1.5 / TEXT_SCALE
        mlp.down_proj.weight[:, unit] = 0
        mlp.down_proj.weight[SAID + unit, unit] = 1 / 2
