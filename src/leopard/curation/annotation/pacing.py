"""How fast and how patiently a server is asked.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from leopard.curation.annotation.settings import PaceSettings


class Lanes:
    """Bounded concurrency: halved when the server has enough, one more after each full round.

    The rule of TCP, additive increase and multiplicative decrease (Chiu and Jain 1989).

    Args:
        most: Most requests in flight.
    """

    def __init__(self, most: int) -> None:
        self.most, self.width = most, most
        self._in_flight = 0
        self._good = 0
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """Wait for a free lane and hold it."""
        async with self._free:
            await self._free.wait_for(lambda: self._in_flight < self.width)
            self._in_flight += 1
        try:
            yield
        finally:
            # No await before the count is right: a cancelled task must not keep its lane.
            self._in_flight -= 1
            async with self._free:
                self._free.notify_all()

    def too_many(self) -> None:
        """The server has enough: half as many from now on."""
        self.width, self._good = max(1, self.width // 2), 0

    def went_well(self) -> None:
        """An answer came: after a round of them, one more at a time."""
        self._good += 1
        if self._good >= self.width:
            self.width, self._good = min(self.most, self.width + 1), 0


def pause_after(pace: PaceSettings, tries: int, headers: Mapping[str, str]) -> float:
    """Seconds to wait after the n-th failure, as the server asks or growing, with some chance."""
    asked = retry_after_s(headers)
    wait = pace.pause_s * 2 ** (tries - 1) if asked is None else asked
    # Without chance all those who were refused together come back together.
    return min(wait * random.uniform(1.0, 1.2), pace.longest_pause_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the headers ask to wait, in seconds (RFC 9110 section 10.2.3), or None."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if value.replace(".", "", 1).isdigit():
            return float(value) * unit_s
    try:
        when = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, when.timestamp() - time.time())
