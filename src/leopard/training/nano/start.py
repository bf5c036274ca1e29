"""The small language model before its first lesson.

Finding text on a page and spelling it out is what language models learn last and dearest: millions
of sequences. Here the model starts out with a circuit for it, written into its weights, and
training refines that instead of discovering it. The stream of 512 numbers has zones (`zones`): in a
visual token the codes of its characters, slot by slot, and what stands around it; in a letter of
text its code, the codes of the two before it, what was found, what is meant and what is to be said.

    layer 0   text: copy the codes of the two letters before, make letter pairs of them; image: the
              end of the left cell, and about where in the sequence it is
    layer 1   the head of each slot looks for the token whose slots before it hold these letters;
              image: what begins in it
    layer 2   text: gather the letter pairs of the question; image: those of the tokens on the left
              and above
    layer 3   a few heads look for a line of a token where something begins, beside or below what
              has the question's letter pairs: where what is meant stands, and its first character
    layer 4   as layer 1, near what is meant, and say the character of the slot

Layers 0 and 2 know positions (rotary), the others do not, so that finding is the same near and far
(SmolLM3's NoPE layers). Starting from structure rather than noise follows mimetic initialisation
(Trockman and Kolter 2023, arXiv 2305.09828); matching by the letters before is the induction head
(Olsson et al. 2022, arXiv 2209.11895); labels are compared as bags of character n-grams (fastText:
Bojanowski et al. 2017, arXiv 1607.04606).
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
from leopard.training.nano.codes import byte_classes, class_codes, class_of
from leopard.training.nano.letter_pairs import pair_weights
from leopard.training.nano.start_heads import (
    HALF,
    HEAD,
    IMAGE_MARK,
    NOISE,
    PREVIOUS_TILE,
    RESTING,
    ROW,
    SLOW,
    TEXT_MARK,
    TILE,
    WIDE,
    Heads,
    Likeness,
    Peak,
)
from leopard.training.nano.start_units import (
    begin,
    gather_beginnings,
    mark_begun,
    mark_filled,
    mark_unique,
    pair_letters,
    seen_before,
)
from leopard.training.nano.zones import (
    ABOVE,
    ANSWER,
    ANSWER_FLAG,
    ASKED,
    AXIS,
    BEFORE,
    BEFORE_2,
    BEGUN,
    CODE,
    COLUMN_FLAG,
    COUNT,
    DIM,
    FILLED,
    FIRST,
    FLAG,
    GAPS,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LAST_OF_LEFT,
    LETTER,
    MEANT,
    OWN,
    OWN_PAIR,
    OWN_SIZE,
    PAIR,
    PAIRS,
    PLACE,
    PLACE_LENGTH,
    PLACE_SIZE,
    ROWS,
    SAID,
    SIDE,
    SPECIAL,
    START,
    START_FLAG,
    START_SCALE,
    TEXT,
    TEXT_SCALE,
    TILE_BITS,
    axis_codes,
    begins,
    directions,
    pairs,
    place_of_line,
    slot_frame,
)

START_TOKEN = 257
"""Id of the token that every prompt begins with."""
END_TOKEN = 261
"""Id of the token that ends an answer."""
ANSWER_TOKEN = 267
"""Id of the token that every answer comes after."""


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
    heads = [Heads(layer.self_attn) for layer in model.layers]
    _carry_letters(heads[0])
    _tell_tiles(heads[0])
    mark_filled(model.layers[0].mlp)
    pair_letters(model.layers[0].mlp, pair_weights())
    _find_letters(heads[1])
    for slot in range(PLACES):
        one = directions(IMAGE, 1) / FLAG
        found = torch.cat([one, place_of_line(slot // PLACES_PER_LINE)]) / IMAGE_SCALE
        written = torch.cat([directions(COUNT, 1), directions(PLACE, PLACE_SIZE)])
        heads[1].carry(slot, found, written)
    mark_unique(model.layers[1].mlp)
    gather_beginnings(model.layers[1].mlp)
    _gather(heads[2])
    mark_begun(model.layers[2].mlp)
    _look_beside(heads[3])
    begin(model.layers[3].mlp)
    _find_letters(heads[4], region=(10.0, 7.0))
    for slot in range(PLACES):
        heads[4].carry(slot, slot_frame(slot) / IMAGE_SCALE, directions(SAID, CODE))


@torch.no_grad()
def initialise_connector(connector: Any) -> None:
    """Write features of `Spelling` into the zones of visual tokens, nothing lost.

    GELU is a straight line far from zero, so the projector's two layers begin as a linear map.
    """
    far, small = 8.0, 0.1
    width, bags = SLOTS * CODE, LINES_PER_CELL * PAIR
    first, second = connector.linear_1, connector.linear_2
    for linear in (first, second):
        linear.weight.normal_(0, NOISE / 2)
        linear.bias.zero_()
    shown = width + bags
    inputs = shown + 2 * SIDE
    first.weight[:inputs] += torch.eye(inputs) * small
    first.bias.fill_(far)
    zones = ((0, width), (PAIRS, bags), (ROWS, SIDE))
    targets = torch.cat([torch.arange(at, at + size) for at, size in zones])
    second.weight[targets, torch.arange(shown + SIDE)] += 1 / small
    second.weight[COLUMN_FLAG, shown + SIDE] += 2 / small  # the first column of the crop
    for axis in range(2):
        first_of = shown + axis * SIDE
        part = slice(PLACE + axis * AXIS, PLACE + (axis + 1) * AXIS)
        second.weight[part, first_of : first_of + SIDE] += axis_codes().T / small
    marks = torch.zeros(DIM)
    marks[IMAGE] = FLAG
    marks[PLACE + 2 * AXIS : PLACE + PLACE_SIZE] = PLACE_LENGTH  # see `_tell_tiles`
    second.bias.copy_(marks - second.weight.sum(1) * far)


def _embed(embedding: Tensor, head: Tensor, codes: Tensor) -> None:
    """Letters have codes; other tokens something of their own; all are text."""
    embedding.zero_()
    head.normal_(0, NOISE)
    generator = torch.Generator().manual_seed(7)
    own = torch.randn(len(embedding), OWN_SIZE, generator=generator) * 0.04
    embedding[:, OWN : OWN + OWN_SIZE] = own
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


# -- layer by layer ---------------------------------------------------------------------------


def _carry_letters(heads: Heads) -> None:
    """Layer 0: letters before to text, the end of the left cell to image."""
    for head, (distance, zone) in enumerate(((1, BEFORE), (2, BEFORE_2))):
        heads.look_back(head, Peak(distance), TEXT_MARK, TEXT_MARK)
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
            heads.look_back(head, Peak(distance), query, IMAGE_MARK)
            heads.carry(head, own, left)
        head = 2 + 2 * LINES_PER_CELL + line  # what was carried on makes room for beginnings
        heads.look_back(head, Peak(0), IMAGE_MARK, IMAGE_MARK)
        heads.carry(head, own, -directions(PLACES * CODE + line * width, width))


TILE_WAVES = (16, 16, 16, 20, 20, 20, 24, 24)
"""Rotations that tell where in the sequence, sign by sign: they turn once in about 4 crops, in 12
and in 37, so that no two places of a long document look alike."""
SHARPNESS = 8.0
OWN_LOGIT = 20.0
"""Low, because it varies with how much a cell shows, and the first token's varies less."""


def _tell_tiles(heads: Heads) -> None:
    """Layer 0: eight signs say in which part of three slow turns a visual token is.

    Such a head attends to the first token or to its own, by the cosine of the distance to the first
    and a phase; the one counts 0, the other -2, and the connector has added 1.
    """
    both = TEXT_MARK | IMAGE_MARK  # text finds itself, which counts nothing
    step = math.sqrt(SHARPNESS * math.sqrt(HEAD))
    value = -2 * directions(IMAGE, 1) / (FLAG * IMAGE_SCALE)
    assert len(TILE_WAVES) == TILE_BITS
    for bit, wave in enumerate(TILE_WAVES):
        phase = math.pi * (bit - TILE_WAVES.index(wave)) / TILE_WAVES.count(wave)
        head = 2 + 3 * LINES_PER_CELL + bit
        heads.look_back(head, Peak(0, highest=OWN_LOGIT, rest=None), both, both)
        heads.rest(head, RESTING, OWN_LOGIT, IMAGE_MARK)
        heads.query[head, wave, IMAGE] = step / (FLAG * IMAGE_SCALE)
        heads.key[head, wave, START] = step / (START_FLAG * START_SCALE) * math.cos(phase)
        heads.key[head, HALF + wave, START] = step / (START_FLAG * START_SCALE) * math.sin(phase)
        heads.carry(head, value, directions(PLACE + 2 * AXIS + bit, 1) * PLACE_LENGTH)


LETTER_LOGIT = 18.0
"""What one letter that fits is worth."""
REGION_SHARE = 0.55
"""Share of what a place is worth that must be reached besides."""
THRESHOLD = 0.88
"""Share of the letters before that must fit."""


def _find_letters(heads: Heads, *, region: tuple[float, float] | None = None) -> None:
    """Layers 1 and 4: the head of a slot looks for the letters before it; else for the start.

    What must be reached is taken off every visual token by its own mark instead of being given to
    the first token: the norm makes marks and letters of a token louder or fainter together, by how
    much the token shows, and so the sign of what remains does not depend on it.

    Args:
        heads: Of the layer.
        region: Logits for the row of what is meant and for its part of the sequence.
    """
    gain = math.sqrt(LETTER_LOGIT * math.sqrt(HEAD))
    for slot in range(PLACES):
        line, place = divmod(slot, PLACES_PER_LINE)
        heads.clear(slot)
        for back, zone in enumerate((LETTER, BEFORE, BEFORE_2), start=1):
            part = slice((back - 1) * IDENTITY, back * IDENTITY)
            heads.query[slot, part] = directions(zone, IDENTITY) * gain / TEXT_SCALE
            heads.key[slot, part] = seen_before(line, place, back)[:IDENTITY] * gain / IMAGE_SCALE
            # Rests unless most of the letters that there are fit.
            heads.query[slot, 45, zone + IDENTITY] = gain**2 * THRESHOLD / (0.5 * TEXT_SCALE) / 20
        heads.key[slot, 45, IMAGE] = -20 / (FLAG * IMAGE_SCALE)
        heads.query[slot, 46, TEXT] = 1 / (FLAG * TEXT_SCALE)
        heads.key[slot, 46, TEXT] = -300 * math.sqrt(HEAD) / (FLAG * TEXT_SCALE)
        heads.rest(slot, 47, 40.0, IMAGE_MARK | {SPECIAL: ANSWER_FLAG * TEXT_SCALE})
        if region is not None:
            heads.rest(slot, 47, REGION_SHARE * sum(region), TEXT_MARK)
            for where, at, logit in ((ROW, 48, region[0]), (TILE, 48 + AXIS, region[1])):
                likeness = Likeness(part=where, query=MEANT, logit=logit / MEANT_SHARE, line=line)
                heads.prefer(slot, at, likeness)


EDGE_GAIN, ABOVE_GAIN, ASKED_GAIN = 1.0, 0.2, 5.0
ABOVE_DISTANCES = (11, 10, 24, 23, 37)
"""Tokens back to those right above a token that have what is above it before them."""
ASKED_REACHES = (50, 70, 100)
"""Reaches, in tokens, of the heads that gather what is asked."""
ASKED_HEADS = (7, 8, 9, 10)
"""Heads of layer 2 that do so; the last one prefers letters found in one place of the pages."""
FOLLOWING_HEAD = 15
"""Head of layer 2 that gathers where the last few letters were found: there text goes on."""


def _gather(heads: Heads) -> None:
    """Layer 2: the letter pairs of the tile before and above a token, and those of the question."""
    for line in range(LINES_PER_CELL):
        _same_row_of_last_tile(heads, line)
        heads.carry(line, pairs(line) / IMAGE_SCALE, pairs(line) * EDGE_GAIN)
    both = torch.stack([pairs(line) for line in range(LINES_PER_CELL)]).sum(0) / IMAGE_SCALE
    for head, distance in enumerate(ABOVE_DISTANCES, start=LINES_PER_CELL):
        heads.look_back(head, Peak(distance), IMAGE_MARK, IMAGE_MARK)
        heads.carry(head, both, directions(ABOVE, PAIR) * ABOVE_GAIN)
    asked = directions(ASKED, PAIR) * ASKED_GAIN
    for head, reach in zip(ASKED_HEADS, ASKED_REACHES, strict=False):
        _read_back(heads, head, reach)
    _vote(heads, ASKED_HEADS[-1], found=1.5)
    for head in ASKED_HEADS:
        heads.carry(head, directions(OWN_PAIR, PAIR) / TEXT_SCALE, asked)
    _vote(heads, FOLLOWING_HEAD)
    for reach in (8, 30):
        heads.keep_near(FOLLOWING_HEAD, reach, 5.0, TEXT_MARK)
    place, meant = directions(PLACE, PLACE_SIZE), directions(MEANT, PLACE_SIZE)
    heads.carry(FOLLOWING_HEAD, place / TEXT_SCALE, meant * MEANT_SHARE)


def _same_row_of_last_tile(heads: Heads, head: int) -> None:
    """Near the left edge of a crop, attend to the same row at the right edge of the crop before."""
    peak = Peak(PREVIOUS_TILE + 1, highest=16.0, shares=WIDE, rest=None)
    heads.look_back(head, peak, IMAGE_MARK, IMAGE_MARK)
    numbers = [*SLOW, *(HALF + number for number in SLOW)][:SIDE]
    gain = math.sqrt(14 * math.sqrt(HEAD)) / IMAGE_SCALE
    for index, number in enumerate(numbers):
        heads.query[head, number, ROWS + index] = gain
        heads.key[head, number, ROWS + index] = gain
    heads.rest(head, RESTING, 26.0, TEXT_MARK)
    # The first token counts less where the column is one of the first.
    heads.rest(head, RESTING, 32.0, IMAGE_MARK)
    angles = torch.arange(1, AXIS // 2 + 1) * (2 * math.pi / SIDE)
    code = torch.cat([angles.cos(), angles.sin()]) / (AXIS // 2)
    near_edge = math.sqrt(HEAD) * 12.0 / 20 / PLACE_LENGTH / IMAGE_SCALE
    heads.query[head, RESTING, PLACE + AXIS : PLACE + 2 * AXIS] = -near_edge * code


def _read_back(heads: Heads, head: int, reach: int) -> None:
    """Text attends to the letters before it, alike up to some distance; never to visual tokens."""
    heads.clear(head)
    heads.key[head, RESTING, IMAGE] = -400 / (FLAG * IMAGE_SCALE)
    heads.key[head, RESTING, SPECIAL] = -400 / (ANSWER_FLAG * TEXT_SCALE)
    for slower in (1, 4, 20):
        heads.keep_near(head, slower * reach, 3.0, TEXT_MARK)
    heads.rest(head, RESTING, 3.0, TEXT_MARK)
    heads.rest(head, RESTING, 10.0, IMAGE_MARK)


def _vote(heads: Heads, head: int, found: float = 14.0) -> None:
    """Text attends to the letters of the last question, most to those that found something.

    Never to visual tokens: there are thousands, and those that show something have the same mark.
    """
    heads.clear(head)
    heads.key[head, RESTING, IMAGE] = -400 / (FLAG * IMAGE_SCALE)
    heads.key[head, RESTING, SPECIAL] = -400 / (ANSWER_FLAG * TEXT_SCALE)
    heads.keep_near(head, 150, 5.0, TEXT_MARK)
    root = math.sqrt(math.sqrt(HEAD))
    heads.query[head, SLOW[0], TEXT] = root / (FLAG * TEXT_SCALE)
    heads.key[head, SLOW[0], FILLED] = root * found / (2 * TEXT_SCALE)
    heads.rest(head, RESTING, 3.0, TEXT_MARK)
    heads.rest(head, RESTING, 10.0, IMAGE_MARK)


LOOKS = ((False, 0.0), (False, 2.0), (True, 0.0), (True, 2.0))
"""How values stand to labels: whether below instead of beside, and what a gap before is worth."""
LOOKING_HEADS = LINES_PER_CELL * len(LOOKS)
"""Heads of layer 3 that look for where the answer begins: in upper lines, then in lower ones."""
LOOK_GAIN = 40.0
BEGIN_LOGIT = 12.0
"""What it is worth that something begins."""
MARKS = 2.0
"""What it counts against a line that a full stop or colon begins in it."""
LOOK_REST = 35.0
"""Attention logit of the first token; when to rest is for lessons."""
MEANT_SHARE = 0.3
"""How loud the place of what is meant is written: louder, it would drown letters."""


def _look_beside(heads: Heads) -> None:
    """Layer 3: cells where something begins, beside or below what has the question's pairs."""
    scale = math.sqrt(LOOK_GAIN * math.sqrt(HEAD))
    codes = class_codes()
    marks = sum(codes[class_of(char) - 1, :IDENTITY] for char in ".:")
    written = torch.cat([directions(MEANT, PLACE_SIZE) * MEANT_SHARE, directions(FIRST, CODE)])
    root = math.sqrt(HEAD)
    gate, rest = PAIR, PAIR + 1
    for head in range(LOOKING_HEADS):
        line, look = divmod(head, len(LOOKS))
        is_below, gap = LOOKS[look]
        around = pairs(line)
        if is_below:
            around = directions(ABOVE, PAIR)
        heads.clear(head)
        heads.query[head, :PAIR] = directions(ASKED, PAIR) * scale / TEXT_SCALE
        heads.key[head, :PAIR] = around * scale / IMAGE_SCALE
        heads.query[head, gate, TEXT] = 1 / (FLAG * TEXT_SCALE)
        heads.key[head, gate, BEGUN + line] = BEGIN_LOGIT * root / IMAGE_SCALE
        beginnings = begins(line)[:IDENTITY].argmax(1)
        heads.key[head, gate, beginnings] = -MARKS * root / IMAGE_SCALE * marks
        heads.key[head, gate, GAPS + line] = gap * root / IMAGE_SCALE
        heads.key[head, gate, IMAGE] = -BEGIN_LOGIT * root / (FLAG * IMAGE_SCALE)
        heads.key[head, gate, TEXT] = -300 * root / (FLAG * TEXT_SCALE)
        heads.rest(head, rest, 40.0, IMAGE_MARK)
        heads.rest(head, rest, LOOK_REST, TEXT_MARK)
        read = torch.cat([place_of_line(line), begins(line)]) / IMAGE_SCALE
        heads.carry(head, read, written / len(LOOKS))
