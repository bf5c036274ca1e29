import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import ConfigError
from leopard.inference.growing_cache import ROOM, GrowingLayer, cache_of
from leopard.inference.prefix_cache import PrefixCache, prefix_key, prefix_length
from leopard.inference.vision_cache import (
    BoundedCache,
    VisionCache,
    VisualTokens,
    WeightsFingerprint,
    crop_key,
)


def entry(count):
    return VisualTokens(torch.zeros(count))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=40))
def test_cache_never_holds_more_than_its_bytes(steps):
    cache: BoundedCache[VisualTokens] = BoundedCache(40)
    for key, count in steps:
        cache.put(str(key), entry(count))
        held = sum(item.num_bytes for item in cache._entries.values())
        assert cache.num_bytes == held <= 40


def test_entry_used_longest_ago_goes_first():
    cache = VisionCache(max_bytes=8)
    cache.put("a", entry(1))
    cache.put("b", entry(1))
    assert cache.get("a") is not None
    cache.put("c", entry(1))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert (cache.stats.evictions, cache.stats.misses, cache.stats.hits) == (1, 1, 2)


def test_entry_larger_than_the_cache_is_not_kept():
    cache = VisionCache(max_bytes=8)
    cache.put("a", entry(1))
    cache.put("big", entry(3))
    assert len(cache) == 1
    assert cache.stats.refused == 1


def test_negative_size_is_refused():
    with pytest.raises(ConfigError, match="-1"):
        VisionCache(-1)


def test_cleared_cache_is_empty():
    cache = VisionCache(100)
    cache.put("a", entry(2))
    cache.clear()
    assert (len(cache), cache.num_bytes) == (0, 0)


def test_crop_names_follow_pixels_and_scope():
    crop = np.zeros((3, 4, 4), np.float32)
    other = crop.copy()
    other[2, 3, 3] = 1e-6
    names = {crop_key(crop, "x"), crop_key(other, "x"), crop_key(crop, "y")}
    assert len(names) == 3
    assert crop_key(crop.copy(), "x") in names


def test_fingerprint_follows_changes_in_place():
    module = torch.nn.Linear(2, 2)
    fingerprint = WeightsFingerprint(module)
    before = fingerprint()
    assert fingerprint() == before
    with torch.no_grad():
        module.weight.add_(1)
    assert fingerprint() != before


def test_prefix_ends_with_the_last_placeholder():
    assert prefix_length([1, 9, 9, 2, 9, 3, 4], 9) == 5
    assert prefix_length([1, 2], 9) == 0


def test_prefix_names_follow_tokens_crops_and_scope():
    keys = {
        prefix_key([1, 2], ["a"], "s"),
        prefix_key([1, 3], ["a"], "s"),
        prefix_key([1, 2], ["b"], "s"),
        prefix_key([1, 2], ["a"], "t"),
    }
    assert len(keys) == 4


def test_restored_prefix_is_not_changed_by_growing_it():
    cache = cache_of([GrowingLayer()])
    cache.update(torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2), 0)
    kept = PrefixCache(10_000)
    kept.store("k", cache)
    found = kept.get("k")
    assert found is not None
    grown = found.restore()
    grown.update(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 0)
    assert grown.get_seq_length() == 5
    again = found.restore()
    assert again.get_seq_length() == 3
    assert bool((again.layers[0].keys == 1).all())
    assert found.num_bytes == 2 * (3 + ROOM) * 2 * 4
