"""How many requests are at work and how many wait; further ones are sent away.

Requests at work may hold pixels; waiting ones hold only what was sent. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import math
import time

from leopard.serving.errors import ApiError

MOST_PATIENCE_S = 120
_MEMORY = 0.2
"""Weight of the newest request in the mean time at work."""


class Admission:
    """A door with a queue, first come first served.

    Args:
        max_at_work: Most requests at work.
        max_queue: Most requests that wait.
    """

    def __init__(self, *, max_at_work: int, max_queue: int) -> None:
        self._max_at_work = max_at_work
        self._max_queue = max_queue
        self._places = asyncio.Semaphore(max_at_work)
        self._mean_s = 1.0
        self.num_at_work = 0
        self.num_waiting = 0
        self.is_closed = False

    @property
    def retry_after_s(self) -> int:
        """Seconds until a place should be free in the queue."""
        expected = self._mean_s * (self.num_waiting + 1) / self._max_at_work
        return min(max(math.ceil(expected), 1), MOST_PATIENCE_S)

    async def enter(self) -> Place:
        """A place at work, waited for in the queue; to be left exactly once.

        Raises:
            ApiError: 503 if the queue is full or the server is stopping.
        """
        if self.is_closed:
            raise ApiError(503, "the server is stopping; ask another one", retry_after_s=5)
        if self._places.locked() and self.num_waiting >= self._max_queue:
            raise ApiError(
                503,
                f"{self.num_at_work} requests are at work and {self.num_waiting} wait, which is "
                f"the limit; try again in {self.retry_after_s} seconds",
                code="overloaded",
                retry_after_s=self.retry_after_s,
            )
        self.num_waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.num_waiting -= 1
        self.num_at_work += 1
        return Place(self)

    def _leave(self, seconds: float) -> None:
        self.num_at_work -= 1
        self._places.release()
        self._mean_s += _MEMORY * (seconds - self._mean_s)


class Place:
    """A place at work.

    Args:
        admission: The door it was got at.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._start = time.monotonic()

    def leave(self) -> None:
        """Give it to the next in the queue."""
        self._admission._leave(time.monotonic() - self._start)
