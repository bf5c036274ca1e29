"""Sizes, grids and the arithmetic of one crop, shared by processor and model.

Pure integers. Knows nothing of pixels, tokens' values or torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from leopard.errors import GeometryError


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Width and height of an image, in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise GeometryError(
                f"image size {self.width}x{self.height} is not a picture: "
                "width and height must be at least 1 pixel; check how the image was read"
            )

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Grid:
    """How an image is cut into tiles: rows by columns, row-major."""

    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise GeometryError(
                f"grid {self.rows}x{self.cols} has no tile: rows and columns must be at least 1"
            )

    @property
    def num_tiles(self) -> int:
        """Number of tiles, rows times columns."""
        return self.rows * self.cols

    def canvas(self, crop_size: int) -> ImageSize:
        """Size of the padded image that the tiles are cut from, in pixels."""
        return ImageSize(self.cols * crop_size, self.rows * crop_size)

    def __str__(self) -> str:
        return f"{self.rows}x{self.cols}"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels or points, origin top left, right and bottom edge exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        """Centre point as (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CropGeometry:
    """How one crop becomes visual tokens (paper 3.2: 364 px, 26x26 patches, 2x2 shuffle, 169)."""

    crop_size: int = 364
    """Side of a crop, in pixels."""
    patch_size: int = 14
    """Side of a vision-encoder patch, in pixels. Must divide `crop_size`."""
    shuffle_factor: int = 2
    """Pixel shuffle merges `shuffle_factor` x `shuffle_factor` patches into one visual token."""

    def __post_init__(self) -> None:
        values = (self.crop_size, self.patch_size, self.shuffle_factor)
        if min(values) < 1:
            raise GeometryError(
                f"crop_size, patch_size, shuffle_factor = {values}: all must be at least 1"
            )
        if self.crop_size % (self.patch_size * self.shuffle_factor):
            raise GeometryError(
                f"crop_size {self.crop_size} is not a multiple of patch_size x shuffle_factor = "
                f"{self.patch_size} x {self.shuffle_factor}; visual tokens would cut patches"
            )

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop; 26 for the defaults."""
        return self.crop_size // self.patch_size

    @property
    def patches_per_crop(self) -> int:
        """Patches of one crop; 676 for the defaults."""
        return self.patches_per_side**2

    @property
    def visual_tokens_per_side(self) -> int:
        """Visual tokens along one side of a crop; 13 for the defaults."""
        return self.patches_per_side // self.shuffle_factor

    @property
    def visual_tokens_per_crop(self) -> int:
        """Visual tokens of one crop; 169 for the defaults."""
        return self.visual_tokens_per_side**2
