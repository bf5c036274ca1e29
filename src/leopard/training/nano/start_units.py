"""What the layers between attention do at the start: letter triples, and choosing what is meant.

Gated units as steps and ramps, written into the small language model before its first lesson; see
`leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import LINES_PER_CELL, PLACES_PER_LINE
from leopard.training.nano.meaning import ASKED_UNITS, TRIPLE_UNITS, Meaning
from leopard.training.nano.zones import (
    AGREED,
    AROUND,
    ASKS_CHECK,
    BEFORE,
    CHECKED,
    CHOSEN,
    CODE,
    COUNTED,
    DIM,
    FLAG,
    IDENTITY,
    IMAGE,
    LAST_OF_LEFT,
    LEFT_PER_LINE,
    LETTER,
    MEANS,
    MEANT,
    ORDINAL,
    OWN_TRIPLE,
    SAID,
    SURE,
    SURE_SIZE,
    TEXT,
    TEXT_SCALE,
    TWO_BEFORE,
    asked_numbers,
    directions,
    slot_frame,
    wave_angles,
)

LETTER_SCALE = math.sqrt(DIM / (FLAG**2 + 3 * 1.25))
"""What the norm before these units makes of a 1 in a letter, which has a mark and three codes. Much
cancels in the sum of the units, so it must be exact."""
TRIPLE_SIZE = 0.08
"""How large vectors of letters are in the stream, as a share of what they were when learned."""


def triple_letters(mlp: Any, meaning: Meaning) -> None:
    """Layer 0, text: the vector of a letter and the two before it.

    A unit for each of its own, whose other factor is whether there is a letter; and one for what is
    added to all.
    """
    count, known = TRIPLE_UNITS, meaning.around.letters
    units = slice(0, count + 1)
    for part in (mlp.gate_proj, mlp.up_proj):
        part.weight[units] = 0
    mlp.down_proj.weight[:, units] = 0
    letters = torch.cat([directions(zone, CODE) for zone in (LETTER, BEFORE, TWO_BEFORE)])
    mlp.gate_proj.weight[:count] = known.units.weight @ letters / LETTER_SCALE
    mlp.gate_proj.weight[:count, TEXT] = known.units.bias / (FLAG * LETTER_SCALE)
    mlp.gate_proj.weight[count, TEXT] = 10 / (FLAG * LETTER_SCALE)
    mlp.gate_proj.weight[units, IMAGE] = -40.0 / FLAG
    mlp.up_proj.weight[units, LETTER + IDENTITY] = 2 / LETTER_SCALE
    fold = torch.cat([known.fold.weight * count**-0.5, known.fold.bias[:, None] / 10], 1)
    mlp.down_proj.weight[OWN_TRIPLE : OWN_TRIPLE + AROUND, units] = fold * TRIPLE_SIZE


def mean_to_meant(mlp: Any, first: int, meaning: Meaning, length: float) -> None:
    """Layer 1, text: what the means of a question's letters mean, added to them.

    Args:
        mlp: Of the layer.
        first: First unit to use.
        meaning: What was learned.
        length: How long what is asked is in the stream, as a factor.
    """
    units = slice(first, first + ASKED_UNITS)
    asked = torch.cat([torch.arange(DIM)[asked_numbers(mean)] for mean in range(MEANS)])
    for part, own in ((mlp.gate_proj, meaning.gate), (mlp.up_proj, meaning.up)):
        part.weight[units] = 0
        part.weight[units, asked] = own.weight / (length * TEXT_SCALE)
        part.weight[units, TEXT] = own.bias / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[units, IMAGE] = -40.0 / FLAG
    mlp.down_proj.weight[:, units] = 0
    mlp.down_proj.weight[asked, units] = meaning.down.weight * length


def seen_before(line: int, place: int, back: int) -> Tensor:
    """Directions of the character so many places before a place, (CODE, DIM)."""
    if back <= place:
        return slot_frame(line * PLACES_PER_LINE + place - back)
    return directions(LAST_OF_LEFT + (line * LEFT_PER_LINE + back - place - 1) * CODE, CODE)


STEEP = 2700.0
"""How steep the steps are by which one place is chosen."""
CERTAINLY = 1.02
"""What the one that is surer has in CHOSEN; what the steps do not count in leaves about 1."""
AHEAD = (0.0, 0.012)
"""By so many steps it must be surer than the other: from here on, and entirely from there."""


def choose(mlp: Any, first: int) -> int:
    """Layer 3: in CHOSEN, which of the places that may be meant is surer, if it is sure enough.

    None is chosen where yes or no is the answer: then nothing is read out.

    Args:
        mlp: Of the layer.
        first: First unit to use; two are used for each line.

    Returns:
        The unit after the last one used.
    """
    low, high = (step * SURE_SIZE for step in AHEAD)
    for line in range(LINES_PER_CELL):
        ahead = 2 * directions(SURE + line, 1)[0] - directions(SURE, LINES_PER_CELL).sum(0)
        for at, (step, sign) in enumerate(((low, 1.0), (high, -1.0)), start=first + 2 * line):
            mlp.gate_proj.weight[at] = STEEP * ahead / TEXT_SCALE
            mlp.gate_proj.weight[at, TEXT] = -STEEP * step / (FLAG * TEXT_SCALE)
            mlp.gate_proj.weight[at, IMAGE] = -10.0 / FLAG
            mlp.gate_proj.weight[at, ASKS_CHECK] = -STEEP / (CHECK_FROM * TEXT_SCALE)
            mlp.up_proj.weight[at] = directions(MEANT + line, 1)[0] / (SURE_SIZE * TEXT_SCALE)
            chosen = directions(CHOSEN + line, 1)[0]
            mlp.down_proj.weight[:, at] = sign * chosen * CERTAINLY / (STEEP * (high - low))
    return first + 2 * LINES_PER_CELL


SHARP = 20.0
"""How steep steps are by which it is told whether something is so, or whose turn it is."""
CHECK_SIZE, CHECK_STEEP = 0.1, 4.0
"""How large the logit of a question of yes or no is in the stream, and how steep it begins."""
CHECK_FROM, CHECK_WHOLLY = 0.04, 0.08
"""From here on such a question is one, and entirely from there."""
MEANT_FROM, MEANT_WHOLLY = 0.4, 0.6
"""The same for what is meant on any line."""


def ask_for_check(mlp: Any, logit: Tensor, bias: float) -> None:
    """Layer 2, text: how surely yes or no is the answer, by the first unit; 0 where it is not.

    Args:
        mlp: Of the layer.
        logit: What gives the logit that this is so, but for its bias, (DIM,).
        bias: The bias.
    """
    mlp.gate_proj.weight[0] = logit * CHECK_STEEP
    mlp.gate_proj.weight[0, TEXT] = bias * CHECK_STEEP / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[0, IMAGE] = -100.0 / FLAG
    mlp.up_proj.weight[0] = directions(TEXT, 1)[0] / (FLAG * TEXT_SCALE)
    mlp.down_proj.weight[:, 0] = directions(ASKS_CHECK, 1)[0] * CHECK_SIZE / CHECK_STEEP


def check(mlp: Any, first: int) -> None:
    """Layer 3, text: whether yes or no is the answer, and whether anything is meant.

    Args:
        mlp: Of the layer.
        first: First unit to use.
    """
    asks = directions(ASKS_CHECK, 1)[0] / TEXT_SCALE
    meant = directions(MEANT, LINES_PER_CELL).sum(0) / (SURE_SIZE * TEXT_SCALE)
    steps = ((asks, CHECK_FROM, CHECK_WHOLLY, CHECKED), (meant, MEANT_FROM, MEANT_WHOLLY, AGREED))
    for number, (told, low, high, written) in enumerate(steps):
        steep = SHARP / (high - low)
        for at, (step, sign) in enumerate(((low, 1.0), (high, -1.0)), start=first + 2 * number):
            mlp.gate_proj.weight[at] = steep * told
            mlp.gate_proj.weight[at, TEXT] = -steep * step / (FLAG * TEXT_SCALE)
            mlp.gate_proj.weight[at, IMAGE] = -100.0 / FLAG
            mlp.up_proj.weight[at] = directions(TEXT, 1)[0] / (FLAG * TEXT_SCALE)
            mlp.down_proj.weight[:, at] = sign * directions(written, 1)[0] / SHARP


TURN = (2.5, 2.8)
"""From here on, and entirely from there, the count of an answer is that of a character: sums of the
cosines of three waves, 3.1 where it is and up to 2.3 one place off."""
LIKE_FOUND = 1.3
"""How loud such a character is, as a share of one that was found."""


UNMET = 4.0
"""By so much less is it a character's turn where a condition is not met."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What is said where some things are so and others are not."""

    codes: Tensor
    """Codes of its characters, (characters, CODE)."""
    where: tuple[int, ...]
    """Numbers of the stream that must be 1."""
    unless: tuple[int, ...]
    """And that must be 0."""


def say(mlp: Any, first: int, phrase: Phrase, counted: float) -> int:
    """Layer 4: say a text, character after character as they are counted.

    Args:
        mlp: Of the layer.
        first: First unit to use.
        phrase: The text, and where it is said.
        counted: How large the waves of the count are.

    Returns:
        The unit after the last one used.
    """
    low, high = TURN
    for number, code in enumerate(phrase.codes):
        angles = torch.tensor(wave_angles()) * number
        waves = torch.stack([angles.cos(), angles.sin()], -1).flatten()
        here = waves @ directions(COUNTED, ORDINAL) / (counted * TEXT_SCALE)
        for zone, sign in ((phrase.where, 1.0), (phrase.unless, -1.0)):
            here[list(zone)] = sign * UNMET / TEXT_SCALE
        for at, (step, sign) in enumerate(((low, 1.0), (high, -1.0)), start=first + 2 * number):
            least = step + UNMET * len(phrase.where)
            mlp.gate_proj.weight[at] = SHARP * here
            mlp.gate_proj.weight[at, TEXT] = -SHARP * least / (FLAG * TEXT_SCALE)
            mlp.gate_proj.weight[at, IMAGE] = -100.0 / FLAG
            mlp.up_proj.weight[at] = directions(TEXT, 1)[0] / (FLAG * TEXT_SCALE)
            mlp.down_proj.weight[:, at] = 0
            size = sign * LIKE_FOUND / (SHARP * (high - low))
            mlp.down_proj.weight[SAID : SAID + CODE, at] = code * size
    return first + 2 * len(phrase.codes)
