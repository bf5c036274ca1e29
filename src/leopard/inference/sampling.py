"""Chooses the next token of one request; the filters come from transformers.

Each request has its own random numbers, so its text does not depend on what it is batched with.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import TopKLogitsWarper, TopPLogitsWarper

from leopard.schema.generation import SamplingOptions


class Sampler:
    """Greedy at temperature 0, otherwise sampling with a seed.

    Args:
        options: How to choose.
        forbidden: Token ids that are never chosen.
    """

    def __init__(self, options: SamplingOptions, forbidden: Iterable[int] = ()) -> None:
        self._temperature = options.temperature
        self._forbidden = torch.tensor(sorted(set(forbidden)), dtype=torch.long)
        self._generator = torch.Generator().manual_seed(options.seed)
        self._filters: list[TopKLogitsWarper | TopPLogitsWarper] = []
        if options.top_k:
            self._filters.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1:
            self._filters.append(TopPLogitsWarper(options.top_p))

    def choose(self, logits: Tensor) -> int:
        """Next token from the scores of all tokens, (vocabulary,)."""
        scores = logits.detach().to("cpu", torch.float32, copy=True)
        scores[self._forbidden[self._forbidden < len(scores)]] = -torch.inf
        if self._temperature == 0:
            return int(scores.argmax())
        row = scores[None] / self._temperature  # (1, vocabulary)
        for keep in self._filters:
            row = keep(None, row)
        return int(torch.multinomial(row.softmax(dim=-1), 1, generator=self._generator))
