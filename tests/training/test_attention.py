"""Packed rows: segments do not see one another."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from leopard.training import attention
from leopard.training.attention import NAME, attend_in_segments, segment_kwargs

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (LlamaConfig(**SIZES), LlamaForCausalLM),
        (MistralConfig(**SIZES, sliding_window=4), MistralForCausalLM),
    ],
    ids=["full", "sliding window"],
)
def test_packed_logits_equal_those_of_each_sample_alone(config, kind) -> None:
    attention.register()
    torch.manual_seed(0)
    model = kind(config).eval()
    rows = [torch.randint(0, 40, (1, size)) for size in (3, 9, 6)]
    alone = torch.cat([model(row, use_cache=False).logits for row in rows], 1)
    model.set_attn_implementation(NAME)
    positions = torch.cat([torch.arange(row.shape[1]) for row in rows])[None]
    packed = model(
        torch.cat(rows, 1), position_ids=positions, use_cache=False, **segment_kwargs([3, 9, 6])
    ).logits
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)
    greedy = model.generate(rows[0], max_new_tokens=6, do_sample=False)
    model.set_attn_implementation("sdpa")
    assert torch.equal(greedy, model.generate(rows[0], max_new_tokens=6, do_sample=False))


def test_segments_must_cover_the_row() -> None:
    x = torch.zeros(1, 2, 5, 4)
    with pytest.raises(AssertionError, match="cover"):
        attend_in_segments(nn.Identity(), x, x, x, None, **segment_kwargs([2, 2]))
