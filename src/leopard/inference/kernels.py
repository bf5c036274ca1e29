"""Single-precision matrix products by the library that is fastest on this processor.

torch multiplies float32 matrices with MKL, which uses half of the vector units of some processors
that are not Intel's. oneDNN, which is inside torch as well, uses all of them; where a short
measurement says so, linear layers are computed by it. The weights stay what and where they are.
Knows nothing of models.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

WORTHWHILE = 1.2
"""A speed-up from which the other library is used."""
_SIDE = 768
_CLOSE = 1e-4


class OneDNNLinear(nn.Linear):
    """A linear layer for inference; with gradients it computes as its base does."""

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (..., in_features) to (..., out_features)."""
        if torch.is_grad_enabled() or x.dtype != torch.float32 or x.device.type != "cpu":
            return super().forward(x)
        return _product(x, self.weight, self.bias)


def use_fast_kernels(model: nn.Module) -> bool:
    """Let linear layers of a model on the CPU be computed by the faster library.

    Args:
        model: Changed in place; parameters, names and saved files stay as they are.

    Returns:
        Whether anything was changed.
    """
    layers = [one for one in model.modules() if type(one) is nn.Linear and _is_plain(one)]
    if not layers or not is_onednn_faster():
        return False
    for layer in layers:
        layer.__class__ = OneDNNLinear
    return True


def _is_plain(layer: nn.Linear) -> bool:
    weight = layer.weight
    # accelerate moves the weights of layers with a hook around their forward.
    hooked = hasattr(layer, "_hf_hook")
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and not hooked


@lru_cache(maxsize=1)
@torch.inference_mode()
def is_onednn_faster() -> bool:
    """Whether oneDNN beats torch's own product here; measured once, in hundredths of a second.

    False as well where this torch lacks the operator or its result differs.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    random = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(_SIDE, _SIDE, generator=random) for _ in range(2))
    expected = nn.functional.linear(x, weight)
    try:
        found = _product(x, weight, None)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    if not torch.allclose(found, expected, atol=_CLOSE * _SIDE, rtol=_CLOSE):
        return False
    own = min(_seconds(nn.functional.linear, x, weight, None) for _ in range(5))
    other = min(_seconds(_product, x, weight, None) for _ in range(5))
    return own > WORTHWHILE * other


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # An operator that torch's own compiler emits; there is no other way to ask for oneDNN.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _seconds(product: Any, *arguments: Any) -> float:
    begin = time.thread_time()
    product(*arguments)
    return time.thread_time() - begin
