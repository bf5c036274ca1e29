"""From patch features to visual tokens: pixel shuffle, then a two-layer projector.

Knows nothing of crops' places in a prompt.
"""

from __future__ import annotations

from math import isqrt

from torch import Tensor, nn
from transformers.activations import ACT2FN

from leopard.errors import GeometryError


def pixel_shuffle(features: Tensor, factor: int = 2) -> Tensor:
    """Merge squares of neighbouring patches into one longer vector (paper 3.2; space-to-depth).

    Output vector (row, col) holds the patches of its `factor` x `factor` square one after another,
    row by row: for factor 2 the upper left, upper right, lower left and lower right patch.

    Args:
        features: Patch features, (num_crops, side * side, dim), patches row-major.
        factor: Patches merged along each side; 1 changes nothing.

    Returns:
        (num_crops, (side / factor) ** 2, dim * factor ** 2), row-major.

    Raises:
        GeometryError: If the patches are not a square, or its side is not a multiple of `factor`.
    """
    crops, patches, dim = features.shape
    side = isqrt(patches)
    if side * side != patches:
        raise GeometryError(
            f"pixel shuffle got {patches} patches per crop, which is not a square; the vision "
            "encoder must return one feature per patch of a square crop and no class token"
        )
    if factor < 1 or side % factor:
        raise GeometryError(
            f"pixel shuffle got a side of {side} patches and factor {factor}; the side must be a "
            "multiple of the factor, which must be 1 or more"
        )
    cells = side // factor
    x = features.reshape(crops, cells, factor, cells, factor, dim)
    x = x.transpose(2, 3)  # (crops, cell row, cell col, dy, dx, dim)
    return x.reshape(crops, cells * cells, factor * factor * dim)


class Connector(nn.Module):
    """Pixel shuffle and a two-layer projector.

    Args:
        vision_dim: Length of a patch feature.
        text_dim: Length of a language model embedding.
        shuffle_factor: Patches merged along each side.
        hidden_act: Name of the activation between the layers; the published one is exact GELU.
        bias: Whether both layers have a bias.
    """

    def __init__(
        self,
        vision_dim: int,
        text_dim: int,
        *,
        shuffle_factor: int = 2,
        hidden_act: str = "gelu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.shuffle_factor = shuffle_factor
        self.linear_1 = nn.Linear(vision_dim * shuffle_factor**2, text_dim, bias=bias)
        self.act = ACT2FN[hidden_act]
        self.linear_2 = nn.Linear(text_dim, text_dim, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Patches (num_crops, num_patches, dim) to visual tokens (num_crops, tokens, dim)."""
        merged = pixel_shuffle(features, self.shuffle_factor)
        return self.linear_2(self.act(self.linear_1(merged)))  # type: ignore[no-any-return]
