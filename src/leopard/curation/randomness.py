"""Random streams that depend on what is made, never on who makes it.

Every draw comes from a hash of (content, generator, global sample index, attempt): the same
sample comes out of any process, shard or executor. Knows nothing of samples.
"""

from __future__ import annotations

import hashlib
import random


def stream(*parts: object) -> random.Random:
    """A random stream named by its parts; equal parts, equal stream, on every computer."""
    name = "\x1f".join(str(part) for part in parts)
    return random.Random(hashlib.sha256(name.encode()).digest())


def share(*parts: object) -> float:
    """A number in [0, 1) that hangs on the parts alone: splits by it stay when data grow."""
    name = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / 2**56
