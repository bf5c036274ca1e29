"""Local processes, never threads: PDFium is not thread-safe.

Knows nothing of what a unit is.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")


class LocalExecutor:
    """Runs units in `workers` processes of this computer; with one worker, in this process.

    Args:
        workers: Number of processes.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(
        self, work: Callable[[UnitT], ResultT], units: Iterable[UnitT]
    ) -> Iterator[tuple[UnitT, ResultT]]:
        """Units with their results, in order of completion. A failing unit raises."""
        if self.workers <= 1:
            for unit in units:
                yield unit, work(unit)
            return
        # Each process is one core's worth of work.
        for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self.workers, mp_context=context, initializer=_end_with_parent
        ) as pool:
            futures = {pool.submit(work, unit): unit for unit in units}
            for future in as_completed(futures):
                yield futures[future], future.result()


def _end_with_parent() -> None:
    """Let this worker end when the process that started it is gone, however it went.

    Else it would work on, and write shards that a later run no longer wants.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)  # nobody is left to tell; shards are renamed when they are whole

    threading.Thread(target=watch, daemon=True).start()
