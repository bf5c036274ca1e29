"""The one thread that runs the engine, and the jobs that the event loop gives it.

Requests join the running batch as it has room and leave it when they are done or given up. Knows
nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass, field

from leopard.errors import GenerationError
from leopard.schema.generation import (
    BatchGenerator,
    GenerationRequest,
    Progress,
    RunningBatch,
)

log = logging.getLogger("leopard.serving")


@dataclass(slots=True, eq=False)
class Job:
    """One request in the engine; belongs to the event loop that submitted it."""

    key: str
    request: GenerationRequest
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue[Progress] = field(default_factory=asyncio.Queue)
    """What the engine brings; bounded by the tokens that the request allows."""

    def tell(self, progress: Progress) -> None:
        """Hand over a piece from the engine's thread; never waits for a slow reader."""
        try:
            self.loop.call_soon_threadsafe(self.news.put_nowait, progress)
        except RuntimeError:  # the loop has ended, and with it the reader
            log.debug("job %s: nobody listens", self.key)


@dataclass(frozen=True, slots=True)
class _Join:
    job: Job


@dataclass(frozen=True, slots=True)
class _Leave:
    key: str


class _Close:
    """Ends the thread; jobs that are not done are given up."""


class EngineWorker:
    """Runs a generator's batch in a thread of its own.

    Args:
        generator: Used by this thread only.
    """

    def __init__(self, generator: BatchGenerator) -> None:
        self._generator = generator
        self._batch: RunningBatch = generator.open_batch()
        self._orders: queue.SimpleQueue[_Join | _Leave | _Close] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._running: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="leopard-engine", daemon=True)
        self._is_closed = False

    @property
    def capacity(self) -> int:
        """Most requests in the batch."""
        return self._batch.capacity

    @property
    def num_running(self) -> int:
        """Requests in the batch."""
        return len(self._running)

    @property
    def is_alive(self) -> bool:
        """Whether requests can be answered."""
        return self._thread.is_alive() and not self._is_closed

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, request: GenerationRequest) -> Job:
        """Give a request to the engine; call from the event loop that reads the job."""
        job = Job(f"job-{next(self._numbers)}", request, asyncio.get_running_loop())
        self._orders.put(_Join(job))
        return job

    def cancel(self, job: Job) -> None:
        """Give a job up; its place in the batch is free after the step that runs."""
        self._orders.put(_Leave(job.key))

    def close(self, timeout_s: float = 30.0) -> None:
        """Give up all jobs and end the thread after the step that runs."""
        self._is_closed = True
        self._orders.put(_Close())
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # --- In the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while self._obey():
            self._admit()
            try:
                news = self._batch.step()
            except Exception as error:
                log.exception("the engine failed; its requests are given up")
                self._fail_running(error)
                self._batch = self._generator.open_batch()
                continue
            for progress in news:
                self._deliver(progress)
        for job in (*self._running.values(), *self._waiting):
            job.tell(Progress(key=job.key, error=GenerationError("the server is stopping")))

    def _obey(self) -> bool:
        """Carry out orders, waiting for one when there is nothing to do; False at the end."""
        while True:
            idle = not self._running and not self._waiting
            try:
                order = self._orders.get(block=idle)
            except queue.Empty:
                return True
            if isinstance(order, _Close):
                return False
            if isinstance(order, _Join):
                self._waiting.append(order.job)
            else:
                self._drop(order.key)

    def _drop(self, key: str) -> None:
        self._waiting = deque(job for job in self._waiting if job.key != key)
        if self._running.pop(key, None) is not None:
            self._batch.leave(key)

    def _admit(self) -> None:
        while self._waiting and len(self._batch) < self._batch.capacity:
            job = self._waiting.popleft()
            self._running[job.key] = job
            self._batch.join(job.key, job.request)

    def _deliver(self, progress: Progress) -> None:
        job = self._running.get(progress.key)
        if job is None:
            return
        if progress.is_last:
            del self._running[progress.key]
        job.tell(progress)

    def _fail_running(self, error: Exception) -> None:
        for key, job in self._running.items():
            job.tell(Progress(key=key, error=error))
        self._running.clear()
