"""What a dry run says is what torch counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from leopard.config import build
from leopard.errors import CheckpointError, ConfigError
from leopard.model.dummy import build_dummy, preset_config
from leopard.training.estimate import (
    Load,
    Machine,
    _activations,
    _vision_flops,
    estimate,
    fullest_load,
    read_start_config,
)
from leopard.training.settings import TrainSettings, read_settings

TEXT, CROPS = 160, 10
TOKENS = TEXT + CROPS * 4


def settings(**changes: Any) -> TrainSettings:
    values = {
        "steps": 1,
        "batch": {"samples": 1, "tokens_per_pass": TOKENS, "crops_per_pass": CROPS},
        "data": {"max_length": TOKENS},
    }
    return build(TrainSettings, {**values, **changes})


def forward(model: Any) -> torch.Tensor:
    ids = torch.full((1, TOKENS), 7)
    ids[0, : CROPS * 4] = model.config.image_token_id
    pixels = torch.zeros(CROPS, 3, 56, 56)
    kept = torch.arange(TOKENS - 20, TOKENS)
    return model(ids, pixels, logits_to_keep=kept, use_cache=False).logits.sum()


LOAD = Load(
    tokens_per_sample=TOKENS,
    crops_per_sample=CROPS,
    learned_per_sample=20,
    length=TOKENS,
    measured=1,
)


@pytest.mark.parametrize(
    "parts",
    [
        {"vision_encoder": {"train": False}},
        {"vision_encoder": {"train": False}, "language_model": {"train": False}},
        {"vision_encoder": {"train": True}},
    ],
    ids=["stage 2", "stage 1", "everything"],
)
def test_flops_are_those_that_torch_counts(parts: dict[str, Any]) -> None:
    from leopard.training.parts import freeze

    run = settings(parts=parts)
    model = build_dummy("tiny")
    freeze(model, run)
    model.set_attn_implementation("eager")
    counter = FlopCounterMode(display=False)
    with counter:
        forward(model).backward()
    found = estimate(run, preset_config("tiny"), Machine(), LOAD, 1)
    # Written out, attention computes the half above the diagonal too: 4 L^2 d / 2, 2 layers, x 3.
    above = 3 * 2 * (4 * TOKENS**2 * 64 // 2)
    # A little more where the encoder learns: pixels themselves need no gradient.
    assert found.flops_per_step == pytest.approx(counter.get_total_flops() - above, rel=0.05)


def test_a_vit_counts_by_formula_as_by_running_it() -> None:
    model = build_dummy("tiny")
    model.set_attn_implementation("eager")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.model.vision_encoder(pixel_values=torch.zeros(1, 3, 56, 56))
    assert _vision_flops(model) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("is_trained", [False, True])
def test_an_encoder_that_joins_tiles_is_counted_by_its_sizes_alone(is_trained: bool) -> None:
    from leopard.model import LeopardForConditionalGeneration
    from leopard.training.nano.package import nano_config

    with torch.device("meta"):
        model = LeopardForConditionalGeneration(nano_config()).train(is_trained)
    counter = FlopCounterMode(display=False)
    encoder = new_encoder()
    with torch.no_grad(), counter:
        encoder(pixel_values=torch.zeros(1, 3, 364, 364), grids=[(0, 0)])
    # An empty page is left out where values are known: what stands around it costs the rest.
    assert counter.get_total_flops() <= _vision_flops(model) < 2 * counter.get_total_flops()


def new_encoder() -> Any:
    from leopard.training.nano.package import new_model

    return new_model(seed=0).model.vision_encoder.eval()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_about_what_autograd_keeps(checkpointing: bool) -> None:
    from leopard.training.parts import freeze

    run = settings(model={"gradient_checkpointing": checkpointing})
    model = build_dummy("tiny")
    freeze(model, run)
    owned = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward(model)
        largest = sum(kept.values())
        loss.backward()
    # With checkpointing a layer's own values come one layer at a time, not counted here.
    one = _activations(run, model, 4)
    if checkpointing:
        assert largest < one
    else:
        assert one == pytest.approx(largest, rel=0.35)


def test_the_published_sizes_are_counted_without_weights() -> None:
    run = read_settings("leopard-llava", ["steps=10614"])
    config = read_start_config(run, "leopard-llava")
    found = estimate(run, config, Machine(devices=64), fullest_load(run), 10614)
    assert found.weights["language_model"] == pytest.approx(8.03e9, rel=0.01)
    assert found.weights["vision_encoder"] == pytest.approx(0.41e9, rel=0.02)
    assert found.trained["vision_encoder"] == 0
    assert found.trained["language_model"] == found.weights["language_model"]
    # float32 weights, gradients and two moments, shared by 64.
    assert sum(found.memory[k] for k in ("weights", "gradients", "optimizer")) == pytest.approx(
        (4 * 8.47e9 + 12 * 8.06e9) / 64, rel=0.01
    )
    assert found.total_memory < 40 * 2**30  # the paper's A100s
    idefics2 = read_settings("leopard-idefics2", ["steps=10"])
    size = read_start_config(idefics2, "leopard-idefics2")
    whole = estimate(idefics2, size, Machine(devices=64), fullest_load(idefics2), 10)
    assert sum(whole.weights.values()) == pytest.approx(8.4e9, rel=0.01)


def test_adapters_are_counted_as_peft_makes_them() -> None:
    run = settings(model={"lora": {"rank": 4}})
    found = estimate(run, preset_config("tiny"), Machine(), LOAD, 1)
    per_layer = 4 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    assert found.trained["language_model"] == 2 * per_layer
    nothing = settings(model={"lora": {"targets": ["nothing"]}})
    with pytest.raises(ConfigError, match="no such layers"):
        estimate(nothing, preset_config("tiny"), Machine(), LOAD, 1)


def test_a_start_that_is_not_here_asks_for_a_size() -> None:
    with pytest.raises(CheckpointError, match="--size leopard-llava"):
        read_start_config(read_settings("leopard-llava"))
