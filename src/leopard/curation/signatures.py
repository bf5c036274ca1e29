"""Signatures for finding duplicates: 256-bit perceptual hashes of pages, MinHash of texts.

The perceptual hash is the sign of the 16x16 lowest DCT coefficients against their median (Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1, at 256
bits: 64 bits cannot tell text pages apart). MinHash follows Broder, "On the resemblance and
containment of documents", 1997. Knows nothing of samples.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
import PIL.Image

HASH_SIDE = 16
"""The hash has 16 x 16 = 256 bits."""
NEAR_BITS = 12
"""Pages whose hashes differ in at most this many bits are the same page."""
NUM_PERMUTATIONS = 128
BANDS = 16
"""128 values in 16 bands of 8: pairs that resemble by 0.8 meet in a band in 95 % of cases."""
SHINGLE = 5
"""Words per shingle."""

Signature = npt.NDArray[np.uint64]


@cache
def _dct(side: int) -> npt.NDArray[np.float64]:
    """The orthogonal DCT-II matrix, (frequency, position)."""
    k, n = np.arange(side)[:, None], np.arange(side)[None, :]
    matrix: npt.NDArray[np.float64] = np.sqrt(2 / side) * np.cos(
        np.pi * (2 * n + 1) * k / (2 * side)
    )
    matrix[0] /= np.sqrt(2)
    return matrix


def page_hash(image: PIL.Image.Image) -> int:
    """The 256-bit perceptual hash of a page."""
    side = HASH_SIDE * 4
    gray = image.convert("L").resize((side, side), PIL.Image.Resampling.LANCZOS)
    basis = _dct(side)
    low = (basis @ np.asarray(gray, dtype=np.float64) @ basis.T)[:HASH_SIDE, :HASH_SIDE]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes())


def distance(first: int, second: int) -> int:
    """Number of bits in which two hashes differ."""
    return (first ^ second).bit_count()


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"\w+", text.casefold())


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """All runs of `size` words; the whole text where it is shorter."""
    found = words(text)
    if len(found) <= size:
        return {" ".join(found)} if found else set()
    return {" ".join(found[i : i + size]) for i in range(len(found) - size + 1)}


@cache
def _permutations() -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(20240901)
    factors = rng.integers(1, 1 << 60, NUM_PERMUTATIONS).tolist()
    return factors, rng.integers(0, 1 << 60, NUM_PERMUTATIONS).tolist()


def minhash(items: Iterable[str]) -> Signature:
    """The MinHash signature of a set, 128 values; sets that resemble share many of them."""
    hashes = [int.from_bytes(hashlib.blake2b(i.encode(), digest_size=4).digest()) for i in items]
    if not hashes:
        return np.full(NUM_PERMUTATIONS, np.iinfo(np.uint64).max, dtype=np.uint64)
    factors, offsets = _permutations()
    # 32-bit hashes times odd 32-bit factors, upper half: a universal hash without big integers.
    values = np.array(hashes, dtype=np.uint64)[:, None]
    a = (np.array(factors, dtype=np.uint64) | np.uint64(1))[None, :]
    b = np.array(offsets, dtype=np.uint64)[None, :]
    mixed: Signature = ((values * a + b) >> np.uint64(32)).min(axis=0)
    return mixed


def resemblance(first: Signature, second: Signature) -> float:
    """Estimated Jaccard resemblance of two signed sets, 0 to 1."""
    return float((first == second).mean())


def bands(signature: Signature) -> list[bytes]:
    """Keys of the bands; sets that share a key are candidates."""
    rows = NUM_PERMUTATIONS // BANDS
    return [bytes([i]) + signature[i * rows : (i + 1) * rows].tobytes() for i in range(BANDS)]


def hash_bands(value: int, count: int = NEAR_BITS + 1) -> list[tuple[int, int]]:
    """Pieces of a page hash: hashes within `count - 1` bits share at least one piece."""
    size = -(-256 // count)
    return [(i, (value >> (i * size)) & ((1 << size) - 1)) for i in range(count)]
