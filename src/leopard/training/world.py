"""The processes of a run, as torchrun starts them: who this is, what they agree on, how they shard.

One process is a world too. Knows nothing of data or losses.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from leopard.errors import ConfigError
from leopard.inference.loading import pick_device


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """All processes of a run."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device of this process."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and files that are written once."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes; the same everywhere."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """Values of all processes, by rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def join_world(device: str | None = None) -> World:
    """Join the processes that torchrun (or SLURM's variables of the same names) started.

    Args:
        device: `cpu`, `cuda` or `mps`; None picks the best there is.

    Raises:
        ConfigError: If the device does not exist here.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    kind = pick_device(device)
    if size == 1:
        return World(device=kind)
    if kind.type == "mps":
        raise ConfigError("device mps works with one process only; leave torchrun out")
    if kind.type == "cuda":
        kind = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(kind)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if kind.type == "cuda" else "gloo")
    return World(rank=rank, size=size, device=kind)


def leave_world() -> None:
    """End what `join_world` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shard_model(model: nn.Module, layers: nn.ModuleList, world: World, *, bfloat16: bool) -> None:
    """Spread weights, gradients and optimizer state over all processes (FSDP2), in place.

    Each layer of the language model is gathered when it is used; everything else is one unit, so
    that processes with different numbers of crops still make the same calls.

    Args:
        model: The whole model.
        layers: Layers of its language model.
        world: More than one process.
        bfloat16: Whether the arithmetic is in bfloat16; gradients are summed in float32.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy()
    if bfloat16:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def full_tensor(tensor: Tensor) -> Tensor:
    """A tensor put together from all processes; all of them must call this."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
