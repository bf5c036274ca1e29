"""Weights in 8 or 4 bits, in blocks that share a scale, as ONNX Runtime's MatMulNBits reads them.

Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCKS = {8: (64, 32), 4: (32,)}
"""Inputs of a row of weights that may share a scale, by bits, the quickest first. In 4 bits larger
blocks would cost too much of what the weights say."""
STEP = 32
"""What all numbers of inputs must be multiples of."""
BITS = {"int8": 8, "int4": 4}
"""Bits of a weight, by the name of the form."""


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """A matrix in few bits."""

    bits: int
    codes: NDArray[np.uint8]
    """Two 4-bit weights or one 8-bit weight a byte, (outputs, blocks, bytes of a block)."""
    scales: NDArray[np.float32]
    """(outputs, blocks)."""
    block: int
    """Inputs that share a scale."""
    zeros: NDArray[np.uint8] | None
    """Codes of zero, packed, (outputs, bytes of a row of blocks); None is the middle code."""

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        zeros = 0 if self.zeros is None else self.zeros.nbytes
        return self.codes.nbytes + self.scales.nbytes + zeros


def pack_blocks(weight: Tensor, bits: int) -> BlockWeights:
    """Round a matrix.

    8 bits are symmetric around zero. In 4 bits each block has a zero point of its own, so that all
    16 codes are used.

    Args:
        weight: (outputs, inputs); inputs are a multiple of `STEP`.
        bits: 8 or 4.
    """
    outputs, inputs = weight.shape
    assert inputs % STEP == 0, f"{inputs} inputs are not in blocks of {STEP}"
    block = next(size for size in BLOCKS[bits] if inputs % size == 0)
    blocks = weight.detach().to("cpu", torch.float32).reshape(outputs, inputs // block, block)
    if bits == 8:
        scales = _not_zero(blocks.abs().amax(-1) / 127)
        codes = blocks.div(scales[..., None]).round_().add_(128)
        return BlockWeights(8, codes.to(torch.uint8).numpy(), scales.numpy(), block, None)
    # Zero must be a code, so that zero weights stay zero.
    lowest = blocks.amin(-1).clamp_(max=0)
    scales = _not_zero((blocks.amax(-1).clamp_(min=0) - lowest) / 15)
    zeros = (-lowest / scales).round_()
    codes = blocks.div(scales[..., None]).round_().add_(zeros[..., None]).clamp_(0, 15)
    return BlockWeights(4, _nibbles(codes), scales.numpy(), block, _nibbles(zeros))


def unpack_blocks(packed: BlockWeights) -> Tensor:
    """What the rounded weights stand for, (outputs, inputs)."""
    codes = torch.from_numpy(packed.codes)
    zeros = torch.tensor(128.0)
    if packed.bits == 4:
        codes = _from_nibbles(codes)
        assert packed.zeros is not None
        zeros = _from_nibbles(torch.from_numpy(packed.zeros))[:, : codes.shape[1], None].float()
    return ((codes.float() - zeros) * torch.from_numpy(packed.scales)[..., None]).flatten(1)


def _not_zero(scales: Tensor) -> Tensor:
    return torch.where(scales > 0, scales, 1.0)


def _nibbles(codes: Tensor) -> NDArray[np.uint8]:
    """Two codes a byte along the last axis, the first in the low bits; an odd end is padded."""
    codes = torch.nn.functional.pad(codes, (0, codes.shape[-1] % 2)).to(torch.uint8)
    packed: NDArray[np.uint8] = (codes[..., 0::2] | (codes[..., 1::2] << 4)).numpy()
    return packed


def _from_nibbles(packed: Tensor) -> Tensor:
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)
