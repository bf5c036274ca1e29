"""Several conversations about one document in one row: the document is read and kept once.

All positions stand in one sequence: the document, then the conversations side by side. A mask lets
each conversation see the document and itself only, and each counts its positions from the end of
the document, so that every answer is what it would be alone. Knows nothing of tokens' meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from leopard.inference.growing_cache import keeps_all

if TYPE_CHECKING:
    from leopard.inference.decoders import Decoder

DOCUMENT = -1
"""Owner of the positions that all conversations see."""
SUPPORTED_ATTENTION = frozenset({"sdpa", "eager"})
"""Attention kernels that take a mask of any form."""


class SharedState:
    """Keys and values of a document and of the conversations about it.

    Args:
        cache: What the model keeps of the document; grows.
        length: Positions of the document.
        num_rows: Number of conversations.
    """

    def __init__(self, cache: DynamicCache, length: int, num_rows: int, device: Any) -> None:
        self.cache = cache
        self._owners = torch.full((length,), DOCUMENT, device=device)
        self._places = torch.arange(length, device=device)
        self._lengths = [length] * num_rows
        self.logits = torch.empty(0)
        """Scores for the next token, (rows, vocabulary)."""

    @torch.inference_mode()
    def read(self, decoder: Decoder, pieces: Sequence[Tensor | None]) -> None:
        """Read the next positions of each conversation; `logits` then follow the last of each.

        Args:
            decoder: The language model.
            pieces: Embeddings of the new positions of each conversation, (new positions, dim), or
                None for one that is finished; its scores are zeros.
        """
        given = [(row, piece) for row, piece in enumerate(pieces) if piece is not None]
        embeds = torch.cat([piece for _, piece in given])[None]
        ends = torch.tensor([len(piece) for _, piece in given], device=embeds.device).cumsum(0) - 1
        new = self._append(given, embeds.device)
        logits = decoder.read(
            embeds,
            self._places[-new:][None],
            self.cache,
            mask=self._mask(new, embeds.dtype),
            kept=ends,
        )
        self.logits = logits.new_zeros(len(pieces), logits.shape[-1])
        self.logits[[row for row, _ in given]] = logits[0]

    def _append(self, given: Sequence[tuple[int, Tensor]], device: torch.device) -> int:
        """Note owner and place of the new positions; returns how many they are."""
        owners, places = [self._owners], [self._places]
        for row, piece in given:
            start = self._lengths[row]
            self._lengths[row] += len(piece)
            owners.append(torch.full((len(piece),), row, device=device))
            places.append(torch.arange(start, self._lengths[row], device=device))
        self._owners, self._places = torch.cat(owners), torch.cat(places)
        return sum(len(piece) for _, piece in given)

    def _mask(self, new: int, dtype: torch.dtype) -> Tensor:
        """What the newest positions do not see, as additions to scores, (1, 1, new, positions)."""
        owners, places = self._owners[-new:, None], self._places[-new:, None]
        seen = (self._owners == DOCUMENT) | (self._owners == owners)
        seen &= self._places <= places
        hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return hidden.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]


def can_share(model: Any) -> bool:
    """Whether a model takes such masks, and forgets no positions."""
    config = model.config.get_text_config()
    if config._attn_implementation not in SUPPORTED_ATTENTION:
        return False
    return keeps_all(DynamicCache(config=model.config))
