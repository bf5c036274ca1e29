"""The small language model before its first lesson, and a stand-in for its eyes.

Finding text on a page and spelling it out is what language models learn last and dearest: millions
of sequences. Here the model starts out with a rough circuit for it, written into its weights, and
training refines that instead of discovering it. The stream of 256 numbers has zones: a character's
code, the codes of the two before it, what was found, and what is to be said.

    layer 0   text: copy the codes of the two letters before; image: copy the end of the left cell
    layer 1   each slot's head looks for the token whose slots before its own hold these letters
    layer 2   text: gather what earlier letters found; image: gather what stands left and above
    layer 3   look for a token that has near it what the question's letters found
    layer 4   nothing yet
    layer 5   as layer 1, but say the character of the slot

Even layers know positions (rotary), odd ones do not, so that finding is the same near and far
(SmolLM3's NoPE layers). Starting from structure rather than noise follows mimetic initialisation
(Trockman and Kolter 2023, arXiv 2305.09828); matching by the letters before is the induction head
(Olsson et al. 2022, arXiv 2209.11895). True slots stand for the encoder at first (`SlotReader`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import (
    BLANK,
    CHARACTERS,
    LAST_PER_LINE,
    LINES_PER_CELL,
    NUM_CLASSES,
    OTHER,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
)

ROPE_THETA = 10_000.0
ANGLES = 9
"""Rotations that tell distances apart; the slower ones are alike at all distances."""
SIDE = 13
"""Visual tokens along the side of a crop."""
DIM = 256
HEAD = 32
CODE = 31
"""Numbers of a character's code; the last is the same for all: something stands here."""
TEXT_FLAG, EDGE_FLAG, START_FLAG, COLUMN_FLAG, IMAGE_FLAG = 0, 252, 253, 254, 255
"""Marks of text, of cells near a crop's left edge, of the first token, of cells in the first column
of a crop, of image."""
LETTER, BEFORE, BEFORE_2, SAID, FOUND, MEANT = 1, 32, 63, 94, 125, 157
"""Where zones begin."""
CONTENT = slice(1, 252)
"""Numbers that the slots of a visual token share."""
PREVIOUS_TILE = 157
"""Tokens from a cell in a tile's first column back to its left neighbour in the tile before."""
EDGE = 4
"""Columns near the left edge."""
EARLIER = {6: 0.35, 7: 0.4, 8: 0.3, 9: 0.25, 10: 0.2}
"""Distances, with gains, to the end of a question from where its answer begins."""
BESIDE = {1: 0.5, 2: 0.45, 3: 0.4, 4: 0.35, 5: 0.3, 6: 0.3, 13: 0.3}
"""Distances, with gains, to the cells to the left and to the one above."""
BESIDE_IN_TILE_BEFORE = {157: 0.5, 158: 0.45, 159: 0.4, 160: 0.35}
REST = 0.8
LAST_GAIN = 0.6
LEFT_GAIN = 1.8
NOISE = 0.01
LIKENESS = 0.75
"""How much of a capital's code is that of its small letter."""


@torch.no_grad()
def initialise_language_model(model: Any, head: nn.Linear) -> None:
    """Write the starting circuit into the weights.

    Args:
        model: The inner decoder of a SmolLM3 model of six layers, 256 wide with 16 heads of 32.
        head: Its output layer.
    """
    frames = slot_frames()
    codes = character_codes()
    _embed(model.get_input_embeddings().weight, head.weight, codes)
    for layer in model.layers:
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            getattr(layer.self_attn, part).weight.normal_(0, NOISE)
        layer.mlp.down_proj.weight.normal_(0, NOISE / 4)
    _carry_letters(_Heads(model.layers[0].self_attn), frames)
    _find_letters(_Heads(model.layers[1].self_attn), frames, gain=1.0, rest=0.9)
    _gather(_Heads(model.layers[2].self_attn), frames)
    _look_beside(_Heads(model.layers[3].self_attn), frames)
    _find_letters(_Heads(model.layers[5].self_attn), frames, gain=1.25, rest=1.0)
    _say(_Heads(model.layers[5].self_attn), frames)


# -- codes ------------------------------------------------------------------------------------


def character_codes() -> Tensor:
    """Codes of the characters of the byte-level tokenizer; a capital is like its small letter.

    Returns:
        (128, CODE).
    """
    generator = torch.Generator().manual_seed(20241002)
    codes = torch.randn(128, CODE, generator=generator)
    codes[:, -1] = 0
    codes = nn.functional.normalize(codes, dim=1)
    for small in range(ord("a"), ord("z") + 1):
        capital = small - 32
        rest = math.sqrt(1 - LIKENESS**2)
        codes[capital] = LIKENESS * codes[small] + rest * codes[capital]
    codes = nn.functional.normalize(codes, dim=1)
    codes[:, -1] = 0.5
    codes[ord(" "), -1] = 0.0
    return codes


def slot_frames() -> Tensor:
    """Directions that hold the code of each slot, then of the left cell's last characters.

    Slots of one line share no direction; lines, and repeated characters, overlap a little.

    Returns:
        (SLOTS + left characters, CODE, DIM).
    """
    generator = torch.Generator().manual_seed(31)
    last = LINES_PER_CELL * LAST_PER_LINE
    groups = [PLACES_PER_LINE] * LINES_PER_CELL + [last, last]
    width = CONTENT.stop - CONTENT.start
    frames = []
    for count in groups:
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
        frames.append(basis[: count * CODE].view(count, CODE, width))
    return nn.functional.pad(torch.cat(frames), (CONTENT.start, DIM - CONTENT.stop))


def _embed(embedding: Tensor, head: Tensor, codes: Tensor) -> None:
    """Letters have codes; other tokens something of their own; all are text."""
    embedding.zero_()
    head.normal_(0, NOISE)
    own = slice(MEANT + HEAD, EDGE_FLAG)
    embedding[:, own] = torch.randn(len(embedding), own.stop - own.start) * 0.04
    embedding[:, TEXT_FLAG] = 1.0
    for char in [*CHARACTERS, " "]:
        if char.isascii():
            embedding[ord(char), LETTER : LETTER + CODE] = codes[ord(char)]
            head[ord(char), SAID : SAID + CODE] = codes[ord(char)]
    embedding[START_TOKEN, own] = 0
    embedding[START_TOKEN, START_FLAG] = 8.0


START_TOKEN = 257
"""Id of the token that every prompt begins with."""


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

    def write(self, head: int, directions: Tensor) -> None:
        """What the head's value says is written along these directions, (numbers, DIM)."""
        first = head * HEAD
        self._out[:, first : first + HEAD] = 0
        self._out[:, first : first + len(directions)] = directions.T

    def look_back(
        self, head: int, distance: int, query: dict[int, float], key: dict[int, float]
    ) -> None:
        """Attend to one distance: a sum of cosines of the distance that peaks there.

        Args:
            head: Which head.
            distance: In tokens.
            query: Numbers of the stream that turn the head on, with gains.
            key: Numbers of the stream that tokens to be looked at have, with gains.
        """
        half = HEAD // 2
        angles = ROPE_THETA ** (-torch.arange(half) / half) * distance
        self.query[head], self.key[head] = 0, 0
        for flag in (TEXT_FLAG, IMAGE_FLAG):  # turned off, it rests on the first token
            self.query[head, half - 1, flag] = REST
        self.key[head, half - 1, START_FLAG] = REST
        for number, gain in query.items():
            self.query[head, :ANGLES, number] = gain
        for number, gain in key.items():
            self.key[head, :ANGLES, number] = gain * torch.cos(angles[:ANGLES])
            self.key[head, half : half + ANGLES, number] = gain * torch.sin(angles[:ANGLES])


def _zone(start: int, count: int = CODE) -> Tensor:
    """Directions of a zone, (count, DIM)."""
    return torch.eye(DIM)[start : start + count]


def _hash(frames: Tensor) -> Tensor:
    """Directions whose numbers stand for what is special in a token's content, (HEAD, DIM).

    They ignore what all tokens share: that a slot is filled, and how often letters come.
    """
    generator = torch.Generator().manual_seed(47)
    width = CONTENT.stop - CONTENT.start
    usual = character_codes()[[ord(char) for char in "eaotinrs0123456789"]].mean(0)
    shared = torch.cat([frames[:, -1], usual @ frames])[:, CONTENT]  # (2 x slots, width)
    random = torch.randn(HEAD, width, generator=generator)
    basis = torch.linalg.qr(torch.cat([shared, random]).T)[0].T[-HEAD:]
    return nn.functional.pad(basis, (CONTENT.start, DIM - CONTENT.stop))


def _turns() -> Tensor:
    """Rotations that tell the letter before from the one before that, (2, CODE, CODE)."""
    generator = torch.Generator().manual_seed(59)
    turns = [torch.linalg.qr(torch.randn(CODE, CODE, generator=generator))[0] for _ in range(2)]
    return torch.stack(turns)


def _carry_letters(heads: _Heads, frames: Tensor) -> None:
    """Layer 0: letters before to text, the end of the left cell to image."""
    letters = ((1, BEFORE), (2, BEFORE_2))
    for head, (distance, zone) in enumerate(letters):
        heads.look_back(head, distance, {TEXT_FLAG: 0.65}, {TEXT_FLAG: 0.65})
        _carry(heads, head, _zone(LETTER) * 0.3, _zone(zone) * 0.3)
    last = LINES_PER_CELL * LAST_PER_LINE
    for index in range(last):
        for step, (distance, query) in enumerate(
            ((1, {IMAGE_FLAG: 1.2, COLUMN_FLAG: -1.2}), (PREVIOUS_TILE, {COLUMN_FLAG: 1.2}))
        ):
            head = len(letters) + index + step * last
            heads.look_back(head, distance, query, {IMAGE_FLAG: 1.2})
            _carry(heads, head, frames[PLACES + index] * 0.5, frames[SLOTS + index] * 0.5)


def _carry(heads: _Heads, head: int, value: Tensor, out: Tensor) -> None:
    heads.value[head] = 0
    heads.value[head, : len(value)] = value
    heads.write(head, out)


def _find_letters(heads: _Heads, frames: Tensor, *, gain: float, rest: float) -> None:
    """Layers 1 and 5: the head of a slot looks for the letters before it; else for the start."""
    turns = _turns()
    query = _zone(LETTER) + turns[0] @ _zone(BEFORE) + turns[1] @ _zone(BEFORE_2)
    content = _hash(frames)
    for slot in range(PLACES):
        line, place = divmod(slot, PLACES_PER_LINE)
        before = [_seen_before(frames, line, place, back) for back in (1, 2, 3)]
        heads.query[slot, :CODE] = query * gain
        heads.key[slot, :CODE] = (before[0] + turns[0] @ before[1] + turns[1] @ before[2]) * gain
        heads.query[slot, CODE] = torch.eye(DIM)[TEXT_FLAG] + torch.eye(DIM)[IMAGE_FLAG] * 0.6
        begins = frames[slot][-1] * 1.9 - before[0][-1]  # what follows nothing may begin a value
        heads.key[slot, CODE] = begins + torch.eye(DIM)[START_FLAG] * rest
        _carry(heads, slot, content, _zone(FOUND, HEAD) * 0.25)


def _seen_before(frames: Tensor, line: int, place: int, back: int) -> Tensor:
    """Directions of the character so many places before a place; the left cell's are fainter."""
    if back <= place:
        return frames[line * PLACES_PER_LINE + place - back]
    return frames[SLOTS + line * LAST_PER_LINE + back - place - 1] * LEFT_GAIN


def _gather(heads: _Heads, frames: Tensor) -> None:
    """Layer 2: what earlier letters found, and what stands left of a cell and above it."""
    image = {IMAGE_FLAG: 1.2}
    lessons = [
        *(
            (d, {TEXT_FLAG: 0.8}, {TEXT_FLAG: 0.8}, _zone(FOUND, HEAD), g)
            for d, g in EARLIER.items()
        ),
        *((d, image, image, _hash(frames), gain) for d, gain in BESIDE.items()),
        *((d, {EDGE_FLAG: 1.2}, image, _hash(frames), g) for d, g in BESIDE_IN_TILE_BEFORE.items()),
    ]
    for head, (distance, query, key, value, gain) in enumerate(lessons):
        heads.look_back(head, distance, query, key)
        _carry(heads, head, value * 0.3, _zone(FOUND, HEAD) * gain)


def _look_beside(heads: _Heads, frames: Tensor) -> None:
    """Layer 3: half of the heads look for filled tokens that have near them what was found."""
    first_places = [line * PLACES_PER_LINE + place for line in range(2) for place in range(2)]
    for head in range(8):
        heads.query[head, :CODE] += _zone(FOUND) * 1.2
        heads.key[head, :CODE] += (_zone(FOUND) - _hash(frames)[:CODE] * 0.3) * 1.2
        heads.query[head, CODE] += torch.eye(DIM)[TEXT_FLAG]
        heads.key[head, CODE] += frames[first_places, -1].sum(0) * 0.6
        heads.key[head, CODE, TEXT_FLAG] -= 15.0
        _carry(heads, head, _hash(frames) * 0.3, _zone(MEANT, HEAD) * 0.1)


def _say(heads: _Heads, frames: Tensor) -> None:
    """Layer 5: the character of the slot; what was meant helps to find it."""
    for slot in range(PLACES):
        heads.query[slot, :CODE] += _zone(MEANT, CODE) * 0.5
        heads.key[slot, :CODE] += _hash(frames)[:CODE] * 0.5
        _carry(heads, slot, frames[slot] * 0.5, _zone(SAID) * 0.8)


class SlotReader(nn.Module):
    """Slots of visual tokens to embeddings, in the code that text has.

    A token is the sum of the codes of its characters, each along the directions of its slot.

    Args:
        embedding: Of the text; shared, not owned.
        tokens_per_side: Visual tokens along the side of a page; fewer than SIDE for small pages.
    """

    def __init__(self, embedding: nn.Embedding, *, tokens_per_side: int = SIDE) -> None:
        super().__init__()
        self._embedding = [embedding]  # shared, not owned
        self.tokens_per_side = tokens_per_side
        other = nn.functional.normalize(torch.randn(NUM_CLASSES, CODE), dim=1)
        other[:, -1] = 0.5
        self.other = nn.Parameter(other)
        frames = slot_frames()[:SLOTS]
        frames[PLACES:] *= LAST_GAIN
        self.frames = nn.Parameter(frames)
        positions = torch.randn(SIDE, SIDE, DIM) * 0.03
        positions[..., IMAGE_FLAG] = 2.5
        positions[..., TEXT_FLAG] = positions[..., START_FLAG] = 0
        positions[..., COLUMN_FLAG] = positions[..., EDGE_FLAG] = 0
        positions[:, :EDGE, EDGE_FLAG] = 2.5
        positions[:, 0, COLUMN_FLAG] = 2.5
        self.positions = nn.Parameter(positions.flatten(0, 1))
        self.register_buffer("byte_ids", _byte_ids(), persistent=False)
        self.register_buffer("offsets", torch.arange(SLOTS) * NUM_CLASSES, persistent=False)
        self.byte_ids: Tensor
        self.offsets: Tensor

    def forward(self, slots: Tensor) -> Tensor:
        """Classes (tokens, SLOTS) to embeddings (tokens, dim); tokens are whole crops."""
        slots = slots.long()
        known = (self.byte_ids >= 0)[:, None]
        letters = self._embedding[0](self.byte_ids.clamp(min=0))[:, LETTER : LETTER + CODE]
        codes = torch.where(known, letters, self.other)
        table = torch.einsum("cd,sde->sce", codes, self.frames).flatten(0, 1)
        starts = torch.arange(0, slots.numel(), SLOTS)
        weights = (slots > 0).flatten().to(table.dtype)
        content = nn.functional.embedding_bag(
            (slots + self.offsets).flatten(), table, starts, mode="sum", per_sample_weights=weights
        )
        side = self.tokens_per_side
        whole = self.positions.view(SIDE, SIDE, -1)
        positions = whole[:side, :side].reshape(side * side, -1)
        return content + positions.repeat(len(slots) // len(positions), 1)


def _byte_ids() -> Tensor:
    """Token id of each character class in the byte-level tokenizer; -1 for classes of their own."""
    ids = torch.full((NUM_CLASSES,), -1)
    for number, char in enumerate(CHARACTERS, start=1):
        if char.isascii():
            ids[number] = ord(char)
    ids[BLANK] = ord(" ")
    assert ids[OTHER] == -1
    return ids
