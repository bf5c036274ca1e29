"""Prompts into the language model: what is read of a request, and what of it is had from a cache.

A document is read apart from the question, so that it can be kept; several questions about one
document are read behind one copy of it. Knows nothing of how tokens are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from leopard.inference.decoders import Decoder
from leopard.inference.decoding_state import DecodingState, join_states
from leopard.inference.encoders import RequestEncoder
from leopard.inference.memory import PIECES, give_back
from leopard.inference.prefix_cache import PrefixCache, prefix_key, prefix_length
from leopard.inference.row import Row
from leopard.inference.shared_document import SharedState
from leopard.inference.vision_cache import WeightsFingerprint


class PromptReader:
    """Reads the prompts of requests and their answers' tokens.

    Args:
        model: A Leopard model of either kind.
        decoder: Computes its language model.
        encoder: Names what decides visual tokens.
        prefix_cache: Keys and values of documents read before.
        is_indexed: Whether entries of that cache are on disk, too.
    """

    def __init__(
        self,
        model: Any,
        decoder: Decoder,
        encoder: RequestEncoder,
        prefix_cache: PrefixCache,
        *,
        is_indexed: bool,
    ) -> None:
        self.piece = PIECES[0]
        """Most prompt positions read at once."""
        self._model = model
        self._decoder = decoder
        self._encoder = encoder
        self._prefix_cache = prefix_cache
        self._is_indexed = is_indexed
        self._weights = WeightsFingerprint(model)
        self._image_token: int = model.config.image_token_id

    @property
    def _table(self) -> Any:
        return self._model.get_input_embeddings()

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._table.weight.device
        return device

    # --- Prompts -----------------------------------------------------------------------------

    def read(self, rows: Sequence[Row]) -> DecodingState:
        """Read the prompts of rows that will be decoded together."""
        if len(rows) == 1:
            return self._read_one(rows[0])
        if not self._decoder.reads_padded:
            states = [self._read_one(row) for row in rows]
            logits = torch.cat([state.logits for state in states])
            joined = reduce(join_states, states)
            joined.logits = logits
            return joined
        return self._read_padded(rows)

    def _read_padded(self, rows: Sequence[Row]) -> DecodingState:
        longest = max(len(row.input_ids) for row in rows)
        embeds = [self._embed(row) for row in rows]
        padded = embeds[0].new_zeros(len(rows), longest, embeds[0].shape[-1])
        mask = torch.zeros(len(rows), longest, dtype=torch.long, device=padded.device)
        for index, embed in enumerate(embeds):
            padded[index, longest - len(embed) :] = embed
            mask[index, longest - len(embed) :] = 1
        state = DecodingState(mask, self._decoder.new_cache())
        self._forward(state, padded)
        return state

    def _read_one(self, row: Row) -> DecodingState:
        """The document first, then the question, so that the document can be had from the cache.

        Both are computed apart even when nothing is cached: the arithmetic is then the same.
        """
        embeds = self._embed(row)[None]
        # The last position must be computed in any case: it gives the first token.
        length = min(self.document_length(row), len(row.input_ids) - 1)
        mask = torch.ones(1, embeds.shape[1], dtype=torch.long, device=embeds.device)
        state = DecodingState(mask, self._decoder.new_cache())
        if row.visuals is not None and length > 0 and self._prefix_cache.max_bytes:
            state.cache = self._document(row, length)
            embeds = embeds[:, length:]
        self._forward(state, embeds)
        return state

    def read_shared(self, rows: Sequence[Row]) -> SharedState:
        """Read one document and the questions of rows about it."""
        length = self.document_length(rows[0])
        cache = self._document(rows[0], length)
        state = SharedState(cache, length, len(rows), self._device)
        rest = [torch.tensor(row.input_ids[length:], device=self._device) for row in rows]
        state.read(self._decoder, [self._table(ids) for ids in rest])
        return state

    def remember(self, row: Row) -> int:
        """Read the document of a row into the cache; returns its positions."""
        length = self.document_length(row)
        if row.visuals is not None and length:
            self._document(row, length)
        return length

    # --- Documents ---------------------------------------------------------------------------

    def document_length(self, row: Row) -> int:
        """Positions of a prompt up to and with its last image."""
        return prefix_length(row.input_ids, self._image_token)

    def document_key(self, row: Row) -> str:
        """Name of the beginning with all images; empty without one, or with nothing after it."""
        length = self.document_length(row)
        if row.visuals is None or not 0 < length < len(row.input_ids):
            return ""
        return prefix_key(row.input_ids[:length], row.visuals.keys, "")

    def _document(self, row: Row, length: int) -> DynamicCache:
        """Keys and values of the first positions of a prompt, read or had from the cache."""
        assert row.visuals is not None
        key = prefix_key(row.input_ids[:length], row.visuals.keys, self._scope())
        entry = self._prefix_cache.find(key, self._device)
        if entry is not None:
            return entry.restore()
        embeds = self._embed(row)[None, :length]
        mask = torch.ones(1, length, dtype=torch.long, device=embeds.device)
        state = DecodingState(mask, self._decoder.new_cache())
        give_back()  # what the vision encoder needed
        self._forward(state, embeds)
        self._prefix_cache.store(key, state.cache)
        return state.cache

    def _scope(self) -> str:
        """What else decides keys and values, besides tokens and crops."""
        return f"{self._encoder.scope()} {self._language_fingerprint()}"

    def _language_fingerprint(self) -> str:
        """Changes when the language model is trained on.

        Entries on disk need the weights themselves; in memory their places do, which is quicker.
        """
        if self._is_indexed:
            return self._weights()
        return str(
            hash(
                tuple(
                    (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
                    for tensor in self._model.parameters()
                )
            )
        )

    # --- Answers -----------------------------------------------------------------------------

    def step(self, rows: Sequence[Row], state: DecodingState) -> None:
        """Read the newest token of each row."""
        ids = torch.tensor([[row.tokens[-1]] for row in rows], device=self._device)
        state.mask = torch.cat([state.mask, state.mask.new_ones(len(rows), 1)], dim=1)
        self._forward(state, self._table(ids))

    def step_shared(self, rows: Sequence[Row], state: SharedState) -> None:
        """As `step`, for rows about one document; finished rows read nothing."""
        state.read(
            self._decoder,
            [
                None
                if row.is_finished
                else self._table(torch.tensor([row.tokens[-1]], device=self._device))
                for row in rows
            ],
        )

    # --- Positions ---------------------------------------------------------------------------

    def _forward(self, state: DecodingState, embeds: Tensor) -> None:
        """Read new positions, a bounded number at a time where none are padded."""
        left = embeds.shape[1]
        # A decoder that minds this itself makes room for all of them at once.
        whole = state.is_padded or self._decoder.most_positions is not None
        for part in [embeds] if whole else embeds.split(self.piece, dim=1):
            left -= part.shape[1]
            self._forward_part(state, part, left)

    def _forward_part(self, state: DecodingState, embeds: Tensor, left: int) -> None:
        """As `_forward` for some of the new positions, of which `left` are still to come."""
        mask = state.mask
        length = embeds.shape[1]
        if state.is_padded:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        else:
            end = state.num_columns - left
            positions = torch.arange(end - length, end, device=mask.device)
            positions = positions.expand(len(mask), -1)
        logits = self._decoder.read(
            embeds, positions, state.cache, mask=mask if state.is_padded else None
        )
        state.logits = logits[:, -1]

    def _embed(self, row: Row) -> Tensor:
        """Embeddings of a prompt with visual tokens in the place of placeholders, (length, dim)."""
        ids = torch.tensor(row.input_ids, device=self._device)
        embeds: Tensor = self._table(ids)
        if row.visuals is None:
            return embeds
        features = row.visuals.tokens.to(embeds.device, embeds.dtype).flatten(0, 1)
        places = ids == self._image_token
        assert int(places.sum()) == len(features), "the processor keeps these equal"
        return embeds.masked_scatter(places[:, None], features)
