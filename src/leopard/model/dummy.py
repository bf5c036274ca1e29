"""Models of any stated size with made-up weights, for tests of loading, memory and speed.

Their answers mean nothing. Knows nothing of checkpoints.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers.initialization import no_init_weights

from leopard.errors import ConfigError
from leopard.model.config import LeopardConfig
from leopard.model.idefics2 import LeopardIdefics2Config
from leopard.model.weights import find_kind


def _full() -> LeopardConfig:
    return LeopardConfig(image_token_id=128200)


def _full_idefics2() -> LeopardIdefics2Config:
    return LeopardIdefics2Config(
        image_token_id=32001,
        vision_config={
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 980,
            "patch_size": 14,
        },
        perceiver_config={"num_key_value_heads": 16},
        text_config={
            "model_type": "mistral",
            "vocab_size": 32003,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-5,
            "sliding_window": 4096,
            "pad_token_id": 0,
        },
    )


def _tiny() -> LeopardConfig:
    return LeopardConfig(
        image_token_id=456,
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 524,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "bos_token_id": 256,
            "eos_token_id": 257,
        },
    )


PRESETS = {
    "leopard-llava": _full,
    "leopard-idefics2": _full_idefics2,
    "tiny": _tiny,
}
"""Sizes by name: the two published models (8.5 and 8.4 billion weights) and one of 0.2 million."""


def preset_config(name: str) -> Any:
    """Configuration of a preset.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name not in PRESETS:
        raise ConfigError(f"model size {name!r} is unknown; use one of {', '.join(PRESETS)}")
    return PRESETS[name]()


def build_dummy(
    size: str | PreTrainedConfig,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Any:
    """Build a model with random weights.

    Args:
        size: Name of a preset, or a configuration of any Leopard model.
        device: Where the weights live; `meta` gives names and shapes without memory.
        dtype: Type of the weights.
        seed: Seed of the weights; the same seed on the same device gives the same model.

    Returns:
        A model in evaluation mode.

    Raises:
        ConfigError: If the preset is unknown.
        CheckpointError: If the configuration is of no Leopard model.
    """
    config = preset_config(size) if isinstance(size, str) else size
    model_class = find_kind(config.model_type, "configuration").model_class
    with no_init_weights(), torch.device(device):
        model = model_class._from_config(config, dtype=dtype)
    if torch.device(device).type != "meta":
        _fill(model, seed)
    return model.eval()


@torch.no_grad()
def _fill(model: nn.Module, seed: int) -> None:
    """Normal weights of variance 1 / inputs, norms at one, biases at zero."""
    generators: dict[torch.device, torch.Generator] = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        device = parameter.device
        if device not in generators:
            generators[device] = torch.Generator(device).manual_seed(seed)
        std = parameter[0].numel() ** -0.5
        parameter.normal_(0.0, std, generator=generators[device])
