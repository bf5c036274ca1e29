"""What the layers between attention do at the start: marks, a hash of contents, first characters.

Gated units as steps and ramps, written into the small language model before its first lesson; see
`leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import (
    BLANK,
    LAST_PER_LINE,
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
)
from leopard.training.nano.codes import class_codes, class_of
from leopard.training.nano.zones import (
    ANSWER,
    ANSWER_FLAG,
    BEGINS,
    CODE,
    DIM,
    FILLED,
    FIRST,
    FLAG,
    FOUND,
    GAPS,
    HASH,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LAST_OF_LEFT,
    SAID,
    SEEN,
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


UNIQUE_UNITS = 4
"""Units that mark letters found in one place; those that gather beginnings come after them."""


def mark_unique(mlp: Any) -> None:
    """Mark letters found in one place, or in two: where a cell ends, the next one is found too.

    Over the count of places a hill with a flat top: nothing up to 0.5 and from 2.7 on.
    """
    ramp = 6.0
    for unit, (shift, share) in enumerate(((0.5, 2.0), (1.0, -2.0), (2.2, -2.0), (2.7, 2.0))):
        mlp.gate_proj.weight[unit] = 0
        mlp.gate_proj.weight[unit, FOUND + HASH - 1] = ramp / TEXT_SCALE
        mlp.gate_proj.weight[unit, TEXT] = -shift * ramp / (FLAG * TEXT_SCALE)
        mlp.up_proj.weight[unit] = 0
        mlp.up_proj.weight[unit, TEXT] = 1 / (FLAG * TEXT_SCALE)
        mlp.down_proj.weight[:, unit] = 0
        mlp.down_proj.weight[FILLED, unit] = share * 2 / ramp


RESERVED = 3
"""Units of the first layer's MLP that do not hash: two mark filled cells, one is a constant."""
STEEP, STEP = 4.0, 3.0


def hash_contents(mlp: Any) -> None:
    """A hash of what a visual token shows, in SEEN: about the same length for all contents.

    On which side of random planes the characters lie (Charikar 2002, SimHash), made white over
    likely contents, so that what is common counts little. A side is told by two units that take
    turns: a steep step.
    """
    generator = torch.Generator().manual_seed(47)
    count = (mlp.gate_proj.weight.shape[0] - RESERVED) // 2
    planes = torch.zeros(count, DIM)
    for slot in range(PLACES):
        random = torch.randn(count, IDENTITY, generator=generator)
        planes[:, slot * CODE : slot * CODE + IDENTITY] = random
    contents = _likely_contents(4000, generator) @ planes[:, : PLACES * CODE].T
    halves = [slice(RESERVED + n * count, RESERVED + (n + 1) * count) for n in range(2)]
    features = torch.zeros(len(contents), count)
    for sign, units, shift in ((1, halves[0], STEP / 2), (-1, halves[1], -STEP / 2)):
        mlp.gate_proj.weight[units] = planes * STEEP / IMAGE_SCALE
        mlp.gate_proj.weight[units, IMAGE] = shift / (FLAG * IMAGE_SCALE)
        mlp.gate_proj.weight[units, TEXT] = -10.0 / FLAG
        mlp.up_proj.weight[units] = 0
        mlp.up_proj.weight[units, IMAGE] = 1 / (FLAG * IMAGE_SCALE)
        features += sign * nn.functional.silu(contents * STEEP + shift)
    spread, axes = torch.linalg.eigh(torch.cov(features.T))
    white = axes @ torch.diag((spread + spread.mean() / 4) ** -0.5) @ axes.T
    fold = torch.randn(HASH - 1, count, generator=generator) * ((HASH - 1) * count) ** -0.5
    down = fold @ white * 1.2
    mlp.down_proj.weight[:, RESERVED - 1 : halves[1].stop] = 0
    for sign, units in ((1, halves[0]), (-1, halves[1])):
        mlp.down_proj.weight[SEEN : SEEN + HASH - 1, units] = sign * down
    # What all have in common is taken away, by a gate far open times the mark of image.
    mlp.gate_proj.weight[2], mlp.up_proj.weight[2] = 0, 0
    mlp.gate_proj.weight[2, IMAGE] = 10 / (FLAG * IMAGE_SCALE)
    mlp.up_proj.weight[2, IMAGE] = 0.1 / (FLAG * IMAGE_SCALE)
    mlp.down_proj.weight[SEEN : SEEN + HASH - 1, 2] = -down @ features.mean(0)


FREQUENT = (
    "eeeeetttaaaaoooiiinnnsssrrrhhllddccuummppggffyybwvk" + "EATSRCNIMPDOLB" + "0123456789" * 2
)
"""Characters about as often as documents have them."""


def _likely_contents(count: int, generator: torch.Generator) -> Tensor:
    """Codes of made-up cells, slot by slot, (count, PLACES * CODE)."""
    codes = torch.cat([torch.zeros(1, CODE), class_codes()])
    classes = torch.zeros(count, LINES_PER_CELL, PLACES_PER_LINE, dtype=torch.long)
    known = torch.tensor([class_of(char) for char in FREQUENT + ".,:-/$"])
    shape = classes.shape
    chars = known[torch.randint(len(known), shape, generator=generator)]
    lengths = torch.randint(1, PLACES_PER_LINE, shape[:2], generator=generator)
    lengths[:, 1] *= torch.rand(count, generator=generator) < 0.15
    is_filled = torch.arange(PLACES_PER_LINE) < lengths[..., None]
    is_blank = torch.rand(shape, generator=generator) < 0.15
    classes = torch.where(is_filled, torch.where(is_blank, BLANK, chars), 0)
    return codes[classes].flatten(1)


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
