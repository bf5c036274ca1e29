"""A Ray cluster: one task per unit, run again when its worker dies.

The output folder must be one that all nodes see. Knows nothing of what a unit is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from leopard.errors import ConfigError

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")


class RayExecutor:
    """Runs units as Ray tasks.

    Args:
        address: Address of a running cluster, or None to start one on this computer.
        workers: CPUs of a cluster started here; None means all.
        max_retries: How often a unit is run again when its worker dies.
        gpus_per_unit: GPUs that a unit holds, also parts of one; Ray hides all others from it.

    Raises:
        ConfigError: If Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        max_retries: int = 5,
        gpus_per_unit: float = 0,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "the ray executor needs Ray, which is not installed: pip install 'leopard[ray]', "
                "or use --executor local"
            ) from error
        self._ray: Any = ray
        self._options = {"num_cpus": 1, "num_gpus": gpus_per_unit, "max_retries": max_retries}
        if not ray.is_initialized():
            cpus = {} if address or workers is None else {"num_cpus": workers}
            ray.init(address=address, log_to_driver=False, include_dashboard=False, **cpus)

    def map(
        self, work: Callable[[UnitT], ResultT], units: Iterable[UnitT]
    ) -> Iterator[tuple[UnitT, ResultT]]:
        """Units with their results, in order of completion. A failing unit raises."""

        def run(unit: UnitT) -> ResultT:  # Ray takes functions, not partial objects
            return work(unit)

        task = self._ray.remote(**self._options)(run)
        waiting = {task.remote(unit): unit for unit in units}
        while waiting:
            ready, _ = self._ray.wait([*waiting], num_returns=1)
            for reference in ready:
                yield waiting.pop(reference), self._ray.get(reference)
