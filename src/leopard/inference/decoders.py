"""What computes the language model: reads positions behind those it was shown, and scores tokens.

torch is the reference; `leopard.inference.onnx` is the other. All keep keys and values in the same
caches, so that joining rows, sharing documents and keeping prefixes are the same for all. Knows
nothing of prompts or tokens' meaning.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from transformers import DynamicCache

from leopard.inference.growing_cache import GrowingLayer, keeps_all, new_cache
from leopard.inference.memory import head_dim_of
from leopard.inference.shared_document import can_share


class Decoder(Protocol):
    """The language model of one checkpoint, as some library computes it."""

    @property
    def reads_padded(self) -> bool:
        """Whether prompts of unequal lengths can be read together, padded on the left."""
        ...

    @property
    def takes_masks(self) -> bool:
        """Whether `read` takes a mask of any form, so that questions can share a document."""
        ...

    @property
    def most_positions(self) -> int | None:
        """New positions that `read` computes at once when given more; None computes all."""
        ...

    def new_cache(self) -> DynamicCache:
        """An empty cache of this model."""
        ...

    def read(
        self,
        embeds: Tensor,
        positions: Tensor,
        cache: DynamicCache,
        *,
        mask: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor:
        """Read new positions; the cache then holds them, too.

        Args:
            embeds: (rows, new positions, dim).
            positions: Place of each in its text, counted from 0, (rows, new positions).
            cache: Keys and values of the positions before; grows.
            mask: 1 at real positions, (rows, all positions); or additions to attention scores,
                (1, 1, new positions, all positions). All positions are seen without one, as far
                as they stand before.
            kept: Which of the new positions are scored; the last by default.

        Returns:
            Scores for the token after each kept position, (rows, kept positions, vocabulary).
        """
        ...


class TorchDecoder:
    """The language model as transformers computes it.

    Args:
        model: A Leopard model of either kind.
    """

    reads_padded = True
    most_positions = None

    def __init__(self, model: Any) -> None:
        self._model = model
        self.takes_masks = can_share(model)

    def new_cache(self) -> DynamicCache:
        """An empty cache of this model."""
        return new_cache(self._model.config)

    def read(
        self,
        embeds: Tensor,
        positions: Tensor,
        cache: DynamicCache,
        *,
        mask: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor:
        """See `Decoder.read`."""
        if not hasattr(self._model, "hf_device_map"):  # else layers may be on other devices
            _make_room(cache, self._model.config.text_config, embeds)
        logits: Tensor = self._model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1 if kept is None else kept,
        ).logits
        return logits


LONG = 1024
"""Positions from which room for keys and values is made before they are read."""


def _make_room(cache: DynamicCache, text: Any, embeds: Tensor) -> None:
    """Take the memory of all layers of an empty cache at once.

    Taken layer by layer, it would lie between what each layer needs for a moment, and the holes
    that this leaves are of no use to the next. So it is with the heap of a CPU.
    """
    rows, new, _ = embeds.shape
    if embeds.device.type != "cpu" or new < LONG or cache.get_seq_length() or not keeps_all(cache):
        return
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    like = embeds.new_empty(rows, heads, 0, head_dim_of(text))
    for layer in cache.layers:
        assert isinstance(layer, GrowingLayer)
        layer.extend(0, like, like, reserve=new)
