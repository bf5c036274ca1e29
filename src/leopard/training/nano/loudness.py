"""Lessons in how loud the parts of hand-written heads are, not in what they look for.

Queries and keys that were written by hand are right but for their sizes: how much a place counts
against a letter, when to rest. An update of single weights is as large for what is noise as for
what is learned, and few steps of it drown what was written. Here each head's numbers and each
zone of the stream, as the head reads it, have one factor each: some thousand numbers to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from leopard.training.nano.start_heads import HEAD

BETAS = (0.9, 0.98)


class Loudness(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) on logarithms of factors of blocks of weights.

    Args:
        params: Weights of queries or keys, (heads * HEAD, dim), or groups of them.
        lr: Learning rate: about how much a factor changes in one step, as a share of itself.
        zones: First numbers of the stream's zones, ascending, 0 among them.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        zones: Sequence[int],
    ) -> None:
        super().__init__(params, {"lr": lr})
        self.zones = tuple(zones)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"])
        return loss

    def _update(self, parameter: Tensor, rate: float) -> None:
        weight = parameter.view(-1, HEAD, parameter.shape[1])  # (heads, numbers, dim)
        slope = weight * parameter.grad.view_as(weight)  # type: ignore[union-attr]
        zone = torch.bucketize(torch.arange(weight.shape[2]), torch.tensor(self.zones), right=True)
        by_zone = slope.new_zeros(len(weight), len(self.zones) + 1)
        by_zone.index_add_(1, zone, slope.sum(1))
        numbers = self._step_of(parameter, "numbers", slope.sum(2))
        zones = self._step_of(parameter, "zones", by_zone)
        weight.mul_(torch.exp(-rate * (numbers[:, :, None] / 2 + zones[:, None, zone])))

    def _step_of(self, parameter: Tensor, name: str, slope: Tensor) -> Tensor:
        """Adam's step for some factors; its state is kept under their name."""
        state = self.state[parameter]
        if f"{name}_mean" not in state:
            state[f"{name}_mean"], state[f"{name}_square"] = torch.zeros(2, *slope.shape)
            state[f"{name}_step"] = torch.zeros(())
        mean, square = state[f"{name}_mean"], state[f"{name}_square"]
        state[f"{name}_step"] += 1
        mean.lerp_(slope, 1 - BETAS[0])
        square.lerp_(slope.square(), 1 - BETAS[1])
        count = float(state[f"{name}_step"])
        root = (square / (1 - BETAS[1] ** count)).sqrt() + 1e-12
        step: Tensor = mean / (1 - BETAS[0] ** count) / root
        return step
