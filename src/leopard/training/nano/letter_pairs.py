"""Letter pairs as vectors: what `LetterPairs` of the encoder and the text's first layer begin with.

A pair's vector comes from random steps over the two codes, made white over pairs as documents have
them, so that common ones count little and different ones have little in common.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import BLANK
from leopard.training.nano.codes import class_codes, class_of
from leopard.training.nano.zones import CODE, IDENTITY, PAIR

PAIR_UNITS = 280
STEEP = 3.0
"""How steep the steps are: letters that are alike in code should not be alike in pairs."""
SMOOTHING = 0.25
"""How far rare pairs are kept from shouting: added to all spreads, as a share of their mean."""
LENGTH = 0.4
"""Root mean square length of a pair's vector."""
COMMON = """
what is the name and address of date number total amount due invoice order customer account
reference page report company item description quantity price unit payment terms shipping
billing contact telephone email department manager project status year month quarter revenue net
income tax rate country city state region office director author title version section table
figure signed approved 1 2 3 4 5 6 7 8 9 0 2019 2020 2021 10 12 15 100 250 000 00 50 03 05 11 31
24
"""
"""Words about as documents have them."""
ASKING = "what is the which does it say for give find value show document printed ........"
"""Words of questions that hardly tell what is asked for; and dots between labels and values."""
PHRASES = """
What is the|What's the|What does it say for|What does the document give?|Which is shown?|is printed?
What value belongs to|What is entered for|What is given under|What is written next to|is stated?
What appears under|Find the|Can you find the|Name the|State the|Read the|Give the|Tell me the
I need the|Look up the|Look up|Please extract the|Who is the|Where is the|When was the|How many
How much is the|How high is the|In the row|in the part|in the column|On page 1:|On the first page:
In image 2:|Under|For|of|in the table|According to the document|what is the|which|are there?
"""
"""Parts of questions that do not tell what is asked for."""
RETAINED = 0.2
"""How much of what such parts say most is kept; the smaller, the less."""


@dataclass(frozen=True, slots=True)
class PairWeights:
    """The weights of `LetterPairs`."""

    units: Tensor
    """(PAIR_UNITS, 2 * CODE): of the character, then of the one before it."""
    bias: Tensor
    """(PAIR_UNITS,)."""
    fold: Tensor
    """(PAIR, PAIR_UNITS)."""
    fold_bias: Tensor
    """(PAIR,)."""


@cache
def pair_weights() -> PairWeights:
    """The weights to begin with."""
    generator = torch.Generator().manual_seed(31)
    units = torch.zeros(PAIR_UNITS, 2 * CODE)
    for half in (0, CODE):
        directions = torch.randn(PAIR_UNITS, IDENTITY, generator=generator)
        units[:, half : half + IDENTITY] = directions * STEEP
    bias = torch.randn(PAIR_UNITS, generator=generator) * STEEP
    hidden = nn.functional.silu(_likely_pairs() @ units.T + bias)
    mean = hidden.mean(0)
    spread, axes = torch.linalg.eigh(torch.cov(hidden.T))
    white = axes @ torch.diag((spread + spread.mean() * SMOOTHING) ** -0.5) @ axes.T
    fold = torch.randn(PAIR, PAIR_UNITS, generator=generator) @ white
    made = (hidden - mean) @ fold.T
    fold = fold * (LENGTH / made.square().sum(1).mean().sqrt())
    return PairWeights(units, bias, fold, -fold @ mean)


@cache
def asking_filter() -> Tensor:
    """What makes the bag of a question say less of `PHRASES` and more of labels, (PAIR, PAIR).

    The inverse of what such phrases have in common, as in Fisher's discriminant (Fisher 1936):
    directions in which they differ from nothing count less.
    """
    phrases = [part for line in PHRASES.split("\n") for part in line.split("|") if part]
    bags = torch.stack([_bag(phrase) for phrase in phrases])
    common = bags.T @ bags / len(bags)
    kept = torch.linalg.inv(common / common.diagonal().mean() + RETAINED * torch.eye(PAIR))
    labels = torch.stack([_bag(word) for word in COMMON.split() if word.isalpha()])
    scaled: Tensor = kept * (labels.norm(dim=1) / (labels @ kept).norm(dim=1)).mean()
    return scaled


def _bag(text: str) -> Tensor:
    """Mean vector of the letter pairs of a text, (PAIR,)."""
    weights, codes = pair_weights(), torch.cat([torch.zeros(1, CODE), class_codes()])
    classes = [BLANK, *(BLANK if char == " " else class_of(char) for char in text)]
    both = torch.cat([codes[classes[1:]], codes[classes[:-1]]], 1)
    hidden = nn.functional.silu(both @ weights.units.T + weights.bias)
    return (hidden @ weights.fold.T + weights.fold_bias).mean(0)


def _likely_pairs() -> Tensor:
    """Codes of pairs, (pairs, 2 * CODE): of `COMMON`, of `ASKING` many times, and any two."""
    codes = torch.cat([torch.zeros(1, CODE), class_codes()])
    found: list[tuple[int, int]] = []
    for text, times in ((COMMON, 1), (ASKING, 8)):
        for word in text.split():
            for form in (word, word.capitalize(), word + ":", word + "?"):
                classes = [BLANK, *(class_of(char) for char in form)]
                found += times * list(pairwise(classes))
    known = [class_of(char) for char in string.ascii_letters + string.digits * 3 + "-/.,$#"]
    generator = random.Random(5)
    found += [(generator.choice(known), generator.choice(known)) for _ in range(len(found) // 2)]
    before, here = torch.tensor(found).unbind(1)
    return torch.cat([codes[here], codes[before]], 1)
