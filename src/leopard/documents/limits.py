"""Limits on what one request may cost, and the errors of going over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from leopard.errors import ConfigError, DocumentLimitError
from leopard.schema.geometry import ImageSize


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may be read. Over a limit a document is refused, never cut silently."""

    max_pages: int = 500
    """Most pages of one request, all documents together."""
    max_pixels: int = 100_000_000
    """Most pixels of one page, before and after drawing."""
    max_bytes: int = 256 * 2**20
    """Most bytes of one file or download."""
    max_seconds: float = 120.0
    """Most seconds of work on one document: fetching, converting and drawing together."""
    max_web_height_px: int = 50_000
    """Greatest height of a web page laid out 1280 px wide, in CSS pixels."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ConfigError(f"limit {field.name} is {value}; it must be above 0")

    def check_bytes(self, num_bytes: int, *, source: str) -> None:
        """Refuse a file of more than `max_bytes`.

        Raises:
            DocumentLimitError: Naming both numbers.
        """
        if num_bytes > self.max_bytes:
            raise DocumentLimitError(
                f"the file has {num_bytes:,} bytes and the limit is {self.max_bytes:,}",
                source=source,
                remedy="split it or raise max_bytes (--max-megabytes)",
            )

    def check_pixels(self, size: ImageSize, *, source: str, page: int, remedy: str) -> None:
        """Refuse a page of more than `max_pixels`.

        Raises:
            DocumentLimitError: Naming the size and the limit.
        """
        if size.area > self.max_pixels:
            raise DocumentLimitError(
                f"the page would have {size} = {size.area:,} pixels "
                f"and the limit is {self.max_pixels:,}",
                source=source,
                page=page,
                remedy=remedy,
            )


class Stopwatch:
    """Seconds of work on one document; time between pieces of work does not count."""

    def __init__(self, limits: Limits, source: str) -> None:
        self._limit_s = limits.max_seconds
        self._source = source
        self._spent_s = 0.0
        self._started: float | None = None

    @property
    def spent_s(self) -> float:
        """Seconds of work so far, the running piece included."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._spent_s + running

    @property
    def remaining_s(self) -> float:
        """Seconds left, at least a hundredth so that it can be used as a time limit."""
        return max(0.01, self._limit_s - self.spent_s)

    def check(self) -> None:
        """Refuse further work when the time is used up.

        Raises:
            DocumentLimitError: Naming the limit.
        """
        if self.spent_s >= self._limit_s:
            raise self.error()

    def error(self) -> DocumentLimitError:
        """The error of running out of time."""
        return DocumentLimitError(
            f"it took more than the limit of {self._limit_s:g} seconds",
            source=self._source,
            remedy="read fewer pages at a time or raise max_seconds (--max-seconds)",
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time inside the `with` block."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            self._spent_s, self._started = self.spent_s, None
