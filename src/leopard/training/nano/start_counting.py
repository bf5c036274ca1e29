"""Reading out in order: how many characters an answer has so far, and which place is due next.

Letters alone do not tell where to go on: after the first 9 of `9915` two places fit, and words come
again. So an answer's characters are counted, the count is added to the ordinal of the place where
the answer begins, and the place with that ordinal is read. Ordinals are waves; adding is turning.
See `leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import LINES_PER_CELL
from leopard.training.nano.start_heads import (
    HALF,
    IMAGE_MARK,
    RESTING,
    TEXT_MARK,
    Heads,
)
from leopard.training.nano.zones import (
    ANSWER_FLAG,
    ANSWERING,
    ASIDE,
    ASSISTANT,
    BREAK,
    COUNTED,
    FLAG,
    FOUND,
    HEAD,
    IMAGE,
    IMAGE_SCALE,
    ORDINAL,
    PLACE_SIZE,
    ROPE_THETA,
    START,
    START_FLAG,
    START_SCALE,
    TARGET,
    TEXT,
    TEXT_SCALE,
    USER,
    directions,
    wave_angles,
)

COUNTING_HEADS = tuple(range(ORDINAL))
"""Heads of the second layer, two for each wave: cosine and sine."""
COUNT_GAIN = 0.6
"""Attention logits that tell the count; small, so that shares follow them in a straight line."""
LONGEST, FARTHER = 36, 50
"""Up to so many characters are counted; a beginning from so many tokens on is that of an answer
before, and is left alone."""
ALONE = 5.0
"""By how much, as an attention logit."""
OTHERS = 15.0
"""Attention logit, below 0, of tokens of text where no answer begins."""


def count_characters(heads: Heads) -> None:
    """Layer 1: tell how far back the answer began, as an ordinal in COUNTED.

    A head attends to that token or to the first one, by a wave of the distance; the one counts 1,
    the other -1, so what is written is the wave: tanh(x / 2) of the logit.
    """
    root = math.sqrt(HEAD)
    mark = ANSWER_FLAG * TEXT_SCALE
    read = directions(ANSWERING, 1) / mark - directions(START, 1) / (START_FLAG * START_SCALE)
    for number, head in enumerate(COUNTING_HEADS):
        heads.clear(head)
        angle = wave_angles()[number // 2]
        shape = _shape(angle, is_sine=number % 2 == 1)
        for flag, size in (TEXT_MARK | IMAGE_MARK).items():
            heads.query[head, RESTING, flag] = root / size
        heads.query[head, : len(shape[0]), TEXT] = root / (FLAG * TEXT_SCALE)
        for half, part in enumerate(shape):
            first = half * HALF
            heads.key[head, first : first + len(part), ANSWERING] = part / mark
        heads.key[head, RESTING, TEXT] = -OTHERS / (FLAG * TEXT_SCALE)
        heads.key[head, RESTING, ANSWERING] = OTHERS / mark
        heads.key[head, RESTING, IMAGE] = -3 * OTHERS / (FLAG * IMAGE_SCALE)
        heads.carry(head, read, directions(COUNTED + number, 1))


FARTHEST = 10_000
"""Tokens of the longest prompt that is thought of: a full crop budget and a conversation."""


@cache
def _shape(angle: float, *, is_sine: bool) -> Tensor:
    """A wave up to LONGEST tokens back; from FARTHER on no more than -ALONE."""
    near = torch.arange(LONGEST + 1, dtype=torch.float64)
    wave = torch.sin(near * angle) if is_sine else torch.cos(near * angle)
    return fitted_turns(COUNT_GAIN * wave, FARTHER, -ALONE)


def fitted_turns(near: Tensor, farther: int, most: float) -> Tensor:
    """Rotations that together make a function of the distance: least squares, step by step.

    Args:
        near: Its values from distance 0 on.
        farther: Distance from which it may only
        most: be so large.

    Returns:
        Amplitudes of cosines and sines, (2, rotations).
    """
    count = RESTING
    angles = ROPE_THETA ** (-torch.arange(count, dtype=torch.float64) / HALF)

    def turns(distance: Tensor) -> Tensor:
        turned = distance[:, None] * angles
        return torch.cat([turned.cos(), turned.sin()], 1)

    weight, ridge = 30.0, 0.3
    of_near = turns(torch.arange(len(near), dtype=torch.float64))
    of_far = turns(
        torch.cat(
            [
                torch.arange(min(farther, 400), 400),
                torch.arange(max(farther, 400), 3000, 5),
                torch.arange(max(farther, 3000), FARTHEST, 20),
            ]
        ).double()
    )
    small = torch.eye(2 * count, dtype=torch.float64) * ridge
    solve = torch.linalg.pinv(torch.cat([of_near * weight, of_far, small]))
    goal = torch.full((len(of_far),), most, dtype=torch.float64)
    for _ in range(60):
        amplitudes: Tensor = solve @ torch.cat(
            [near * weight, goal, torch.zeros(2 * count).double()]
        )
        goal = (of_far @ amplitudes).clamp(max=most)
    return amplitudes.view(2, -1).float()


NEAREST_HEAD = 2
"""Head of the first layer by which text finds out who speaks; visual tokens use it otherwise."""
REACH, SLOPE, NOBODY = 150, 0.3, 20.0
"""Tokens back to which it looks; attention logits that a token's distance costs; and the logit of
the first token."""


@torch.no_grad()
def tell_asides(heads: Heads) -> None:
    """Layer 0: mark text of answers, and what stands behind a line break.

    The nearest of these is then `assistant`, or the break, and not `user`. What is asked is
    gathered from questions alone, so it stays the same while an answer is said, and whatever a
    question is followed by, such as how to answer it.
    """
    root, mark, hidden = math.sqrt(HEAD), ANSWER_FLAG * TEXT_SCALE, 2.0
    near = NOBODY * (1 + hidden) + 3 + SLOPE * torch.arange(REACH, -1, -1).double()
    shape = fitted_turns(near, REACH + 30, NOBODY * (1 + hidden) - 8)
    heads.query[NEAREST_HEAD, :, TEXT] = 0
    heads.rest(NEAREST_HEAD, RESTING, NOBODY, TEXT_MARK)
    heads.query[NEAREST_HEAD, : shape.shape[1], TEXT] = root / (FLAG * TEXT_SCALE)
    for word in (USER, ASSISTANT, BREAK):
        for half, part in enumerate(shape):
            first = half * HALF
            heads.key[NEAREST_HEAD, first : first + len(part), word] = part / mark
        # Visual tokens must not find these words; by as much more are they found by text.
        heads.key[NEAREST_HEAD, RESTING, word] = -hidden * 20 / mark
    read = directions(ASSISTANT, 1) + directions(BREAK, 1)
    heads.carry_besides(NEAREST_HEAD, read / mark, directions(ASIDE, 1))


def add_ordinals(mlp: Any) -> int:
    """Layer 3: in TARGET, ordinals of what may be meant and the characters said since.

    Returns:
        The unit after the last one used.
    """
    counted, unit = directions(COUNTED, ORDINAL), 0
    length = math.tanh(COUNT_GAIN / 2) * TEXT_SCALE**2
    for line in range(LINES_PER_CELL):
        begin = FOUND + (line + 1) * PLACE_SIZE - ORDINAL
        target = directions(TARGET + line * ORDINAL, ORDINAL)
        unit = _turn(mlp, unit, directions(begin, ORDINAL), counted, target / length)
    return unit


def _turn(mlp: Any, unit: int, told: Tensor, turn: Tensor, written: Tensor) -> int:
    """Turn waves by others: complex products.

    A pair of gated units multiplies exactly, because silu(x) - silu(-x) is x.

    Args:
        mlp: Of the layer.
        unit: First unit to use.
        told: What gives one factor, (ORDINAL, DIM).
        turn: What gives the other.
        written: Where the product goes.

    Returns:
        The unit after the last one used.
    """
    for cos in range(0, len(told), 2):
        sin = cos + 1
        products = ((cos, cos, cos, 1), (sin, sin, cos, -1), (sin, cos, sin, 1), (cos, sin, sin, 1))
        for one, other, total, sign in products:
            for way in (1.0, -1.0):
                mlp.gate_proj.weight[unit] = way * told[one]
                mlp.up_proj.weight[unit] = way * turn[other]
                mlp.down_proj.weight[:, unit] = sign * written[total]
                unit += 1
    return unit
