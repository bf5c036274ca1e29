"""A Ray cluster: one task per unit, run again when its worker dies.

The output folder must be one that all nodes see. Knows nothing of what a unit is.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from leopard.errors import ConfigError, LeopardError

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")
START_S = 300
"""Seconds that a cluster on this computer may take to start."""
KNOCK_S = 10
"""Seconds that a cluster of a given address may take to answer at all."""


class RayExecutor:
    """Runs units as Ray tasks.

    Args:
        address: Address of a running cluster, or None to start one on this computer.
        workers: CPUs of a cluster started here; None means all.
        max_retries: How often a unit is run again when its worker dies.
        gpus_per_unit: GPUs that a unit holds, also parts of one; Ray hides all others from it.

    Raises:
        ConfigError: If Ray is not installed, cannot be reached or does not start.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        max_retries: int = 5,
        gpus_per_unit: float = 0,
    ) -> None:
        # Half a minute, Ray's own limit, is short on a computer that is busy.
        os.environ.setdefault("RAY_raylet_start_wait_time_s", str(START_S))
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
            _start(ray, address, cpus)

    def map(
        self, work: Callable[[UnitT], ResultT], units: Iterable[UnitT]
    ) -> Iterator[tuple[UnitT, ResultT]]:
        """Units with their results, in order of completion. A failing unit raises its own error."""

        def run(unit: UnitT) -> ResultT:  # Ray takes functions, not partial objects
            return work(unit)

        task = self._ray.remote(**self._options)(run)
        waiting = {task.remote(unit): unit for unit in units}
        while waiting:
            ready, _ = self._ray.wait([*waiting], num_returns=1)
            for reference in ready:
                yield waiting.pop(reference), self._result(reference)

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            # Ray's own text is the traceback of the worker; an error of the user is one line.
            if isinstance(error.cause, LeopardError):
                raise error.cause from None
            raise


def _start(ray: Any, address: str | None, cpus: dict[str, int]) -> None:
    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdecimal() and "//" not in host:
            # Ray itself would knock for minutes.
            socket.create_connection((host, int(port)), timeout=KNOCK_S).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            **cpus,
        )
    except Exception as error:  # Ray raises plain exceptions here
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"no Ray cluster at {address}" if address else "Ray does not start"
        raise ConfigError(
            f"{what} ({reason}); start one with `ray start --head` and give --address auto, or "
            "use --executor local"
        ) from error
