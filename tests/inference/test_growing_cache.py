import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from leopard.inference.growing_cache import (
    ROOM,
    GrowingLayer,
    cache_of,
    keeps_all,
    new_cache,
)
from leopard.model.dummy import preset_config


def piece(length, seed):
    """Keys and values of some positions, (rows, heads, positions, dim)."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, length, 4, generator=random), torch.randn(
        2, 3, length, 4, generator=random
    )


def test_layer_holds_what_the_one_of_transformers_holds():
    mine, theirs = GrowingLayer(), DynamicLayer()
    for seed, length in enumerate([5, 1, 1, ROOM, 1, 2 * ROOM, 1]):
        ours, expected = mine.update(*piece(length, seed)), theirs.update(*piece(length, seed))
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))
        assert mine.get_seq_length() == theirs.get_seq_length()


def test_new_position_is_written_without_a_copy():
    layer = GrowingLayer()
    keys, _ = layer.update(*piece(5, 0))
    grown, _ = layer.update(*piece(1, 1))
    assert grown.data_ptr() == keys.data_ptr()


def test_forks_do_not_see_each_other():
    base = GrowingLayer()
    first, _ = base.update(*piece(4, 0))
    start = first.clone()
    one, two = base.fork(), base.fork()
    ones, _ = one.update(*piece(2, 1))
    twos, _ = two.update(*piece(2, 2))
    assert torch.equal(ones[:, :, 4:], piece(2, 1)[0])
    assert torch.equal(twos[:, :, 4:], piece(2, 2)[0])
    assert torch.equal(base.keys, start)
    bases, _ = base.update(*piece(3, 3))
    assert torch.equal(bases[:, :, 4:], piece(3, 3)[0])
    assert torch.equal(one.keys[:, :, 4:], piece(2, 1)[0])


def test_buffer_goes_to_the_next_fork_when_the_writer_is_gone():
    base = GrowingLayer()
    keys, _ = base.update(*piece(4, 0))
    kept = base.fork()
    address = keys.data_ptr()
    del base
    reader = kept.fork()
    grown, _ = reader.update(*piece(1, 1))
    assert grown.data_ptr() == address
    other, _ = kept.fork().update(*piece(1, 2))
    assert other.data_ptr() != address


def test_held_tensors_stay_as_given():
    keys, values = piece(3, 0)
    before = keys.clone()
    layer = GrowingLayer.holding(keys, values)
    layer.update(*piece(1, 1))
    assert torch.equal(keys, before)


def test_reset_layer_begins_again():
    layer = GrowingLayer()
    layer.update(*piece(3, 0))
    layer.reset()
    assert layer.get_seq_length() == 0
    keys, _ = layer.update(*piece(2, 1))
    assert torch.equal(keys, piece(2, 1)[0])


def test_windowed_layers_stay_those_of_transformers():
    full, windowed = new_cache(preset_config("tiny")), new_cache(preset_config("leopard-idefics2"))
    assert all(type(layer) is GrowingLayer for layer in full.layers)
    assert keeps_all(full)
    assert not keeps_all(windowed)
    assert keeps_all(DynamicCache())
    assert keeps_all(cache_of([GrowingLayer()]))


def test_extended_layer_leaves_room_that_the_caller_writes():
    layer = GrowingLayer()
    like = torch.empty(2, 3, 0, 4)
    buffer = layer.extend(5, like, like, reserve=700)
    keys, values = piece(5, 0)
    buffer.keys[:, :, :5], buffer.values[:, :, :5] = keys, values
    assert torch.equal(layer.keys, keys)
    assert buffer.keys.shape == (2, 3, 700 + ROOM, 4)
    assert layer.extend(690, like, like) is buffer
    assert layer.get_seq_length() == 695
    assert torch.equal(layer.keys[:, :, :5], keys)
    longer = layer.extend(ROOM + 6, like, like)
    assert longer is not buffer
    assert torch.equal(longer.values[:, :, :5], values)


def test_room_of_another_shape_is_not_used():
    layer, wrong = GrowingLayer(), torch.empty(1, 5, 0, 4)
    layer.extend(0, wrong, wrong, reserve=1000)
    keys, values = piece(6, seed=1)
    found = layer.update(keys, values)
    torch.testing.assert_close(found[0], keys)
    torch.testing.assert_close(found[1], values)
    assert layer.num_bytes == 2 * keys[:, :, :1].numel() * (6 + ROOM) * 4
