"""Weights in 8 or 4 bits for answering on a CPU, computed by the quantised kernels inside torch.

8 bits: each row of a weight has a scale of its own, and so has each row of the inputs, so that what
one request computes does not depend on its neighbours. 4 bits: groups of 32 weights share a scale
and a zero point; inputs are in bfloat16. The connector stays in single precision. What a form
costs in quality is measured by `benchmarks/bench_decoding.py`. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from leopard.errors import ConfigError

FORMS = ("int8", "int4")
"""Names of the forms."""
GROUP = 32
"""Weights that share a scale in 4 bits."""
KEPT = "connector"
"""Modules of this name are not quantised: few weights, and all visual tokens pass through them."""
_SMALLEST = 1e-30


class QuantizedLinear(nn.Module):
    """A linear layer whose weights take few bits; for inference only.

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

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (..., in_features) to (..., out_features), in the inputs' number type."""
        flat = x.reshape(-1, self.in_features).float()
        out = self._product(flat)
        if self.bias is not None:
            out += self.bias
        return out.view(*x.shape[:-1], self.out_features).to(x.dtype)

    def _product(self, flat: Tensor) -> Tensor:
        """(rows, in_features) to (rows, out_features), without the bias."""
        raise NotImplementedError


class Int8Linear(QuantizedLinear):
    """Weights and inputs in 8 bits, sums in 32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=_SMALLEST).double()
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # To be removed from torch some day; oneDNN's product takes three times as long.
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None)
        # Without VNNI the processor adds pairs of products in 16 bits, which 8-bit inputs overflow.
        self.packed_bytes = weight.numel() + 16 * len(scales)
        self._levels = 127 if torch.cpu._is_vnni_supported() else 63

    def _product(self, flat: Tensor) -> Tensor:
        largest = flat.abs().amax(dim=1, keepdim=True).clamp_(min=_SMALLEST)
        out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            flat / largest, 1 / self._levels, self._levels + 1, self._packed
        )
        return out.mul_(largest)


class Int4Linear(QuantizedLinear):
    """Weights in 4 bits, inputs and results in bfloat16, sums in single precision."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        groups = weight.view(self.out_features, -1, GROUP)
        lowest, highest = groups.amin(dim=-1), groups.amax(dim=-1)
        scales = ((highest - lowest) / 15).clamp(min=_SMALLEST)
        levels = ((groups - lowest[..., None]) / scales[..., None]).round_().clamp_(0, 15)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(
            levels.view(self.out_features, -1).to(torch.int32), 1
        )
        self.packed_bytes = levels.numel() // 2 + 4 * scales.numel()
        # The kernel's zero point is in the middle of the 16 levels; (groups, out_features, 2).
        both = torch.stack([scales, lowest + 8 * scales], dim=-1)
        self._scales = both.transpose(0, 1).contiguous().to(torch.bfloat16)

    def _product(self, flat: Tensor) -> Tensor:
        out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            flat.to(torch.bfloat16), self._packed, GROUP, self._scales
        )
        return out.float()


def quantize(model: nn.Module, form: str) -> int:
    """Replace the linear layers of a model by quantised ones.

    Args:
        model: A model on the CPU; changed in place, and no longer to be trained or saved.
        form: `int8` or `int4`. With `int4` the language head and the vision encoder take 8 bits,
            as do layers of a size that the 4-bit kernel does not take.

    Returns:
        Number of layers replaced.

    Raises:
        ConfigError: If the form is unknown, or cannot be computed here.
    """
    if form not in FORMS:
        raise ConfigError(f"weights {form!r} are unknown; use {' or '.join(FORMS)}")
    supported = torch.backends.quantized.supported_engines
    if "fbgemm" not in supported or not hasattr(torch, "quantize_per_channel"):
        raise ConfigError(
            f"weights {form} need an x86 processor and a torch with FBGEMM; leave weights out"
        )
    engine, torch.backends.quantized.engine = torch.backends.quantized.engine, "fbgemm"
    try:
        return sum(_replace(*found, form) for found in list(_linears(model)))
    finally:
        torch.backends.quantized.engine = engine


def _linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Owner, attribute and whole name of each layer to be replaced."""
    for whole_name, module in model.named_modules():
        for name, child in module.named_children():
            path = f"{whole_name}.{name}"
            if isinstance(child, nn.Linear) and KEPT not in path:
                yield module, name, path


def _replace(owner: nn.Module, name: str, path: str, form: str) -> int:
    linear: nn.Linear = getattr(owner, name)
    if linear.weight.device.type != "cpu":
        raise ConfigError(
            f"weights {form} are for the CPU, but {path} is on {linear.weight.device}; "
            "choose device cpu or leave weights out"
        )
    in_four = "language_model" in path or "text_model" in path
    fits = linear.in_features % GROUP == 0 and linear.out_features % 16 == 0
    kind = Int4Linear if form == "int4" and in_four and fits else Int8Linear
    setattr(owner, name, kind(linear))
    return 1
