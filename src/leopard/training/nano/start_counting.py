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

from leopard.training.nano.characters import LINES_PER_CELL, PLACES_PER_LINE
from leopard.training.nano.meaning import FIRST_TILE, Meaning
from leopard.training.nano.start_heads import (
    HALF,
    IMAGE_MARK,
    RESTING,
    SLOW,
    TEXT_MARK,
    Heads,
)
from leopard.training.nano.start_units import seen_before
from leopard.training.nano.zones import (
    ANSWER_FLAG,
    ANSWERING,
    ASIDE,
    ASSISTANT,
    AXIS,
    BEGUN,
    BREAK,
    COLUMN_FLAG,
    COUNTED,
    ENDS,
    FLAG,
    FOUND,
    HEAD,
    IMAGE,
    IMAGE_SCALE,
    JOINED,
    OPEN,
    ORDINAL,
    PICTURE,
    PLACE_LENGTH,
    PLACE_SIZE,
    ROPE_THETA,
    ROW,
    RUNS,
    SIDE,
    START,
    START_FLAG,
    START_SCALE,
    TARGET,
    TEXT,
    TEXT_SCALE,
    USER,
    WAVES,
    around_line,
    begin_of_line,
    directions,
    first_of_line,
    slot_frame,
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


def fitted_turns(
    near: Tensor, farther: int, most: float, *, at: Tensor | None = None, count: int = RESTING
) -> Tensor:
    """Rotations that together make a function of the distance: least squares, step by step.

    Args:
        near: Its values at some distances.
        farther: Distance from which it may only
        most: be so large.
        at: Distances of `near`; from 0 on if not given.
        count: Rotations to use, the quickest.

    Returns:
        Amplitudes of cosines and sines, (2, rotations).
    """
    angles = ROPE_THETA ** (-torch.arange(count, dtype=torch.float64) / HALF)

    def turns(distance: Tensor) -> Tensor:
        turned = distance[:, None] * angles
        return torch.cat([turned.cos(), turned.sin()], 1)

    weight, ridge = 30.0, 0.3
    of_near = turns(torch.arange(len(near), dtype=torch.float64) if at is None else at)
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


JOINING_HEADS = tuple(range(ORDINAL, ORDINAL + 2 * LINES_PER_CELL))
"""Heads of the second layer that look for the end of a line in the crop before: for each line one
that brings what stands around it, then for each line one that brings ordinals."""
ROW_HEADS = (14, 15)
"""Those that bring what stands around the end of the row to all its lines."""
LOUD_END = 1.05
"""How loud that is made, so that it is as learned after the norm."""
BAND, ROW_LOGIT, LAST_LOGIT, LEAST = 40.0, 20.0, 25.0, 76.0
"""Attention logits of a crop, of a row, of the last column; and what must be reached."""
SECOND, CLOSED, REACHED = 5.0, 9.0, 5.0
"""By how much the crop before the one before is behind; and what it counts that a text ended before
the last column, or reached it: where a row of the crop before is empty, the one before that counts.
"""


def find_crop_before(heads: Heads, meaning: Meaning) -> None:
    """Layer 1: lines look for the end of their row in the crop before.

    What they bring is what stands around it, to all lines of the row, and in its own way to those
    that may go on from there; and to these the turn by which ordinals go on, less one, so that it
    is nothing where there is nothing. Another crop may have been before than the one on the left:
    then a line counts from somewhere else, all along.
    """
    for line in range(LINES_PER_CELL):
        is_open, around = {OPEN + line: IMAGE_SCALE}, around_line(line)
        for head, lines, told in (
            (JOINING_HEADS[line], is_open, meaning.join),
            (ROW_HEADS[line], IMAGE_MARK, meaning.row),
        ):
            _look_crops_back(heads, head, lines, 2)
            _prefer_what_goes_on(heads, head, line, lines)
            _stop_at_image_start(heads, head)
            heads.carry(head, around / IMAGE_SCALE, told.weight.T @ around * LOUD_END)
        head = JOINING_HEADS[LINES_PER_CELL + line]
        goes_on = {RUNS + line: IMAGE_SCALE}
        _look_crops_back(heads, head, goes_on, 1)
        _find_end_of_row(heads, head, goes_on)
        _stop_at_image_start(heads, head)
        read = directions(ENDS + line * ORDINAL, ORDINAL) / IMAGE_SCALE
        heads.carry(head, read, directions(JOINED + line * ORDINAL, ORDINAL))


def _find_end_of_row(heads: Heads, head: int, lines: dict[int, float]) -> int:
    """Prefer the last column of the own row.

    Args:
        heads: Of the layer.
        head: Which.
        lines: Marks of lines that look, with their sizes.

    Returns:
        The number of the head's vectors that tells the last column.
    """
    numbers = [*SLOW, *(HALF + number for number in SLOW)]
    row = directions(ROW, AXIS)
    gain = math.sqrt(ROW_LOGIT * math.sqrt(HEAD) / (AXIS / 2)) / PLACE_LENGTH / IMAGE_SCALE
    heads.query[head, numbers[:AXIS]] = row * gain
    heads.key[head, numbers[:AXIS]] = row * gain
    for mark, size in lines.items():
        heads.query[head, numbers[AXIS], mark] = math.sqrt(HEAD) / size
    heads.key[head, numbers[AXIS], COLUMN_FLAG] = -LAST_LOGIT / (2 * IMAGE_SCALE)
    heads.rest(head, RESTING, LEAST, TEXT_MARK | IMAGE_MARK)
    return numbers[AXIS]


def _look_crops_back(heads: Heads, head: int, lines: dict[int, float], count: int) -> None:
    """Attend to the last columns of the crops before, a little less to each one further back.

    Args:
        heads: Of the layer.
        head: Which.
        lines: Marks of lines that look, with their sizes.
        count: Of crops.
    """
    heads.clear(head)
    first = torch.arange(SIDE * SIDE - SIDE + 1, SIDE * SIDE + 1)
    at = torch.cat([torch.zeros(1), *(first + crop * SIDE * SIDE for crop in range(count))])
    near = torch.tensor([BAND / 2]).double()
    for crop in range(count):
        near = torch.cat([near, torch.full((SIDE,), BAND - crop * SECOND).double()])
    farther = (count + 1) * SIDE * SIDE - SIDE
    shape = fitted_turns(near, farther, BAND / 2, at=at.double(), count=20)
    for mark, size in lines.items():
        heads.query[head, :STOP_ROTATIONS, mark] = math.sqrt(HEAD) / size
    for half, part in enumerate(shape):
        start = half * HALF
        heads.key[head, start : start + len(part), IMAGE] = part / (FLAG * IMAGE_SCALE)


def _prefer_what_goes_on(heads: Heads, head: int, line: int, lines: dict[int, float]) -> None:
    """Prefer the last column of the own row, and crops in which text reaches it.

    Args:
        heads: Of the layer.
        head: Which.
        line: Of the cells.
        lines: Marks of lines that look, with their sizes.
    """
    key = heads.key[head, _find_end_of_row(heads, head, lines)]
    key[OPEN + line] = -CLOSED / IMAGE_SCALE
    key[IMAGE] = CLOSED / (FLAG * IMAGE_SCALE)
    key += REACHED * slot_frame(line * PLACES_PER_LINE)[-1] / (0.5 * IMAGE_SCALE)


FIRST_CROPS = (FIRST_TILE + 1) * SIDE * SIDE
"""Tokens of an image's thumbnail and its first tile: nothing of the page is before them."""
STOP_ROTATIONS = 24
"""Rotations that tell these; those after them tell rows."""


def _stop_at_image_start(heads: Heads, head: int) -> None:
    """In its first tile a page has no crop before: there the token it begins with counts instead.

    It has nothing to bring.
    """
    mark = ANSWER_FLAG * TEXT_SCALE
    for half, part in enumerate(_within_first_crops()):
        numbers = slice(half * HALF, half * HALF + STOP_ROTATIONS)
        heads.key[head, numbers, PICTURE] = part / mark


@cache
def _within_first_crops() -> Tensor:
    """A logit of about 130 up to FIRST_CROPS, no more than 72 a row later; by least squares.

    Returns:
        Amplitudes of cosines and sines, (2, rotations).
    """
    (low, high), most, weight, ridge = (120.0, 160.0), 45.0, 3.0, 0.3
    near = torch.arange(1, FIRST_CROPS + 1, 2).double()
    far = torch.cat(
        [torch.arange(FIRST_CROPS + SIDE - 1, 3000, 3), torch.arange(3000, FARTHEST, 11)]
    ).double()
    angles = ROPE_THETA ** (-torch.arange(STOP_ROTATIONS, dtype=torch.float64) / HALF)

    def turns(distance: Tensor) -> Tensor:
        turned = distance[:, None] * angles
        return torch.cat([turned.cos(), turned.sin()], 1)

    of_near, of_far = turns(near), turns(far)
    small = torch.eye(2 * STOP_ROTATIONS, dtype=torch.float64) * ridge
    solve = torch.linalg.pinv(torch.cat([of_near * weight, of_far, small]))
    inside, outside = torch.full_like(near, low), torch.full_like(far, most)
    for _ in range(200):
        amplitudes: Tensor = solve @ torch.cat([inside * weight, outside, small[0] * 0])
        inside = (of_near @ amplitudes).clamp(low, high)
        outside = (of_far @ amplitudes).clamp(max=most)
    return amplitudes.view(2, -1).float()


def join_crops(mlp: Any) -> int:
    """Layer 1: ordinals of lines that run on from the crop before go on from there, too.

    Returns:
        The unit after the last one used.
    """
    unit = 0
    length = PLACE_LENGTH * IMAGE_SCALE**2
    for line in range(LINES_PER_CELL):
        turn = directions(JOINED + line * ORDINAL, ORDINAL)
        for told in (first_of_line(line), begin_of_line(line)):
            unit = _turn(mlp, unit, told, turn, told / length)
        _go_on(mlp, unit, line)
        unit += 2
    return unit


def _go_on(mlp: Any, unit: int, line: int) -> None:
    """Where a line of the first column goes on from the crop before, nothing begins in it.

    But a word may begin further on, behind a blank: then its ordinal is not that of the first
    place.
    """
    step, low, high = 30.0, 3.55, 3.8
    is_before = seen_before(line, 0, 1)[-1] / (0.5 * IMAGE_SCALE)
    is_first = begin_of_line(line)[::2].sum(0) / (len(WAVES) * PLACE_LENGTH * IMAGE_SCALE)
    for at, least in ((unit, low), (unit + 1, high)):
        mlp.gate_proj.weight[at] = step * (is_before + 2 * is_first)
        mlp.gate_proj.weight[at, COLUMN_FLAG] = step / (2 * IMAGE_SCALE)
        mlp.gate_proj.weight[at, IMAGE] = -step * least / (FLAG * IMAGE_SCALE)
        mlp.gate_proj.weight[at, TEXT] = -10.0 / FLAG
        mlp.up_proj.weight[at] = directions(BEGUN + line, 1)[0] / IMAGE_SCALE
        mlp.down_proj.weight[:, at] = 0
        sign = -1 if at == unit else 1
        mlp.down_proj.weight[BEGUN + line, at] = sign / (step * (high - low))


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
