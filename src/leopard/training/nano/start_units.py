"""What the layers between attention do at the start: letter pairs, and choosing what is meant.

Gated units as steps and ramps, written into the small language model before its first lesson; see
`leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import (
    PLACES_PER_LINE,
)
from leopard.training.nano.letter_pairs import PairWeights
from leopard.training.nano.zones import (
    BEFORE,
    CANDIDATES,
    CODE,
    COUNTED,
    FLAG,
    FOUND,
    IDENTITY,
    IMAGE,
    KNOWN,
    LAST_OF_LEFT,
    LEFT_PER_LINE,
    LETTER,
    MEANT,
    ORDINAL,
    OWN_PAIR,
    PAIR,
    PLACE_SIZE,
    SAID,
    SURE,
    SURE_SIZE,
    TEXT,
    TEXT_SCALE,
    directions,
    slot_frame,
    wave_angles,
)


def pair_letters(mlp: Any, weights: PairWeights) -> None:
    """Text: the vector of a letter and the one before it, as `LetterPairs` makes it of a page's.

    A unit for each of its own, whose other factor is whether there is a letter; and one for what is
    added to all.
    """
    count = len(weights.bias)
    units = slice(0, count + 1)
    for part in (mlp.gate_proj, mlp.up_proj):
        part.weight[units] = 0
    mlp.down_proj.weight[:, units] = 0
    letters = torch.cat([directions(LETTER, CODE), directions(BEFORE, CODE)]) / TEXT_SCALE
    mlp.gate_proj.weight[:count] = weights.units @ letters
    mlp.gate_proj.weight[:count, TEXT] = weights.bias / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[count, TEXT] = 10 / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[units, IMAGE] = -10.0 / FLAG
    mlp.up_proj.weight[units, LETTER + IDENTITY] = 2 / TEXT_SCALE
    fold = torch.cat([weights.fold, weights.fold_bias[:, None] / 10], 1)
    mlp.down_proj.weight[OWN_PAIR : OWN_PAIR + PAIR, units] = fold


def seen_before(line: int, place: int, back: int) -> Tensor:
    """Directions of the character so many places before a place, (CODE, DIM)."""
    if back <= place:
        return slot_frame(line * PLACES_PER_LINE + place - back)
    return directions(LAST_OF_LEFT + (line * LEFT_PER_LINE + back - place - 1) * CODE, CODE)


STEEP = 170.0
"""How steep the steps are by which one place is chosen."""
AHEAD = (0.2, 0.8)
"""By so much it must be surer than all others together: from here on, and entirely from there."""


SURELY = (0.5, 0.8)
"""The same for saying that something is meant at all."""
CHOSEN = 0.95
"""Share of a place that is left by what the steps do not count in."""


def choose(mlp: Any) -> None:
    """In MEANT, of the places that may be meant the one that is surer than all others together."""
    unit = 0
    low, high = (step * SURE_SIZE for step in AHEAD)
    for candidate in range(CANDIDATES):
        ahead = 2 * directions(SURE + candidate, 1)[0] - directions(SURE, CANDIDATES).sum(0)
        for number in range(PLACE_SIZE):
            for step, sign in ((low, 1.0), (high, -1.0)):
                mlp.gate_proj.weight[unit] = STEEP * ahead / TEXT_SCALE
                mlp.gate_proj.weight[unit, TEXT] = -STEEP * step / (FLAG * TEXT_SCALE)
                mlp.up_proj.weight[unit] = 0
                mlp.up_proj.weight[unit, FOUND + candidate * PLACE_SIZE + number] = 1 / TEXT_SCALE
                mlp.down_proj.weight[:, unit] = 0
                step_size = STEEP * (high - low) * CHOSEN
                mlp.down_proj.weight[MEANT + number, unit] = sign / step_size
                unit += 1
        unit = _mark_known(mlp, unit, ahead)


def _mark_known(mlp: Any, unit: int, ahead: Tensor) -> int:
    """In KNOWN, whether a candidate is ahead; returns the unit after those used."""
    low, high = (step * SURE_SIZE for step in SURELY)
    steep = 4 * STEEP
    for step, sign in ((low, 1.0), (high, -1.0)):
        mlp.gate_proj.weight[unit] = steep * ahead / TEXT_SCALE
        mlp.gate_proj.weight[unit, TEXT] = -steep * step / (FLAG * TEXT_SCALE)
        mlp.gate_proj.weight[unit, IMAGE] = -10.0 / FLAG
        mlp.up_proj.weight[unit] = directions(TEXT, 1)[0] / (FLAG * TEXT_SCALE)
        mlp.down_proj.weight[:, unit] = sign * directions(KNOWN, 1)[0] / (steep * (high - low))
        unit += 1
    return unit


SHARP = 20.0
"""How steep the steps are by which a character's turn is told."""
TURN = (2.5, 2.8)
"""From here on, and entirely from there, the count of an answer is that of a character: sums of the
cosines of three waves, 3.1 where it is and up to 2.3 one place off."""
LIKE_FOUND = 1.3
"""How loud such a character is, as a share of one that was found."""


def say_nothing_found(mlp: Any, codes: Tensor, counted: float) -> None:
    """Say a text where nothing is meant, character after character as they are counted.

    Args:
        mlp: Of the layer.
        codes: Codes of its characters, (characters, CODE).
        counted: How large the waves of the count are.
    """
    low, high = TURN
    for number, code in enumerate(codes):
        angles = torch.tensor(wave_angles()) * number
        waves = torch.stack([angles.cos(), angles.sin()], -1).flatten()
        here = waves @ directions(COUNTED, ORDINAL) / (counted * TEXT_SCALE)
        for at, (step, sign) in enumerate(((low, 1.0), (high, -1.0)), start=2 * number):
            mlp.gate_proj.weight[at] = SHARP * here
            mlp.gate_proj.weight[at, KNOWN] = -SHARP * 4 / TEXT_SCALE
            mlp.gate_proj.weight[at, TEXT] = -SHARP * step / (FLAG * TEXT_SCALE)
            mlp.gate_proj.weight[at, IMAGE] = -100.0 / FLAG
            mlp.up_proj.weight[at] = directions(TEXT, 1)[0] / (FLAG * TEXT_SCALE)
            mlp.down_proj.weight[:, at] = 0
            size = sign * LIKE_FOUND / (SHARP * (high - low))
            mlp.down_proj.weight[SAID : SAID + CODE, at] = code * size
