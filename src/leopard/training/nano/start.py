"""The small language model before its first lesson, and a stand-in for its eyes.

Finding text on a page and spelling it out is what language models learn last and dearest. Three
things given at the start make it a matter of thousands of sequences instead of millions:

- layers take turns: even ones know positions (rotary), odd ones do not, so that finding is the same
  near and far (SmolLM3's NoPE layers);
- heads of even layers start out looking back 1, 2, 3, 4, 12, 13 or 14 tokens: the letters before,
  and the cells above; heads of odd layers start out with equal queries and keys, so that like finds
  like (mimetic initialisation, Trockman and Kolter 2023, arXiv 2305.09828);
- true slots stand for the encoder at first (`SlotReader`), in the code of the text embedding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leopard.training.nano.characters import BLANK, CHARACTERS, NUM_CLASSES, OTHER, SLOTS

LOOK_BACK = ((1, 1, 2, 2, 3, 3, 4, 13, 12, 14), (1, 2, 13, 14, 1, 2))
"""Distances that heads of the first and of later even layers look back, in tokens."""
ROPE_THETA = 10_000.0
EMBEDDING_STD = 0.06
COPY_GAIN = 0.6
LOOK_GAIN = 0.9
MATCH_STD = 0.05


@torch.no_grad()
def initialise_language_model(model: Any) -> None:
    """Set the starting weights of a decoder whose odd layers have no positions.

    Args:
        model: The inner decoder of a SmolLM3 model: `embed_tokens` and `layers`.
    """
    embedding = model.get_input_embeddings().weight
    embedding.normal_(0, EMBEDDING_STD)
    embedding[:, 0] = 0.5  # the constant that position heads are driven by
    for index, layer in enumerate(model.layers):
        attention = layer.self_attn
        rows, dim = attention.v_proj.weight.shape
        basis = torch.linalg.qr(torch.randn(max(rows, dim), min(rows, dim)))[0] * COPY_GAIN
        value = basis if rows >= dim else basis.T
        attention.v_proj.weight.copy_(value)
        attention.o_proj.weight.copy_(value.T)
        if index % 2:
            same = torch.randn(rows, dim) * MATCH_STD
            attention.q_proj.weight.copy_(same)
            attention.k_proj.weight.copy_(same)
        else:
            _look_back(attention, LOOK_BACK[min(index // 2, 1)])


def _look_back(attention: Any, distances: tuple[int, ...]) -> None:
    """Heads whose score, a sum of cosines of the distance, peaks at one distance."""
    head_dim = int(attention.head_dim)
    rows, dim = attention.q_proj.weight.shape
    queries = torch.randn(rows // head_dim, head_dim, dim) * 0.01
    keys = torch.randn(rows // head_dim, head_dim, dim) * 0.01
    half = head_dim // 2
    angles = ROPE_THETA ** (-torch.arange(half) / half)
    for head, distance in enumerate(distances[: len(queries)]):
        queries[head, :half, 0] = LOOK_GAIN
        keys[head, :half, 0] = LOOK_GAIN * torch.cos(angles * distance)
        keys[head, half:, 0] = LOOK_GAIN * torch.sin(angles * distance)
    attention.q_proj.weight.copy_(queries.reshape(rows, dim))
    attention.k_proj.weight.copy_(keys.reshape(rows, dim))


class SlotReader(nn.Module):
    """Slots of visual tokens to embeddings, in the code that text has.

    A token is the sum of its characters' text embeddings, plain and turned by a rotation of each
    slot: the plain part lets text find it, the turned part says the order.
    """

    def __init__(self, embedding: nn.Embedding, *, tokens_per_side: int = 13) -> None:
        super().__init__()
        dim = embedding.embedding_dim
        self._embedding = [embedding]  # shared, not owned
        self.tokens_per_side = tokens_per_side
        self.other = nn.Parameter(torch.randn(NUM_CLASSES, dim) * 0.02)
        turns = [torch.linalg.qr(torch.randn(dim, dim))[0] for _ in range(SLOTS)]
        self.turns = nn.Parameter(torch.stack(turns) * 0.7)
        self.gains = nn.Parameter(torch.full((SLOTS,), 0.7))
        positions = torch.randn(tokens_per_side**2, dim) * 0.03
        positions[:, 0] = 1.0
        self.positions = nn.Parameter(positions)
        self.register_buffer("byte_ids", _byte_ids(), persistent=False)
        self.register_buffer("offsets", torch.arange(SLOTS) * NUM_CLASSES, persistent=False)
        self.byte_ids: Tensor
        self.offsets: Tensor

    def forward(self, slots: Tensor) -> Tensor:
        """Classes (tokens, SLOTS) to embeddings (tokens, dim); tokens are whole crops."""
        slots = slots.long()
        known = (self.byte_ids >= 0)[:, None]
        codes = torch.where(known, self._embedding[0](self.byte_ids.clamp(min=0)), self.other)
        table = torch.einsum("cd,sde->sce", codes, self.turns)
        table = (table + self.gains[:, None, None] * codes).flatten(0, 1)
        starts = torch.arange(0, slots.numel(), SLOTS)
        weights = (slots > 0).flatten().to(table.dtype)
        content = nn.functional.embedding_bag(
            (slots + self.offsets).flatten(), table, starts, mode="sum", per_sample_weights=weights
        )
        crops = len(slots) // self.tokens_per_side**2
        return content + self.positions.repeat(crops, 1)


def _byte_ids() -> Tensor:
    """Token id of each character class in the byte-level tokenizer; -1 for classes of their own."""
    ids = torch.full((NUM_CLASSES,), -1)
    for number, char in enumerate(CHARACTERS, start=1):
        if char.isascii():
            ids[number] = ord(char)
    ids[BLANK] = ord(" ")
    assert ids[OTHER] == -1
    return ids
