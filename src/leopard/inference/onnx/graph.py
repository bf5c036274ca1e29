"""A decoder of the LLaMA family as a graph of ONNX Runtime's fused operators.

Embeddings go in, scores of the kept positions come out. Attention (GroupQueryAttention) rotates
queries and keys, and writes new keys and values behind the old ones where both are the same memory.
Sizes come from a configuration, weights are handed in layer by layer. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leopard.inference.onnx.blocks import BlockWeights
from leopard.inference.onnx.weights_file import NAME, WeightsFile

FUSED = "com.microsoft"
"""Domain of the operators that only ONNX Runtime has."""
_OPSETS = {"": 21, FUSED: 1}
_IR_VERSION = 10
_INT8_INPUTS = 4
"""Level at which products of few-bit weights round their inputs to 8 bits, block by block."""
_INLINE = 128
"""Bytes up to which weights stand in the graph itself: the runtime must see small ones."""

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderSizes:
    """What the graph needs to know of a language model."""

    hidden: int
    vocabulary: int
    heads: int
    key_value_heads: int
    head_dim: int
    epsilon: float
    """Of the norms."""
    rotated: tuple[bool, ...]
    """Whether queries and keys of each layer are rotated by position."""

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.rotated)


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix product with an optional bias."""

    weight: Array | BlockWeights
    """(outputs, inputs)."""
    bias: Array | None = None
    """(outputs,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerWeights:
    """Weights of one layer."""

    attention_norm: Array
    queries_keys_values: Linear
    attention_output: Linear
    inner_norm: Array
    gate: Linear
    up: Linear
    down: Linear


class DecoderGraph:
    """Writes the graph, one layer after the other.

    Args:
        sizes: Of the language model.
        weights: Where weights go, beside the graph.
        cosines: Of the angle of each position and pair of values, (positions, head_dim / 2).
        sines: The same.
    """

    def __init__(
        self, sizes: DecoderSizes, weights: WeightsFile, cosines: Array, sines: Array
    ) -> None:
        self._sizes = sizes
        self._weights = weights
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._rotation = [self._array("cosines", cosines), self._array("sines", sines)]
        self._stream, self._added = "embeds", ""
        self._layers = 0

    def add_layer(self, weights: LayerWeights) -> None:
        """Put a layer behind those there are."""
        index = self._layers
        name = f"layer{index}"
        normed = self._norm(f"{name}.attention_norm", weights.attention_norm)
        mixed = self._linear(f"{name}.queries_keys_values", normed, weights.queries_keys_values)
        attended = self._attention(index, mixed)
        self._added = self._linear(f"{name}.attention_output", attended, weights.attention_output)
        normed = self._norm(f"{name}.inner_norm", weights.inner_norm)
        gate = self._linear(f"{name}.gate", normed, weights.gate)
        up = self._linear(f"{name}.up", normed, weights.up)
        gate = self._node("QuickGelu", [gate], f"{name}.activation", FUSED, alpha=1.0)
        inner = self._node("Mul", [gate, up], f"{name}.inner")
        self._added = self._linear(f"{name}.down", inner, weights.down)
        self._layers += 1

    def finish(self, norm: Array, head: Linear) -> bytes:
        """Put the last norm and the language head behind the layers; gives the graph in bytes."""
        from onnx import helper

        assert self._layers == self._sizes.layers, "a layer is missing"
        whole = self._node("Add", [self._stream, self._added], "whole")
        self._stream, self._added = self._node("Gather", [whole, "kept"], "chosen", axis=1), ""
        self._linear("head", self._norm("norm", norm), head, result="logits")
        graph = helper.make_graph(
            self._nodes, "decoder", self._inputs(), self._outputs(), self._initializers
        )
        opsets = [helper.make_opsetid(domain, number) for domain, number in _OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        written: bytes = model.SerializeToString()
        return written

    # --- Operators ---------------------------------------------------------------------------

    def _attention(self, index: int, mixed: str) -> str:
        """Attention over all positions so far; keys and values of the new ones are kept."""
        rotated = self._sizes.rotated[index]
        rotation = self._rotation if rotated else ["", ""]
        result = f"layer{index}.attention"
        node = self._make(
            "GroupQueryAttention",
            [
                mixed,
                "",
                "",
                f"past_keys{index}",
                f"past_values{index}",
                "last",
                "total",
                *rotation,
                "positions" if rotated else "",
                "bias",
            ],
            [result, f"keys{index}", f"values{index}"],
            FUSED,
            num_heads=self._sizes.heads,
            kv_num_heads=self._sizes.key_value_heads,
            do_rotary=int(rotated),
        )
        self._nodes.append(node)
        return result

    def _norm(self, name: str, weight: Array) -> str:
        """What was last added goes into the stream, and its norm comes out."""
        scale, result = self._array(name, weight), f"{name}.out"
        epsilon = self._sizes.epsilon
        if not self._added:
            inputs = [self._stream, scale]
            return self._node(
                "SimplifiedLayerNormalization", inputs, result, epsilon=epsilon, axis=-1
            )
        stream = f"{name}.stream"
        self._nodes.append(
            self._make(
                "SkipSimplifiedLayerNormalization",
                [self._stream, self._added, scale],
                [result, "", "", stream],
                FUSED,
                epsilon=epsilon,
            )
        )
        self._stream, self._added = stream, ""
        return result

    def _linear(self, name: str, value: str, linear: Linear, *, result: str = "") -> str:
        result = result or f"{name}.out"
        product = result if linear.bias is None else f"{name}.product"
        self._product(name, value, linear.weight, product)
        if linear.bias is not None:
            self._node("Add", [product, self._array(f"{name}.bias", linear.bias)], result)
        return result

    def _product(self, name: str, value: str, weight: Array | BlockWeights, result: str) -> None:
        if not isinstance(weight, BlockWeights):
            self._node("FusedMatMul", [value, self._array(name, weight)], result, FUSED, transB=1)
            return
        inputs = [value, self._array(name, weight.codes)]
        inputs.append(self._array(f"{name}.scales", weight.scales))
        if weight.zeros is not None:
            inputs.append(self._array(f"{name}.zeros", weight.zeros))
        outputs, blocks = weight.scales.shape
        self._node(
            "MatMulNBits",
            inputs,
            result,
            FUSED,
            K=blocks * weight.block,
            N=outputs,
            bits=weight.bits,
            block_size=weight.block,
            accuracy_level=_INT8_INPUTS,
        )

    # --- Parts of the file -------------------------------------------------------------------

    def _node(
        self, kind: str, inputs: Sequence[str], result: str, domain: str = "", **attributes: Any
    ) -> str:
        self._nodes.append(self._make(kind, inputs, [result], domain, **attributes))
        return result

    @staticmethod
    def _make(
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> Any:
        from onnx import helper

        return helper.make_node(
            kind, inputs, outputs, domain=domain, name=f"{outputs[0]}/{kind}", **attributes
        )

    def _array(self, name: str, array: Array) -> str:
        """Name weights; large ones stay outside the graph, whose file form ends at 2 GiB."""
        from onnx import TensorProto, helper, numpy_helper

        array = np.ascontiguousarray(array)
        if array.nbytes <= _INLINE:
            self._initializers.append(numpy_helper.from_array(array, name))
            return name
        tensor = TensorProto(name=name, dims=array.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.data_location = TensorProto.EXTERNAL
        offset = self._weights.add(name, array)
        place = {"location": NAME, "offset": str(offset), "length": str(array.nbytes)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        self._initializers.append(tensor)
        return name

    def _inputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        sizes = self._sizes
        describe = helper.make_tensor_value_info
        return [
            describe("embeds", TensorProto.FLOAT, ["rows", "new", sizes.hidden]),
            describe("positions", TensorProto.INT64, ["rows", "new"]),
            describe("bias", TensorProto.FLOAT, ["rows or 1", 1, "new", "all"]),
            describe("last", TensorProto.INT32, ["rows"]),
            describe("total", TensorProto.INT32, [1]),
            describe("kept", TensorProto.INT64, ["kept"]),
            *self._memory("past_keys", "past_values"),
        ]

    def _outputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        logits: list[str | int | None] = ["rows", "kept", self._sizes.vocabulary]
        return [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits),
            *self._memory("keys", "values"),
        ]

    def _memory(self, *names: str) -> list[Any]:
        from onnx import TensorProto, helper

        sizes = self._sizes
        shape: list[str | int | None] = ["rows", sizes.key_value_heads, "room", sizes.head_dim]
        return [
            helper.make_tensor_value_info(f"{name}{index}", TensorProto.FLOAT, shape)
            for index in range(sizes.layers)
            for name in names
        ]
