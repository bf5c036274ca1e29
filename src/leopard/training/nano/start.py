"""The small language model before its first lesson.

Finding text on a page and spelling it out is what language models learn last and dearest: millions
of sequences. Here the model starts out with a circuit for it, written into its weights, and
training refines that instead of discovering it. The stream of 512 numbers has zones (`zones`): in a
visual token the codes of its characters, slot by slot, and what stands around it; in a letter of
text its code, the codes of the two before it, what was found, what is meant and what is to be said.

    layer 0   text: copy the codes of the two letters before; image: the end of the left cell
    layer 1   the head of each slot looks for the token whose slots before it hold these letters
    layer 2   text: gather what the question's letters found; image: what stands left and above
    layer 3   the head of each slot looks for a token in whose surroundings is what was found and
              in whose slot something begins: what is meant, and its first character
    layer 4   as layer 1, near what is meant, and say the character of the slot

Layers 0 and 2 know positions (rotary), the others do not, so that finding is the same near and far
(SmolLM3's NoPE layers). Starting from structure rather than noise follows mimetic initialisation
(Trockman and Kolter 2023, arXiv 2305.09828); matching by the letters before is the induction head
(Olsson et al. 2022, arXiv 2209.11895).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import (
    LAST_PER_LINE,
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
)
from leopard.training.nano.codes import byte_classes, class_codes
from leopard.training.nano.start_units import (
    begin,
    gather_beginnings,
    hash_contents,
    mark_filled,
    mark_unique,
    seen_before,
)
from leopard.training.nano.zones import (
    ANSWER,
    ANSWER_FLAG,
    BEFORE,
    BEFORE_2,
    BEGINS,
    CODE,
    COLUMN_FLAG,
    DIM,
    FILLED,
    FIRST,
    FLAG,
    FOUND,
    HASH,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LAST_OF_LEFT,
    LETTER,
    MEANT,
    OWN,
    ROWS,
    SAID,
    SEEN,
    SIDE,
    SPECIAL,
    START,
    START_FLAG,
    START_SCALE,
    TEXT,
    TEXT_SCALE,
    VOTES,
    directions,
    slot_frame,
)

ROPE_THETA = 10_000.0
HEAD = 64
NUM_HEADS = 16
HALF = HEAD // 2
SLOW = tuple(range(24, 31))
"""Rotations that hardly turn over a crop or two: they hold content in layers with positions."""
RESTING = 31
"""The slowest rotation: it lets heads rest on the first token."""
FAST = tuple(math.exp(-n / 2.5) + (0.15 if n >= 8 else 0.0) for n in range(16))
"""Shares of rotations in telling distances apart: quick ones know neighbours, slow ones regions."""
PEAK = 60.0
"""Attention logit at the distance looked for; a neighbour of it has 0.82 of it at most."""
NOISE = 0.0005
PREVIOUS_TILE = SIDE * SIDE - SIDE + 1
"""Tokens from a cell in a tile's first column back to its left neighbour in the tile before."""
START_TOKEN = 257
"""Id of the token that every prompt begins with."""
END_TOKEN = 261
"""Id of the token that ends an answer."""
ANSWER_TOKEN = 267
"""Id of the token that every answer comes after."""
LAST = LINES_PER_CELL * LAST_PER_LINE


# -- the whole --------------------------------------------------------------------------------


@torch.no_grad()
def initialise_language_model(model: Any, head: nn.Linear) -> None:
    """Write the starting circuit into the weights.

    Args:
        model: The inner decoder of a SmolLM3 model of five layers, DIM wide, 16 heads of 64.
        head: Its output layer.
    """
    codes = class_codes()
    _embed(model.get_input_embeddings().weight, head.weight, codes)
    for layer in model.layers:
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            getattr(layer.self_attn, part).weight.normal_(0, NOISE)
        layer.mlp.down_proj.weight.normal_(0, NOISE)
    heads = [_Heads(layer.self_attn) for layer in model.layers]
    _carry_letters(heads[0])
    mark_filled(model.layers[0].mlp)
    hash_contents(model.layers[0].mlp)
    _find_letters(heads[1], region=0.0)
    for slot in range(PLACES):
        heads[1].carry(slot, _seen() / IMAGE_SCALE, directions(FOUND, HASH))
    mark_unique(model.layers[1].mlp)
    _gather(heads[2])
    gather_beginnings(model.layers[2].mlp)
    _look_beside(heads[3])
    begin(model.layers[3].mlp)
    _find_letters(heads[4], region=0.5)
    for slot in range(PLACES):
        heads[4].carry(slot, slot_frame(slot) / IMAGE_SCALE, directions(SAID, CODE))


@torch.no_grad()
def initialise_connector(connector: Any) -> None:
    """Write features of `Spelling` into the zones of visual tokens, nothing lost.

    GELU is a straight line far from zero, so the projector's two layers begin as a linear map.
    """
    far, small = 8.0, 0.1
    width = SLOTS * CODE
    first, second = connector.linear_1, connector.linear_2
    for linear in (first, second):
        linear.weight.normal_(0, NOISE / 2)
        linear.bias.zero_()
    inputs = width + 2 * SIDE
    first.weight[:inputs] += torch.eye(inputs) * small
    first.bias.fill_(far)
    targets = torch.cat([torch.arange(width), torch.arange(ROWS, ROWS + 2 * SIDE)])
    second.weight[targets, torch.arange(inputs)] += 1 / small
    second.weight[COLUMN_FLAG, width + SIDE] += 2 / small  # the first column of the crop
    marks = torch.zeros(DIM)
    marks[IMAGE] = FLAG
    second.bias.copy_(marks - second.weight.sum(1) * far)


def _embed(embedding: Tensor, head: Tensor, codes: Tensor) -> None:
    """Letters have codes; other tokens something of their own; all are text."""
    embedding.zero_()
    head.normal_(0, NOISE)
    generator = torch.Generator().manual_seed(7)
    own = torch.randn(len(embedding), 128, generator=generator) * 0.03
    embedding[:, OWN : OWN + 128] = own
    embedding[:, TEXT] = FLAG
    embedding[:, SPECIAL] = ANSWER_FLAG
    for token, number in byte_classes().items():
        embedding[token, SPECIAL] = 0
        embedding[token, LETTER : LETTER + CODE] = codes[number - 1]
        head[token, SAID : SAID + IDENTITY] = codes[number - 1, :IDENTITY] * 4
    head[END_TOKEN, TEXT] = 5 / (FLAG * TEXT_SCALE)  # said where no character is,
    head[END_TOKEN, ANSWER] = -5 / (ANSWER_FLAG * TEXT_SCALE)  # but not at once
    embedding[START_TOKEN] = 0
    embedding[START_TOKEN, START] = START_FLAG
    embedding[ANSWER_TOKEN, ANSWER] = ANSWER_FLAG


# -- heads ------------------------------------------------------------------------------------


class _Heads:
    """The weights of one attention layer, head by head: (heads, HEAD, DIM) each."""

    def __init__(self, attention: Any) -> None:
        def split(weight: Tensor) -> Tensor:
            return weight.view(-1, HEAD, DIM)

        self.query = split(attention.q_proj.weight)
        self.key = split(attention.k_proj.weight)
        self.value = split(attention.v_proj.weight)
        self._out = attention.o_proj.weight  # (DIM, heads * HEAD)

    def clear(self, head: int) -> None:
        """Silence a head's queries and keys."""
        self.query[head], self.key[head] = 0, 0

    def carry(self, head: int, value: Tensor, out: Tensor) -> None:
        """What the head reads, (numbers, DIM), and where it writes it, (numbers, DIM)."""
        self.value[head] = 0
        self.value[head, : len(value)] = value
        first = head * HEAD
        self._out[:, first : first + HEAD] = 0
        self._out[:, first : first + len(out)] = out.T

    def rest(self, head: int, number: int, logit: float, flags: dict[int, float]) -> None:
        """Give tokens with these flags the first token to rest on, at a logit.

        Args:
            head: Which head.
            number: Number of the head's vectors to use.
            logit: Attention logit of the first token.
            flags: Marks with about the size that the norm gives them.
        """
        for flag, size in flags.items():
            self.query[head, number, flag] = math.sqrt(HEAD) * logit / size / 20
        self.key[head, number, START] = 20 / (START_FLAG * START_SCALE)

    def look_back(
        self,
        head: int,
        distance: int,
        query: dict[int, float],
        key: dict[int, float],
        *,
        rest: float | None = 44.0,
    ) -> None:
        """Attend to one distance: a sum of cosines of the distance that peaks there.

        Args:
            head: Which head.
            distance: In tokens.
            query: Marks that turn the head on (off if below 0), with their sizes.
            key: Marks that tokens to be looked at have, with their sizes.
            rest: Logit of the first token, against PEAK; None not to rest.
        """
        self.clear(head)
        for number, share in enumerate(FAST):
            peak = math.sqrt(PEAK * share / sum(FAST) * math.sqrt(HEAD))
            angle = ROPE_THETA ** (-number / HALF) * distance
            for mark, size in query.items():
                self.query[head, number, mark] = peak / size
            for mark, size in key.items():
                self.key[head, number, mark] = peak / size * math.cos(angle)
                self.key[head, HALF + number, mark] = peak / size * math.sin(angle)
        if rest is not None:
            self.rest(head, RESTING, rest, {TEXT: FLAG * TEXT_SCALE, IMAGE: FLAG * IMAGE_SCALE})

    def keep_near(self, head: int, reach: int, logit: float, marks: dict[int, float]) -> None:
        """Prefer what is near: one slow cosine, `logit` at 0 and minus that at `reach` tokens."""
        number = round(HALF * math.log(reach / math.pi) / math.log(ROPE_THETA))
        for mark, size in marks.items():
            self.query[head, number, mark] = math.sqrt(logit * math.sqrt(HEAD)) / size
            self.key[head, number, mark] = math.sqrt(logit * math.sqrt(HEAD)) / size


TEXT_MARK = {TEXT: FLAG * TEXT_SCALE}
IMAGE_MARK = {IMAGE: FLAG * IMAGE_SCALE}


def _carry_letters(heads: _Heads) -> None:
    """Layer 0: letters before to text, the end of the left cell to image."""
    for head, (distance, zone) in enumerate(((1, BEFORE), (2, BEFORE_2))):
        heads.look_back(head, distance, TEXT_MARK, TEXT_MARK)
        heads.carry(head, directions(LETTER, CODE) / TEXT_SCALE, directions(zone, CODE))
    not_first = IMAGE_MARK | {COLUMN_FLAG: -2 * IMAGE_SCALE}
    width = LAST_PER_LINE * CODE
    for line in range(LINES_PER_CELL):
        own = directions(PLACES * CODE + line * width, width) / IMAGE_SCALE
        left = directions(LAST_OF_LEFT + line * width, width)
        for step, (distance, query) in enumerate(
            ((1, not_first), (PREVIOUS_TILE, {COLUMN_FLAG: 2 * IMAGE_SCALE}))
        ):
            head = 2 + line + step * LINES_PER_CELL
            heads.look_back(head, distance, query, IMAGE_MARK)
            heads.carry(head, own, left)
        head = 2 + 2 * LINES_PER_CELL + line  # what was carried on makes room for the hash
        heads.look_back(head, 0, IMAGE_MARK, IMAGE_MARK)
        heads.carry(head, own, -directions(PLACES * CODE + line * width, width))


LETTER_LOGIT = 12.0
"""What one letter that fits is worth."""
THRESHOLD = 0.82
"""Share of the letters before that must fit."""


def _find_letters(heads: _Heads, *, region: float) -> None:
    """Layers 1 and 4: the head of a slot looks for the letters before it; else for the start."""
    gain = math.sqrt(LETTER_LOGIT * math.sqrt(HEAD))
    generator = torch.Generator().manual_seed(61)
    fold = torch.linalg.qr(torch.randn(HASH - 1, HASH - 1, generator=generator))[0][:16]
    for slot in range(PLACES):
        line, place = divmod(slot, PLACES_PER_LINE)
        heads.clear(slot)
        for back, zone in enumerate((LETTER, BEFORE, BEFORE_2), start=1):
            part = slice((back - 1) * IDENTITY, back * IDENTITY)
            heads.query[slot, part] = directions(zone, IDENTITY) * gain / TEXT_SCALE
            heads.key[slot, part] = seen_before(line, place, back)[:IDENTITY] * gain / IMAGE_SCALE
            # Rests unless most of the letters that there are fit.
            heads.query[slot, 45, zone + IDENTITY] = (
                LETTER_LOGIT * THRESHOLD * math.sqrt(HEAD) / (0.5 * TEXT_SCALE) / 20
            )
        heads.key[slot, 45, START] = 20 / (START_FLAG * START_SCALE)
        heads.query[slot, 46, TEXT] = 1 / (FLAG * TEXT_SCALE)
        heads.key[slot, 46, TEXT] = -300 * math.sqrt(HEAD) / (FLAG * TEXT_SCALE)
        heads.rest(slot, 47, 40.0, IMAGE_MARK | {SPECIAL: ANSWER_FLAG * TEXT_SCALE})
        if region:
            near = fold @ _surroundings()[:-1] / IMAGE_SCALE
            heads.query[slot, 48:] = fold @ directions(MEANT, HASH - 1) * gain * region
            heads.key[slot, 48:] = near * gain


def _seen() -> Tensor:
    """The hash of what a visual token shows; the last number only says that it is one."""
    seen = directions(SEEN, HASH)
    seen[-1] = directions(IMAGE, 1)[0] / FLAG
    return seen


def _surroundings() -> Tensor:
    """What a visual token shows and, fainter, what stands around it, (HASH, DIM)."""
    return _seen() + 0.6 * directions(FOUND, HASH)


LEFT = dict.fromkeys(range(1, 7), 0.6)
"""Cells to the left, in tokens, with the weight of what stands there."""
ABOVE = {13: 0.3, 26: 0.2}


def _gather(heads: _Heads) -> None:
    """Layer 2: what letters found, and what stands left of a cell and above it."""
    seen = _seen() / IMAGE_SCALE
    around = directions(FOUND, HASH)
    head = 0
    for distance, weight in (LEFT | ABOVE).items():
        heads.look_back(head, distance, IMAGE_MARK, IMAGE_MARK)
        heads.carry(head, seen[:-1], around[:-1] * weight)
        head += 1
    heads.look_back(head, PREVIOUS_TILE, {COLUMN_FLAG: 2 * IMAGE_SCALE}, IMAGE_MARK)
    heads.carry(head, seen[:-1], around[:-1] * 0.6)
    for reaches in ((400,), (13, 150)):
        head += 1
        _same_row(heads, head, reaches)
        heads.carry(head, seen[:-1], around[:-1] * 0.9)
    head += 1
    _vote(heads, head)
    heads.carry(head, directions(FOUND, HASH) / TEXT_SCALE, directions(VOTES, HASH) * 1.6)


def _same_row(heads: _Heads, head: int, reaches: tuple[int, ...]) -> None:
    """Attend to filled cells before in the same row of their crops: to all, or to the nearest."""
    heads.clear(head)
    numbers = [*SLOW, *(HALF + number for number in SLOW)][:SIDE]
    gain = math.sqrt(14 * math.sqrt(HEAD)) / IMAGE_SCALE
    for index, number in enumerate(numbers):
        heads.query[head, number, ROWS + index] = gain
        heads.key[head, number, ROWS + index] = gain
    for reach in reaches:
        heads.keep_near(head, reach, 5.0, IMAGE_MARK)
    heads.query[head, HALF + RESTING, IMAGE] = 1 / (FLAG * IMAGE_SCALE)
    heads.key[head, HALF + RESTING, FILLED] = math.sqrt(HEAD) * 12.0 / (2 * IMAGE_SCALE)
    heads.rest(head, RESTING, 21.0, IMAGE_MARK | TEXT_MARK)


def _vote(heads: _Heads, head: int) -> None:
    """Text attends to the letters of the last question, most to those that found something."""
    heads.clear(head)
    heads.keep_near(head, 150, 5.0, TEXT_MARK)
    root = math.sqrt(math.sqrt(HEAD))
    heads.query[head, SLOW[0], TEXT] = root / (FLAG * TEXT_SCALE)
    heads.key[head, SLOW[0], FILLED] = root * 14.0 / (2 * TEXT_SCALE)
    heads.rest(head, RESTING, 3.0, TEXT_MARK)
    heads.rest(head, RESTING, 10.0, IMAGE_MARK)


LOOKING_HEADS = 4
"""Heads that look for where the answer begins; they start alike."""


def _look_beside(heads: _Heads) -> None:
    """Layer 3: cells where something begins, in whose surroundings is what was found."""
    scale = math.sqrt(12.0 * math.sqrt(HEAD))
    around = directions(FOUND, HASH) - 0.4 * _seen()
    read = torch.cat([_surroundings()[:-1], directions(BEGINS, CODE)]) / IMAGE_SCALE
    write = torch.cat([directions(MEANT, HASH - 1) * 0.15, directions(FIRST, CODE)])
    for head in range(LOOKING_HEADS):
        heads.clear(head)
        heads.query[head, : HASH - 1] = directions(VOTES, HASH - 1) * scale / TEXT_SCALE
        heads.key[head, : HASH - 1] = around[:-1] * scale / IMAGE_SCALE
        heads.query[head, 47, TEXT] = 1 / (FLAG * TEXT_SCALE)
        heads.key[head, 47, BEGINS + IDENTITY] = 12 * math.sqrt(HEAD) / IMAGE_SCALE
        heads.key[head, 47, IMAGE] = -12 * math.sqrt(HEAD) / (FLAG * IMAGE_SCALE)
        heads.key[head, 47, TEXT] = -300 * math.sqrt(HEAD) / (FLAG * TEXT_SCALE)
        heads.rest(head, 48, 40.0, IMAGE_MARK)
        heads.carry(head, read, write / LOOKING_HEADS)
