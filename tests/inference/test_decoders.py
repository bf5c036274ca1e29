"""The reference decoder makes room for keys and values before it reads a long prompt."""

import pytest
import torch

from leopard.inference.decoders import LONG, TorchDecoder
from leopard.inference.growing_cache import ROOM
from tests.inference.onnx.test_decoder import build


@pytest.mark.parametrize(("length", "room"), [(LONG, LONG + ROOM), (LONG - 1, 0)])
def test_memory_of_all_layers_is_taken_before_the_first_one_reads(monkeypatch, length, room):
    model = build()
    decoder, found = TorchDecoder(model), []
    cache = decoder.new_cache()
    forward = model.forward

    def watched(*given, **named):
        found.extend(layer.num_bytes for layer in named["past_key_values"].layers)
        return forward(*given, **named)

    monkeypatch.setattr(model, "forward", watched)
    text = model.config.text_config
    embeds = torch.randn(1, length, text.hidden_size)
    with torch.inference_mode():
        decoder.read(embeds, torch.arange(length)[None], cache)
    head = text.hidden_size // text.num_attention_heads
    per_position = 2 * text.num_key_value_heads * head * 4
    assert found == [room * per_position] * text.num_hidden_layers
    assert cache.get_seq_length() == length
    assert all(layer.num_bytes == (length + ROOM) * per_position for layer in cache.layers)


def test_layers_that_may_be_on_other_devices_take_their_own_memory():
    model = build()
    model.hf_device_map = {"": "cpu"}
    decoder = TorchDecoder(model)
    cache = decoder.new_cache()
    seen = []
    model.register_forward_pre_hook(
        lambda _, __, named: seen.append(named["past_key_values"].get_seq_length()),
        with_kwargs=True,
    )
    model.register_forward_pre_hook(
        lambda _, __, named: seen.extend(one.num_bytes for one in named["past_key_values"].layers),
        with_kwargs=True,
    )
    embeds = torch.randn(1, LONG, model.config.text_config.hidden_size)
    with torch.inference_mode():
        decoder.read(embeds, torch.arange(LONG)[None], cache)
    assert not any(seen)
    assert cache.get_seq_length() == LONG
