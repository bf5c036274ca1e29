"""Which memory is put into huge pages, and that it stays what it was."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from leopard.inference import huge_pages
from leopard.inference.huge_pages import HUGE, large_regions

SMAPS = """\
55c920288000-55c948288000 rw-p 00000000 00:00 0                          [heap]
Size:             655360 kB
Rss:              655000 kB
7fa605fff000-7fa606fff000 r-xp 00000000 08:01 12                         /lib/libtorch.so
Size:              16384 kB
Rss:               16384 kB
7fa610000000-7fa614000000 rw-p 00000000 00:00 0
Size:              65536 kB
Rss:                 120 kB
7fa620000000-7fa620400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                4096 kB
7ffc00000000-7ffc02000000 rw-p 00000000 00:00 0                          [stack]
Size:              32768 kB
Rss:               32768 kB
7fa630001000-7fa632001000 rw-p 00000000 00:00 0
Size:              32768 kB
Rss:               32768 kB
"""


def test_only_large_private_regions_that_are_in_use_are_chosen() -> None:
    # Not files, not what is hardly in memory, not small regions, not the stack.
    assert list(large_regions(SMAPS.splitlines())) == [
        (0x55C920400000, 0x55C948200000),
        (0x7FA630200000, 0x7FA632000000),
    ]
    assert all(
        place % HUGE == 0 for region in large_regions(SMAPS.splitlines()) for place in region
    )


class Kernel:
    """Answers as the kernel would, and remembers what it was asked."""

    def __init__(self, collapses: bool) -> None:
        self.collapses = collapses
        self.asked: list[tuple[int, int, int]] = []

    def madvise(self, where: ctypes.c_void_p, size: ctypes.c_size_t, advice: int) -> int:
        self.asked.append((where.value or 0, size.value, advice))
        return 0 if self.collapses or advice == 14 else -1


@pytest.mark.parametrize("collapses", [True, False])
def test_what_the_kernel_refuses_is_not_counted(
    collapses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = tmp_path / "smaps"
    maps.write_text(SMAPS)
    kernel = Kernel(collapses)
    monkeypatch.setattr(huge_pages, "_MAPS", maps)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: kernel)
    regions = list(large_regions(SMAPS.splitlines()))
    whole = sum(end - first for first, end in regions)
    assert huge_pages.use_huge_pages() == (whole if collapses else 0)
    assert kernel.asked == [
        (first, end - first, advice) for first, end in regions for advice in (14, 25)
    ]


def test_memory_holds_the_same_afterwards() -> None:
    numbers = np.arange(8 << 20, dtype=np.float32)
    huge_pages.use_huge_pages()
    np.testing.assert_array_equal(numbers, np.arange(8 << 20, dtype=np.float32))
