"""Codes of characters: what tells them apart in visual tokens and in text."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import BLANK, CHARACTERS, NUM_CLASSES
from leopard.training.nano.zones import IDENTITY

LIKENESS = 0.87
"""How much of a capital's code is that of its small letter."""


@cache
def class_codes() -> Tensor:
    """Codes of the character classes, (NUM_CLASSES - 1, CODE): class 0 has none.

    The first numbers tell characters apart: points on a sphere pushed away from each other, a
    capital beside its small letter. The last one says that something stands here, and is 0 for the
    blank.
    """
    generator = torch.Generator().manual_seed(20241002)
    points = _spread(torch.randn(NUM_CLASSES, IDENTITY, generator=generator))
    own = _spread(torch.randn(26, IDENTITY, generator=generator))
    for number in range(26):
        small = points[class_of(chr(ord("a") + number))]
        apart = nn.functional.normalize(own[number] - own[number] @ small * small, dim=0)
        points[class_of(chr(ord("A") + number))] = (
            LIKENESS * small + math.sqrt(1 - LIKENESS**2) * apart
        )
    codes = torch.cat([points, torch.full((NUM_CLASSES, 1), 0.5)], 1)
    codes[BLANK, -1] = 0.0
    return codes[1:]


DIGITS = 10


@cache
def digit_codes() -> tuple[Tensor, Tensor]:
    """Codes of the last digit of a page's number, (10, 4), and of the one before it, (10, 2).

    The first are the middles of the edges of a simplex, whose cosines are 1/6 at most; the second
    stand around a circle, none and the digits up to 4 where they are farthest apart. All are 1
    long, so that no page is preferred to another.
    """
    corners = torch.eye(5) - 0.2
    edges = torch.stack([corners[a] + corners[b] for a in range(5) for b in range(a)])
    axes = torch.linalg.svd(edges, full_matrices=False).Vh[:4]
    angles = torch.tensor([0, 1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5, 4.5]) * (2 * torch.pi / 5)
    around = torch.stack([angles.cos(), angles.sin()], 1)
    return nn.functional.normalize(edges @ axes.T, dim=1), around


def page_code(number: int) -> Tensor:
    """What tells a page by the last two digits of its number, (PAGE_CODE_SIZE,)."""
    ones, tens = digit_codes()
    return torch.cat([ones[number % DIGITS], tens[number // DIGITS % DIGITS]])


def class_of(char: str) -> int:
    """Class of a character that has one of its own."""
    return CHARACTERS.index(char) + 1


def _spread(points: Tensor) -> Tensor:
    """Points of a sphere, (points, dim), moved apart until they are about evenly spread."""
    with torch.enable_grad():
        moved = nn.functional.normalize(points, dim=1).requires_grad_()
        for _ in range(300):
            unit = nn.functional.normalize(moved, dim=1)
            nearness = torch.exp(8 * (unit @ unit.T - torch.eye(len(points)) * 9)).sum()
            (slope,) = torch.autograd.grad(torch.log(nearness), moved)
            moved = (moved - 0.2 * slope).detach().requires_grad_()
    return nn.functional.normalize(moved.detach(), dim=1)


def byte_classes() -> dict[int, int]:
    """Character class of each token id of the byte-level tokenizer that has one."""
    classes = {ord(c): n for n, c in enumerate(CHARACTERS, start=1) if c.isascii()}
    return classes | {ord(" "): BLANK}
