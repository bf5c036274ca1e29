"""Which pages of a document are wanted: `1-3,7`, `5-`, `2`. Knows nothing of documents."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leopard.errors import ConfigError

_PART = re.compile(r"(?P<first>\d{1,9})\s*(?P<dash>-)?\s*(?P<last>\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRange:
    """Pages in the order they are wanted, counted from 1, both ends included."""

    parts: tuple[tuple[int, int | None], ...]
    """First and last page of each part; a last page of None is the end of the document."""

    @classmethod
    def parse(cls, text: str) -> PageRange:
        """Read `1-3,7` (pages 1, 2, 3 and 7) or `5-` (page 5 to the end).

        Raises:
            ConfigError: If the text is no such list.
        """
        return cls(tuple(_parse_part(part.strip(), text) for part in text.split(",")))

    def select(self, num_pages: int) -> tuple[int, ...]:
        """Pages that a document of `num_pages` has, each once, in the order wanted."""
        wanted: dict[int, None] = {}
        for first, last in self.parts:
            end = num_pages if last is None else min(last, num_pages)
            wanted.update(dict.fromkeys(range(first, end + 1)))
        return tuple(wanted)

    def num_absent(self, num_pages: int) -> int:
        """How many pages are named that a document of `num_pages` does not have."""
        absent: list[tuple[int, int]] = []
        for first, last in self.parts:
            beyond = (max(first, num_pages + 1), first if last is None else last)
            if beyond[0] <= beyond[1]:
                absent.append(beyond)
        count, reached = 0, 0
        for first, last in sorted(absent):
            count += max(0, last - max(first, reached + 1) + 1)
            reached = max(reached, last)
        return count

    def __str__(self) -> str:
        return ",".join(_show_part(first, last) for first, last in self.parts)


def _show_part(first: int, last: int | None) -> str:
    if last is None:
        return f"{first}-"
    return str(first) if first == last else f"{first}-{last}"


def _parse_part(part: str, text: str) -> tuple[int, int | None]:
    match = _PART.fullmatch(part)
    if match is None or (match["last"] and not match["dash"]):
        raise ConfigError(
            f"pages {text!r} is not a list of pages; write numbers and ranges such as 1-3,7 or 5-"
        )
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else (None if match["dash"] else first)
    if first < 1 or (last is not None and last < first):
        raise ConfigError(
            f"pages {text!r}: {part!r} is no range; pages count from 1 and ranges run upwards"
        )
    return first, last
