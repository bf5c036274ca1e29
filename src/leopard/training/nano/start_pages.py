"""The page that a question names: by its heading, or by the label of its image.

A question says `For Lund Office:` or `on page 3`. The last cell of a page's first tile has the
heading (`Surroundings`), the colon before an image has letters of its label; all visual tokens of a
page look back for it, and the nearest counts. The page that is named is looked for by these before
anything on it is: names of pages are told apart better where nothing else is said. See
`leopard.training.nano.start` for the whole.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.characters import LINES_PER_CELL
from leopard.training.nano.codes import (
    DIGITS,
    byte_classes,
    class_codes,
    digit_codes,
    page_code,
)
from leopard.training.nano.meaning import FIRST_TILE, QUICKER, TRIPLE_UNITS, Meaning
from leopard.training.nano.start_counting import COUNTING_HEADS, FARTHEST, fitted_turns
from leopard.training.nano.start_heads import HALF, IMAGE_MARK, RESTING, TEXT_MARK, Heads
from leopard.training.nano.start_units import TRIPLE_SIZE
from leopard.training.nano.zones import (
    ANSWER_FLAG,
    AROUND,
    AXIS,
    BEFORE,
    COLUMN_FLAG,
    DIM,
    FLAG,
    HEAD,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LABEL,
    LETTER,
    MEANS,
    OF_PAGE,
    OWN_TRIPLE,
    PAGE_CODE,
    PAGE_CODE_SIZE,
    PAGE_END,
    PAGE_LENGTH,
    PICTURE,
    PLACE_LENGTH,
    ROPE_THETA,
    ROW,
    SIDE,
    TEXT,
    TEXT_SCALE,
    TWO_BEFORE,
    around_line,
    axis_codes,
    directions,
)

END_HEAD = 0
"""Head of the first layer by which the ends of an image's first crop, which may be all of it, and
of its first tile are found; text uses it otherwise."""
TO_IMAGE_START = tuple((crop + 1) * SIDE**2 for crop in range(FIRST_TILE + 1))
"""Tokens from there back to the one that the image begins with."""
MOST_CROPS = 13
HIGHEST, ROTATIONS, FREE = 120.0, 28, 30
"""Attention logit at these distances; rotations that make it; and one that text is kept out by."""
PICTURE_SCALE = math.sqrt(DIM / (FLAG**2 + 2 * ANSWER_FLAG**2))
"""What the first norm makes of a 1 in that token, which has the mark of text and two more."""
REST, LOWER = 160.0, 60.0
"""Logit of the first token for visual tokens, and by how much it is lower in the last row."""


def find_page_ends(heads: Heads) -> None:
    """Layer 0: mark the last cells of a page's thumbnail and first tile.

    They are found by their distances to the image's start.
    """
    head, root = END_HEAD, math.sqrt(HEAD)
    picture, text = ANSWER_FLAG * TEXT_SCALE, FLAG * TEXT_SCALE
    heads.query[head, :ROTATIONS, COLUMN_FLAG] = -root / (2 * IMAGE_SCALE)
    for half, part in enumerate(_at_these_distances()):
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
    heads.carry_besides(head, directions(PICTURE, 1) / (ANSWER_FLAG * PICTURE_SCALE), mark)


@cache
def _at_these_distances() -> Tensor:
    """Rotations that make peaks at TO_IMAGE_START: least squares, the rest between two bounds.

    Cells of the last column are multiples of SIDE away from where their image begins, cells of the
    first column, which look with the other sign, one more.

    Returns:
        Amplitudes of cosines and sines, (2, rotations).
    """
    bound, ridge, weight = 16.0, 0.3, 100.0
    near = torch.arange(1, MOST_CROPS * SIDE**2 + 1)
    peaks = torch.tensor(TO_IMAGE_START)
    near = near[(near % SIDE < 2) & ~torch.isin(near, peaks)]
    far = torch.arange(MOST_CROPS * SIDE**2, FARTHEST, 7)
    distances = torch.cat([peaks, near, far]).double()
    angles = ROPE_THETA ** (-torch.arange(ROTATIONS, dtype=torch.float64) / HALF)
    turned = distances[:, None] * angles
    turns = torch.cat([turned.cos(), turned.sin()], 1)
    weights = torch.ones_like(distances)
    weights[: len(peaks)] = weight
    small = torch.eye(2 * ROTATIONS, dtype=torch.float64) * ridge
    solve = torch.linalg.pinv(torch.cat([turns * weights[:, None], small]))
    goal = torch.zeros_like(distances)
    for _ in range(100):
        goal[: len(peaks)] = HIGHEST
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


LABEL_HEAD = 1 + COUNTING_HEADS[-1] + MEANS
"""Head of layer 1 that brings labels."""
PER_TOKEN, FARTHEST_LABEL = 0.045, 2400
"""Attention logits that a token's distance costs, and how far back labels are looked for: more than
the tokens of a page."""
LEAST = 20.0
"""The logit there; nothing else has one."""
LOUD_LABEL = 0.97
"""How loud it is made, so that it is as learned after the norm."""


def tell_pages(heads: Heads, meaning: Meaning, shorter: float) -> None:
    """Layer 1: bring the label of their image to visual tokens, and a code of its number.

    Args:
        heads: Of the layer.
        meaning: What was learned.
        shorter: How much shorter what stands around is in the stream than when it was learned.
    """
    both = torch.stack([around_line(line) for line in range(LINES_PER_CELL)]).sum(0)
    _look_for_nearest(heads, LABEL_HEAD, LABEL, ANSWER_FLAG * TEXT_SCALE)
    told = meaning.number.weight.T @ both * LOUD_LABEL / (TRIPLE_SIZE * shorter)
    heads.carry(LABEL_HEAD, directions(OWN_TRIPLE, AROUND) / TEXT_SCALE, told)
    code = directions(PAGE_CODE, PAGE_CODE_SIZE) * PAGE_LENGTH
    heads.carry_besides(LABEL_HEAD, _code_before(), code)


def _code_before() -> Tensor:
    """What gives the code of a page's number from the two letters before a colon."""
    characters = [str(digit) for digit in range(DIGITS)]
    parts = []
    for zone, code, known in zip(
        (BEFORE, TWO_BEFORE), digit_codes(), (characters, [" ", *characters[1:]]), strict=True
    ):
        letters = class_codes()[[byte_classes()[ord(one)] - 1 for one in known], :IDENTITY]
        told = torch.linalg.lstsq(letters.double(), code.double(), driver="gelsd").solution
        parts.append(told.T.float() @ directions(zone, IDENTITY) / TEXT_SCALE)
    return torch.cat(parts)


PAGE_LAYER, PAGE_HEAD = 2, 0
"""Layer and head that look for the page a question names."""
HIDDEN = 40.0
"""By so much, as a logit, are visual tokens hidden that have no heading."""
LOUD_REST = 1.035
"""How loud it is made that some page is found, so that it is as learned after the norms."""


def look_for_page(heads: Heads, meaning: Meaning, asked: Tensor, longer: float) -> None:
    """Layer 2: among the ends of crops that have headings, the page that is named, if any.

    Args:
        heads: Of the layer.
        meaning: What was learned.
        asked: What gives what a question asks for, as it was learned, (MEANS * AROUND, DIM).
        longer: How much longer what stands around was when it was learned.
    """
    root, head, bias, rest = math.sqrt(HEAD), PAGE_HEAD, AROUND, AROUND + 1
    scale = math.sqrt(root)
    heads.clear(head)
    codes, gain = slice(rest + 1, rest + 1 + PAGE_CODE_SIZE), QUICKER * scale
    weight, own = meaning.ask_page.weight, meaning.ask_page.bias / (FLAG * TEXT_SCALE)
    heads.query[head, :AROUND] = weight[:AROUND] @ asked * gain * longer
    heads.query[head, :AROUND, TEXT] = own[:AROUND] * gain * longer
    heads.key[head, :AROUND] = around_line(LINES_PER_CELL - 1) * scale / IMAGE_SCALE
    heads.query[head, codes] = weight[AROUND:] @ asked * gain
    heads.query[head, codes, TEXT] = own[AROUND:] * gain
    code = directions(PAGE_CODE, PAGE_CODE_SIZE) / (PAGE_LENGTH * IMAGE_SCALE)
    heads.key[head, codes] = code * scale
    heads.query[head, bias, TEXT] = 1 / (FLAG * TEXT_SCALE)
    heads.key[head, bias, PAGE_END] = HIDDEN * root / (ANSWER_FLAG * IMAGE_SCALE)
    heads.key[head, bias, IMAGE] = -HIDDEN * root / (FLAG * IMAGE_SCALE)
    heads.key[head, bias, TEXT] = -300 * root / (FLAG * TEXT_SCALE)
    heads.rest(head, rest, 40.0, IMAGE_MARK)
    heads.rest(head, rest, float(meaning.no_page), TEXT_MARK)
    is_found = directions(IMAGE, 1) / (FLAG * IMAGE_SCALE)
    told = directions(OF_PAGE, PAGE_CODE_SIZE + 1) * PAGE_LENGTH
    heads.carry(head, torch.cat([code, is_found]), told)


def prefer_page(heads: Heads, head: int, rest: int, gain: float) -> None:
    """Prefer visual tokens of the page that was found.

    Args:
        heads: Of the layer.
        head: Which.
        rest: Number of the head's vectors by which it rests; those after it are used.
        gain: What a page counts, as a logit.
    """
    scale = math.sqrt(gain * math.sqrt(HEAD)) / PAGE_LENGTH
    numbers = slice(rest + 1, rest + 1 + PAGE_CODE_SIZE)
    heads.query[head, numbers] = directions(OF_PAGE, PAGE_CODE_SIZE) * scale / TEXT_SCALE
    heads.key[head, numbers] = directions(PAGE_CODE, PAGE_CODE_SIZE) * scale / IMAGE_SCALE
    here = float(page_code(1).square().sum()) * gain
    found = here * LOUD_REST * math.sqrt(HEAD) / 20 / (PAGE_LENGTH * TEXT_SCALE)
    heads.query[head, rest, OF_PAGE + PAGE_CODE_SIZE] = found


def _look_for_nearest(heads: Heads, head: int, mark: int, size: float) -> None:
    root = math.sqrt(HEAD)
    heads.clear(head)
    heads.query[head, :RESTING, IMAGE] = root / (FLAG * IMAGE_SCALE)
    for half, part in enumerate(_falling()):
        numbers = slice(half * HALF, half * HALF + RESTING)
        heads.key[head, numbers, mark] = part / size
    heads.rest(head, RESTING, 2 * LEAST, TEXT_MARK)


@cache
def _falling() -> Tensor:
    """Logits that fall with the distance in a straight line."""
    near = LEAST + PER_TOKEN * torch.arange(FARTHEST_LABEL, -1, -1).double()
    return fitted_turns(near, FARTHEST_LABEL + 60, LEAST)
