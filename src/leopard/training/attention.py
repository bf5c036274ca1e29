"""Attention of packed rows, segment by segment, through torch's fused kernel.

A packed row holds samples end to end. A block-diagonal mask over the whole row costs the square of
the row; here each sample attends on its own, so the cost is the sum of squares and no mask is
built. Registered with transformers under the name `segments`. Knows nothing of models.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "leopard_segments"


def segment_kwargs(segments: list[int]) -> dict[str, Any]:
    """What a model must be called with so that attention knows the segments of a packed row.

    The names are those of transformers' flash attention, which takes them too.

    Args:
        segments: Length of each segment, in row order.
    """
    ends = torch.tensor([0, *segments]).cumsum(0).to(torch.int32)
    return {
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": max(segments),
        "max_length_k": max(segments),
    }


def attend_in_segments(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention within segments; without `cu_seq_lens_q` the whole row is one segment.

    Args:
        module: The attention layer; says whether it is causal.
        query: (batch, heads, length, head dim).
        key: (batch, key heads, length so far, head dim).
        value: As `key`.
        attention_mask: Must be None where segments are given.
        **kwargs: `cu_seq_lens_q`, `dropout`, `scaling`, `sliding_window` and others.

    Returns:
        (batch, length, heads, head dim), and no weights.
    """
    ends = kwargs.pop("cu_seq_lens_q", None)
    kwargs.pop("cu_seq_lens_k", None)
    window = kwargs.pop("sliding_window", None)
    if ends is None:
        mask = attention_mask
        if mask is None and query.shape[2] == key.shape[2]:
            mask = _window_mask(query, window)
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)  # type: ignore[no-any-return]
    assert attention_mask is None, "segments and a mask contradict each other"
    sizes = (ends[1:] - ends[:-1]).tolist()
    assert sum(sizes) == query.shape[2], "segments must cover the row"
    parts = [
        sdpa_attention_forward(module, q, k, v, _window_mask(q, window), **kwargs)[0]
        for q, k, v in zip(
            query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), strict=True
        )
    ]
    return torch.cat(parts, dim=1), None


def _window_mask(query: Tensor, window: int | None) -> Tensor | None:
    """Band of a sliding window, or None where plain causal attention sees as much."""
    length = query.shape[2]
    if window is None or length <= window:
        return None
    places = torch.arange(length, device=query.device)
    behind = places[:, None] - places[None, :]
    return ((behind >= 0) & (behind < window))[None, None]


def register() -> None:
    """Make transformers know this attention; safe to call again."""
    AttentionInterface.register(NAME, attend_in_segments)
