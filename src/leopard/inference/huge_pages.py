"""Weights in huge pages: a processor that streams them looks up fewer addresses.

Every token reads all weights of the language model once. In pages of 4 KiB the look-ups of their
addresses cost up to a quarter of that time on processors of today; Linux can put memory that is in
use into pages of 2 MiB (madvise(2), MADV_COLLAPSE, Linux 6.1). Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

HUGE = 2 << 20
"""Bytes of a huge page."""
LEAST = 16 << 20
"""Smaller regions hold no weights."""
FULL = 0.9
"""Share of a region that must be in memory: what nobody uses must not become so."""
_HUGEPAGE, _COLLAPSE = 14, 25
_MAPS = Path("/proc/self/smaps")
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(?:\[heap\])?\s*$")
_OTHER = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")


def use_huge_pages() -> int:
    """Put what this process holds in large private regions into huge pages, where that is possible.

    Takes about two seconds for a gigabyte. No failure is an error: memory stays as it was then.

    Returns:
        Bytes that are in huge pages now.
    """
    if sys.platform != "linux":
        return 0
    try:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
        libc = ctypes.CDLL(None)
    except OSError:
        return 0
    return sum(_collapsed(libc, first, end) for first, end in large_regions(lines))


def large_regions(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """First byte and end of the regions worth it, whole huge pages of them.

    Args:
        lines: Of `/proc/self/smaps`.
    """
    region: tuple[int, int] | None = None
    for line in lines:
        if hit := _REGION.match(line):
            region = int(hit[1], 16), int(hit[2], 16)
        elif _OTHER.match(line):
            region = None
        elif region is not None and line.startswith("Rss:"):
            first, end = region
            in_memory = int(line.split()[1]) * 1024
            if end - first >= LEAST and in_memory >= FULL * (end - first):
                yield -(-first // HUGE) * HUGE, end // HUGE * HUGE
            region = None


def _collapsed(libc: ctypes.CDLL, first: int, end: int) -> int:
    where, size = ctypes.c_void_p(first), ctypes.c_size_t(end - first)
    # Where the kernel knows no collapsing, it may still do so by and by.
    libc.madvise(where, size, _HUGEPAGE)
    return end - first if libc.madvise(where, size, _COLLAPSE) == 0 else 0
