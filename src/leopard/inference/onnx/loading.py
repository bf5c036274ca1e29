"""Takes the language model out of a Leopard model, for ONNX Runtime to compute it.

The weights leave the torch model layer by layer, into a file that ONNX Runtime maps. Embedding
table, vision encoder and connector stay with torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from leopard.errors import ConfigError
from leopard.inference.growing_cache import keeps_all, new_cache
from leopard.inference.huge_pages import use_huge_pages
from leopard.inference.memory import give_back, head_dim_of
from leopard.inference.onnx.blocks import BITS, STEP, pack_blocks
from leopard.inference.onnx.decoder import OnnxDecoder
from leopard.inference.onnx.graph import (
    Array,
    DecoderGraph,
    DecoderSizes,
    LayerWeights,
    Linear,
)
from leopard.inference.onnx.weights_file import WeightsFile
from leopard.inference.quantized import unrounded_layers

FAMILIES = ("llama", "mistral", "smollm3")
"""Language models whose layers the graph computes."""
_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds of rotation that depend on nothing but the position."""
_HEAD_STEP = 16


class ComputedElsewhere(nn.Module):
    """Stands in a torch model for what ONNX Runtime computes.

    Args:
        digest: Stands for the weights where they are compared.
        packed_bytes: Bytes of the weights.
    """

    def __init__(self, digest: bytes, packed_bytes: int) -> None:
        super().__init__()
        self.packed_bytes = packed_bytes
        self.register_buffer("digest", torch.tensor(list(digest), dtype=torch.uint8), False)

    def forward(self, *_: Any, **__: Any) -> Any:
        """Not here."""
        raise RuntimeError("the language model is computed by ONNX Runtime; use the decoder")


def take_language_model(model: Any, form: str | None = None) -> OnnxDecoder:
    """Make a decoder of a model's language model, which is then no longer in the model.

    Args:
        model: A Leopard model of either kind, in single precision on the CPU; changed.
        form: `int8` or `int4` for weights of few bits. With `int4` the language head takes 8 bits.

    Raises:
        ConfigError: If a package is missing, the engine cannot compute this model, or there is no
            room for a temporary file of its weights.
    """
    _require_packages()
    text = model.config.text_config
    weight = model.get_input_embeddings().weight
    obstacles = [*_place_obstacles(weight), *_obstacles(model.config, text, form)]
    if obstacles:
        raise ConfigError(
            f"engine onnx cannot compute this language model: {'; '.join(obstacles)}; use engine "
            "torch"
        )
    sizes = _sizes(text)
    language = _language_of(model)
    bits, unrounded = None if form is None else BITS[form], unrounded_layers(model)
    with WeightsFile() as weights:
        rotation = _rotation(language.rotary_emb, text.max_position_embeddings)
        graph = DecoderGraph(sizes, weights, *rotation)
        for index, layer in enumerate(language.layers):
            graph.add_layer(_layer_weights(layer, None if index in unrounded else bits))
            language.layers[index] = nn.Identity()
            del layer
        norm = _values(language.norm.weight)
        # Each score is one row of the head alone: it takes 8 bits where the layers take 4.
        written = graph.finish(norm, _linear([model.lm_head], None if bits is None else 8))
        digest = hashlib.sha256(written + weights.finish()).digest()
        language.layers = nn.ModuleList([ComputedElsewhere(digest, weights.num_bytes)])
        model.lm_head = ComputedElsewhere(digest, 0)
        decoder = OnnxDecoder(written, weights.folder, sizes)
    give_back()
    use_huge_pages()
    return decoder


def _require_packages() -> None:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"engine onnx needs {' and '.join(missing)}; run: pip install 'leopard[onnx]', or use "
            "engine torch"
        )


def _place_obstacles(weight: Tensor) -> Iterator[str]:
    if weight.device.type != "cpu":
        yield f"it is on {weight.device}, and this engine is for the CPU (choose device cpu)"
    if weight.dtype != torch.float32:
        yield f"its weights are loaded as {weight.dtype}, not float32 (leave dtype out)"


def _obstacles(config: Any, text: Any, form: str | None) -> Iterator[str]:
    """What of a configuration the graph cannot compute."""
    if text.model_type not in FAMILIES:
        yield f"family {text.model_type} is not one of {', '.join(FAMILIES)}"
        return
    if not keeps_all(new_cache(config)):
        yield f"its layers forget positions (sliding_window {text.sliding_window})"
    if text.hidden_act != "silu":
        yield f"activation {text.hidden_act} is not silu"
    rotation = text.rope_parameters or {}
    kind = rotation.get("rope_type", "default")
    if kind not in _ROTATIONS:
        yield f"rotation {kind} is not one of {', '.join(_ROTATIONS)}"
    if rotation.get("partial_rotary_factor", 1) != 1:
        yield "only a part of each head is rotated"
    if head_dim_of(text) % _HEAD_STEP:
        yield f"heads of {head_dim_of(text)} values are no multiple of {_HEAD_STEP}"
    inputs = (
        text.hidden_size,
        text.intermediate_size,
        head_dim_of(text) * text.num_attention_heads,
    )
    if form is not None and any(size % STEP for size in inputs):
        yield f"layers of {', '.join(map(str, inputs))} inputs are no multiples of {STEP}"


def _sizes(text: Any) -> DecoderSizes:
    rotated = getattr(text, "no_rope_layers", None) or [1] * text.num_hidden_layers
    return DecoderSizes(
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        heads=text.num_attention_heads,
        key_value_heads=text.num_key_value_heads,
        head_dim=head_dim_of(text),
        epsilon=text.rms_norm_eps,
        # 1 stands for a layer with rotation, whatever the setting's name says.
        rotated=tuple(bool(one) for one in rotated),
    )


def _language_of(model: Any) -> Any:
    inner = model.model
    return inner.language_model if hasattr(inner, "language_model") else inner.text_model


def _rotation(module: Any, positions: int) -> tuple[Array, Array]:
    """Cosines and sines of all positions, (positions, head_dim / 2)."""
    angles = torch.arange(positions).float()[:, None] * module.inv_freq.float()
    scale = module.attention_scaling
    return (angles.cos() * scale).numpy(), (angles.sin() * scale).numpy()


def _layer_weights(layer: Any, bits: int | None) -> LayerWeights:
    attention, inner = layer.self_attn, layer.mlp
    return LayerWeights(
        attention_norm=_values(layer.input_layernorm.weight),
        queries_keys_values=_linear([attention.q_proj, attention.k_proj, attention.v_proj], bits),
        attention_output=_linear([attention.o_proj], bits),
        inner_norm=_values(layer.post_attention_layernorm.weight),
        gate=_linear([inner.gate_proj], bits),
        up=_linear([inner.up_proj], bits),
        down=_linear([inner.down_proj], bits),
    )


def _linear(layers: list[Any], bits: int | None) -> Linear:
    """Layers of the same inputs as one, their outputs one behind the other."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    biases = [layer.bias for layer in layers if layer.bias is not None]
    assert len(biases) in (0, len(layers)), "all of them have a bias, or none"
    bias = _values(torch.cat(biases)) if biases else None
    if bits is None:
        return Linear(_values(weight), bias)
    return Linear(pack_blocks(weight, bits), bias)


def _values(tensor: Tensor) -> Array:
    values: Array = tensor.detach().contiguous().numpy()
    return values
