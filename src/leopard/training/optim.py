"""Muon for CPUs: momentum whose update is made orthogonal.

The optimiser of torch of the same name works in bfloat16, which CPUs without it run up to a hundred
times slower than float32; this one does so only where that is fast, and takes convolution kernels
too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from leopard.inference.loading import has_fast_bfloat16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Quintic Newton-Schulz iteration that drives singular values towards 1 (Jordan et al. 2024)."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024), with updates as large as AdamW's (Liu et al. 2025).

    Args:
        params: Matrices, or kernels, which count as matrices of (outputs, everything else); or
            groups of them.
        lr: Learning rate, on AdamW's scale: updates have a root mean square of about 0.2.
        momentum: Share of the old momentum that stays.
        weight_decay: Decoupled weight decay.
        iterations: Newton-Schulz iterations.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iterations: int = 4,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "iterations": iterations,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"])  # Nesterov
        matrix = ahead.reshape(len(parameter), -1)
        update = orthogonalised(matrix, group["iterations"]).reshape(parameter.shape)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonalised(matrix: Tensor, iterations: int) -> Tensor:
    """About the nearest matrix whose singular values are all 1.

    Args:
        matrix: Any matrix, (rows, columns).
        iterations: Newton-Schulz iterations; 4 bring singular values to about 0.7 to 1.2.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    if has_fast_bfloat16():
        x = x.bfloat16()
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    x = x.to(matrix.dtype)
    return x.T if is_tall else x
