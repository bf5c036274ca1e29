import numpy as np
import pytest
import torch

from leopard.inference.onnx.blocks import BITS, STEP, pack_blocks, unpack_blocks


def weight(outputs=5, inputs=3 * STEP, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(outputs, inputs, generator=random) * torch.logspace(-3, 3, outputs)[:, None]


@pytest.mark.parametrize("bits", BITS.values())
def test_every_weight_is_within_half_a_step_of_its_block(bits):
    given = weight()
    packed = pack_blocks(given, bits)
    steps = torch.from_numpy(packed.scales).repeat_interleave(packed.block, dim=1)
    # In 4 bits the zero point is rounded, too.
    most = steps * (0.51 if bits == 8 else 1.01)
    assert ((unpack_blocks(packed) - given).abs() <= most).all()
    assert packed.codes.shape == (5, 3, STEP * bits // 8)
    assert packed.codes.dtype == np.uint8


@pytest.mark.parametrize("bits", BITS.values())
def test_what_codes_stand_for_is_kept_exactly(bits):
    once = unpack_blocks(pack_blocks(weight(), bits))
    assert torch.allclose(unpack_blocks(pack_blocks(once, bits)), once, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bits", BITS.values())
def test_zeros_stay_zero(bits):
    given = weight()
    given[:, ::3] = 0
    given[2] = 0
    assert (unpack_blocks(pack_blocks(given, bits))[given == 0] == 0).all()


def test_one_sided_blocks_use_all_codes_of_four_bits():
    packed = pack_blocks(weight().abs(), 4)
    assert (packed.codes & 15).max() == 15
    assert (packed.codes & 15).min() == 0


def test_bytes_are_those_of_all_parts():
    eight, four = (pack_blocks(weight(4, 8 * STEP), bits) for bits in (8, 4))
    assert eight.num_bytes == 4 * 4 * (64 + 4)
    assert four.num_bytes == 4 * 8 * (STEP // 2 + 4) + 4 * 4


@pytest.mark.parametrize(("inputs", "blocks"), [(96, 3), (576, 9), (1536, 24)])
def test_blocks_of_eight_bits_are_as_large_as_the_inputs_allow(inputs, blocks):
    packed = pack_blocks(weight(2, inputs), 8)
    assert packed.scales.shape == (2, blocks)
    assert packed.block * blocks == inputs
    assert pack_blocks(weight(2, inputs), 4).block == STEP


def test_broken_blocks_are_a_mistake():
    with pytest.raises(AssertionError, match="33"):
        pack_blocks(torch.zeros(2, 33), 8)
