"""Workers that share a run: processes of this computer, or tasks of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.executors.local import LocalExecutor
    from leopard.executors.ray import RayExecutor


NAMES = ("local", "ray")


def executor_of(
    name: str,
    workers: int,
    address: str | None,
    gpus: float,
    names: tuple[str, ...] = NAMES,
) -> LocalExecutor | RayExecutor:
    """The executor of this name.

    Args:
        name: One of the names; `rank`, where that is one, has processes of its own computer.
        workers: Most of them at once on this computer.
        address: Address of a running Ray cluster; None starts one here.
        gpus: GPUs of each Ray task, also parts of one.
        names: Those that the command knows.

    Raises:
        ConfigError: If there is none of this name, or Ray cannot be had.
    """
    if name not in names:
        raise ConfigError(f"executor {name!r} is unknown; use one of {', '.join(names)}")
    if name == "ray":
        from leopard.executors.ray import RayExecutor

        return RayExecutor(address, workers, gpus_per_unit=gpus)
    from leopard.executors.local import LocalExecutor

    return LocalExecutor(workers)
