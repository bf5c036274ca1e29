"""Which memory is put into huge pages, and that it stays what it was."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from leopard.inference.huge_pages import HUGE, large_regions, use_huge_pages

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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such pages")
def test_memory_holds_the_same_afterwards() -> None:
    numbers = np.arange(8 << 20, dtype=np.float32)
    held = use_huge_pages()
    assert held >= 0
    np.testing.assert_array_equal(numbers, np.arange(8 << 20, dtype=np.float32))
