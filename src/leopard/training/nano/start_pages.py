"""What the tokens of a page are told of it: its heading, and the label of its image.

A question says `For Lund Office:` or `on page 3`; the crop that holds the answer need not show
either. The last cell of a page's first tile has the heading (`Surroundings`), the colon before an
image has letters of its label; all visual tokens of a page look back for both, and the nearest
counts. See `leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import LINES_PER_CELL
from leopard.training.nano.codes import byte_classes, class_codes
from leopard.training.nano.meaning import FIRST_TILE, TRIPLE_UNITS, Meaning
from leopard.training.nano.start_counting import FARTHEST, JOINING_HEADS, fitted_turns
from leopard.training.nano.start_heads import HALF, IMAGE_MARK, RESTING, TEXT_MARK, Heads
from leopard.training.nano.start_units import TRIPLE_SIZE
from leopard.training.nano.zones import (
    ANSWER_FLAG,
    AROUND,
    AXIS,
    COLUMN_FLAG,
    FLAG,
    HEAD,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LABEL,
    LETTER,
    OWN_TRIPLE,
    PAGE_END,
    PICTURE,
    PLACE_LENGTH,
    ROPE_THETA,
    ROW,
    SIDE,
    TEXT,
    TEXT_SCALE,
    around_line,
    axis_codes,
    directions,
)

END_HEAD = 0
"""Head of the first layer by which the end of a first tile is found; text uses it otherwise."""
TO_IMAGE_START = (FIRST_TILE + 1) * SIDE**2
"""Tokens from there back to the one that the image begins with."""
MOST_CROPS = 13
HIGHEST, ROTATIONS, FREE = 120.0, 28, 30
"""Attention logit at that distance; rotations that make it; and one that text is kept out by."""
REST, LOWER = 160.0, 60.0
"""Logit of the first token for visual tokens, and by how much it is lower in the last row."""


def find_page_ends(heads: Heads) -> None:
    """Layer 0: mark the last cell of a page's first tile, by its distance to the image's start."""
    head, root = END_HEAD, math.sqrt(HEAD)
    picture, text = ANSWER_FLAG * TEXT_SCALE, FLAG * TEXT_SCALE
    heads.query[head, :ROTATIONS, COLUMN_FLAG] = -root / (2 * IMAGE_SCALE)
    for half, part in enumerate(_at_one_distance()):
        numbers = slice(half * HALF, half * HALF + ROTATIONS)
        # Other text finds what stands before it by the same numbers; an image's start is not text.
        heads.key[head, numbers, PICTURE] -= heads.key[head, numbers, TEXT] * FLAG / ANSWER_FLAG
        heads.key[head, numbers, PICTURE] += part / picture
    heads.query[head, FREE, IMAGE] = root / (FLAG * IMAGE_SCALE)
    heads.key[head, FREE, TEXT] = -200 / text
    heads.key[head, FREE, PICTURE] = 200 / picture
    heads.rest(head, RESTING, REST, IMAGE_MARK)
    row = axis_codes()[-1] @ directions(ROW, AXIS)
    lower = root * LOWER / (AXIS / 2 * PLACE_LENGTH**2 * IMAGE_SCALE) / 20
    heads.query[head, RESTING] -= row * lower
    mark = directions(PAGE_END, 1) * ANSWER_FLAG
    heads.carry_besides(head, directions(PICTURE, 1) / picture, mark)


@cache
def _at_one_distance() -> Tensor:
    """Rotations that make a peak at TO_IMAGE_START: least squares, the rest between two bounds.

    Cells of the last column are multiples of SIDE away from where their image begins, cells of the
    first column, which look with the other sign, one more.

    Returns:
        Amplitudes of cosines and sines, (2, rotations).
    """
    bound, ridge, weight = 16.0, 0.3, 100.0
    near = torch.arange(1, MOST_CROPS * SIDE**2 + 1)
    near = near[(near % SIDE < 2) & (near != TO_IMAGE_START)]
    far = torch.arange(MOST_CROPS * SIDE**2, FARTHEST, 7)
    distances = torch.cat([torch.tensor([TO_IMAGE_START]), near, far]).double()
    angles = ROPE_THETA ** (-torch.arange(ROTATIONS, dtype=torch.float64) / HALF)
    turned = distances[:, None] * angles
    turns = torch.cat([turned.cos(), turned.sin()], 1)
    weights = torch.ones_like(distances)
    weights[0] = weight
    small = torch.eye(2 * ROTATIONS, dtype=torch.float64) * ridge
    solve = torch.linalg.pinv(torch.cat([turns * weights[:, None], small]))
    goal = torch.zeros_like(distances)
    for _ in range(100):
        goal[0] = HIGHEST
        amplitudes: Tensor = solve @ torch.cat(
            [goal * weights, torch.zeros(2 * ROTATIONS).double()]
        )
        goal = (turns @ amplitudes).clamp(-bound, bound)
    return amplitudes.view(2, -1).float()


def mark_labels(mlp: Any) -> None:
    """Layer 0, text: mark colons. The unit is the one after those of letter triples."""
    unit, step, least = TRIPLE_UNITS + 1, 200.0, 0.75
    colon = class_codes()[byte_classes()[ord(":")] - 1, :IDENTITY]
    for part in (mlp.gate_proj, mlp.up_proj):
        part.weight[unit] = 0
    mlp.gate_proj.weight[unit, LETTER : LETTER + IDENTITY] = colon * step / TEXT_SCALE
    mlp.gate_proj.weight[unit, TEXT] = -step * least / (FLAG * TEXT_SCALE)
    mlp.gate_proj.weight[unit, IMAGE] = -step / FLAG
    mlp.up_proj.weight[unit, TEXT] = 1 / (FLAG * TEXT_SCALE)
    mlp.down_proj.weight[:, unit] = 0
    mlp.down_proj.weight[LABEL, unit] = ANSWER_FLAG / (step * (1 - least))


FIRST_HEAD = 3 + JOINING_HEADS[-1]
"""Head of layer 1 that brings labels; the next one brings headings."""
PER_TOKEN, FARTHEST_LABEL = 0.045, 2400
"""Attention logits that a token's distance costs, and how far back labels are looked for: more than
the tokens of a page."""
LEAST = 20.0
"""The logit there; nothing else has one."""
LOUD_HEADING, LOUD_LABEL = 1.05, 0.97
"""How loud what pages tell is made, so that it is as learned after the norm."""


def tell_pages(heads: Heads, meaning: Meaning, shorter: float) -> None:
    """Layer 1: bring label and heading of their page to visual tokens.

    Args:
        heads: Of the layer.
        meaning: What was learned.
        shorter: How much shorter what stands around is in the stream than when it was learned.
    """
    both = torch.stack([around_line(line) for line in range(LINES_PER_CELL)]).sum(0)
    label, heading = FIRST_HEAD, FIRST_HEAD + 1
    _look_for_nearest(heads, label, {LABEL: ANSWER_FLAG * TEXT_SCALE})
    told = meaning.number.weight.T @ both * LOUD_LABEL / (TRIPLE_SIZE * shorter)
    heads.carry(label, directions(OWN_TRIPLE, AROUND) / TEXT_SCALE, told)
    marks = {LABEL: ANSWER_FLAG * TEXT_SCALE, PAGE_END: ANSWER_FLAG * IMAGE_SCALE}
    _look_for_nearest(heads, heading, marks)
    last = around_line(LINES_PER_CELL - 1)
    heads.carry(heading, last / IMAGE_SCALE, both * LOUD_HEADING)


def _look_for_nearest(heads: Heads, head: int, marks: dict[int, float]) -> None:
    root = math.sqrt(HEAD)
    heads.clear(head)
    heads.query[head, :RESTING, IMAGE] = root / (FLAG * IMAGE_SCALE)
    for half, part in enumerate(_falling()):
        numbers = slice(half * HALF, half * HALF + RESTING)
        for mark, size in marks.items():
            heads.key[head, numbers, mark] = part / size
    heads.rest(head, RESTING, 2 * LEAST, TEXT_MARK)


@cache
def _falling() -> Tensor:
    """Logits that fall with the distance in a straight line."""
    near = LEAST + PER_TOKEN * torch.arange(FARTHEST_LABEL, -1, -1).double()
    return fitted_turns(near, FARTHEST_LABEL + 60, LEAST)
