"""Weights in 8 bits for answering on a CPU, computed by the quantised kernels inside torch.

Each row of a weight has a scale of its own, and so has each row of the inputs, so that what one
request computes does not depend on its neighbours. The connector stays in single precision, and so
do layers that the configuration names.
`leopard.inference.onnx` computes language models in few bits. What a form costs in quality is
measured by `benchmarks/bench_decoding.py`. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from leopard.errors import ConfigError

FORMS = ("int8", "int4")
"""Names of the forms of weights; in `int4` the language model takes 4 bits and the rest 8."""
KEPT = "connector"
"""Modules of this name are not quantised: few weights, and all visual tokens pass through them."""
_SMALLEST = 1e-30


class Int8Linear(nn.Module):
    """A linear layer with weights and inputs in 8 bits and sums in 32; for inference only.

    Args:
        linear: The layer in full precision.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        weight = linear.weight.detach().float().contiguous()
        digest = hashlib.sha256(type(self).__name__.encode() + weight.numpy().tobytes()).digest()
        # Packed weights are no tensors; this stands for them where weights are compared.
        self.register_buffer("digest", torch.tensor(list(digest), dtype=torch.uint8), False)
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=_SMALLEST).double()
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # To be removed from torch some day; oneDNN's product takes three times as long.
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        self.packed_bytes = weight.numel() + 16 * len(scales)
        # Without VNNI the processor adds pairs of products in 16 bits, which 8-bit inputs overflow.
        self._levels = 127 if torch.cpu._is_vnni_supported() else 63

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (..., in_features) to (..., out_features), in the inputs' number type."""
        flat = x.reshape(-1, self.in_features).float()
        largest = flat.abs().amax(dim=1, keepdim=True).clamp_(min=_SMALLEST)
        out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            flat / largest, 1 / self._levels, self._levels + 1, self._packed
        )
        out.mul_(largest)
        if self.bias is not None:
            out += self.bias
        return out.view(*x.shape[:-1], self.out_features).to(x.dtype)


def quantize(model: nn.Module) -> int:
    """Replace the linear layers of a model by 8-bit ones.

    Args:
        model: A model on the CPU; changed in place, and no longer to be trained or saved.

    Returns:
        Number of layers replaced.

    Raises:
        ConfigError: If 8 bits cannot be computed here.
    """
    supported = torch.backends.quantized.supported_engines
    if "fbgemm" not in supported or not hasattr(torch, "quantize_per_channel"):
        raise ConfigError(
            "quantised weights need an x86 processor and a torch with FBGEMM; leave weights out"
        )
    engine, torch.backends.quantized.engine = torch.backends.quantized.engine, "fbgemm"
    try:
        return sum(_replace(*found) for found in list(_linears(model)))
    finally:
        torch.backends.quantized.engine = engine


def unrounded_layers(model: nn.Module) -> tuple[int, ...]:
    """Layers of the language model that stay in full precision."""
    config = getattr(model, "config", None)
    return tuple(getattr(config, "unrounded_layers", None) or ())


def _linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Owner, attribute and whole name of each layer to be replaced."""
    kept = (KEPT, *(f"language_model.layers.{index}." for index in unrounded_layers(model)))
    for whole_name, module in model.named_modules():
        for name, child in module.named_children():
            path = f"{whole_name}.{name}"
            is_kept = any(part in path for part in kept)
            if isinstance(child, nn.Linear) and not is_kept:
                yield module, name, path


def _replace(owner: nn.Module, name: str, path: str) -> int:
    linear: nn.Linear = getattr(owner, name)
    if linear.weight.device.type != "cpu":
        raise ConfigError(
            f"quantised weights are for the CPU, but {path} is on {linear.weight.device}; "
            "choose device cpu or leave weights out"
        )
    setattr(owner, name, Int8Linear(linear))
    return 1
