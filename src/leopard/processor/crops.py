"""Cuts images into crops: thumbnail and tiles, first as a plan of integers, then as pixels.

The plan can be drawn, counted and compared without touching a pixel. Uses Pillow and numpy; knows
nothing of prompts, token ids or torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from leopard.errors import BudgetError, GeometryError
from leopard.processor.allocation import DEFAULT_POLICY, allocate_tiles
from leopard.processor.grid import choose_grid
from leopard.processor.policies import Content
from leopard.schema.geometry import CropGeometry, Grid, ImageSize
from leopard.schema.pixels import to_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = [
    "CropPlan",
    "Normalisation",
    "TiledImage",
    "plan_crops",
    "rgb_crops",
    "stack_crops",
    "to_rgb",
]

DEFAULT_MAX_CROPS = 50
"""Most crops in a prompt (paper 3.2: M = 50)."""
_MAX_WORKERS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TiledImage:
    """How one image becomes crops."""

    size: ImageSize
    """Size of the image, in pixels."""
    allocated: int
    """Tiles that the policy granted; the grid may use fewer."""
    grid: Grid | None
    """Rows and columns of tiles; None means thumbnail only."""
    crop_size: int
    """Side of a crop, in pixels."""

    @property
    def rows_and_columns(self) -> tuple[int, int]:
        """Rows and columns of tiles; none of either where the thumbnail is all."""
        return (0, 0) if self.grid is None else (self.grid.rows, self.grid.cols)

    @property
    def num_tiles(self) -> int:
        """Tiles that are cut, thumbnail not counted."""
        return 0 if self.grid is None else self.grid.num_tiles

    @property
    def num_crops(self) -> int:
        """Crops of this image: the thumbnail and its tiles."""
        return 1 + self.num_tiles

    @property
    def canvas(self) -> ImageSize | None:
        """Size of the padded image that tiles are cut from, in pixels."""
        return None if self.grid is None else self.grid.canvas(self.crop_size)

    @property
    def resized(self) -> ImageSize | None:
        """Size of the image scaled into its canvas, in pixels (published `resize_and_pad_image`).

        One side fits exactly, the other is rounded up and never above the canvas.
        """
        if self.canvas is None:
            return None
        width, height = self.canvas.width, self.canvas.height
        scale_x, scale_y = width / self.size.width, height / self.size.height
        if scale_x < scale_y:
            return ImageSize(width, min(math.ceil(self.size.height * scale_x), height))
        return ImageSize(min(math.ceil(self.size.width * scale_y), width), height)

    @property
    def paste_at(self) -> tuple[int, int] | None:
        """Left and top of the scaled image on its canvas, in pixels; centred, rounded down."""
        canvas, resized = self.canvas, self.resized
        if canvas is None or resized is None:
            return None
        return (canvas.width - resized.width) // 2, (canvas.height - resized.height) // 2

    @property
    def tile_boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Left, top, right, bottom of each tile on the canvas, in pixels, row-major."""
        if self.grid is None:
            return ()
        side = self.crop_size
        return tuple(
            (col * side, row * side, (col + 1) * side, (row + 1) * side)
            for row in range(self.grid.rows)
            for col in range(self.grid.cols)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CropPlan:
    """How all images of one prompt become crops; made from sizes alone."""

    images: tuple[TiledImage, ...]
    """One entry per image, in prompt order."""
    max_crops: int
    """Most crops in the prompt, thumbnails and tiles."""
    policy: str
    """Allocation policy that shared the budget."""
    geometry: CropGeometry
    """How one crop becomes visual tokens."""

    @property
    def tile_budget(self) -> int:
        """Tiles that thumbnails leave."""
        return self.max_crops - len(self.images)

    @property
    def num_tiles(self) -> int:
        """Tiles of all images."""
        return sum(image.num_tiles for image in self.images)

    @property
    def num_crops(self) -> int:
        """Crops of all images: the inputs of the vision encoder."""
        return len(self.images) + self.num_tiles

    @property
    def crops_per_image(self) -> tuple[int, ...]:
        """Crops of each image, in prompt order."""
        return tuple(image.num_crops for image in self.images)

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of tiles of each image, in prompt order; 0 where it has none."""
        return tuple(image.rows_and_columns for image in self.images)

    @property
    def visual_tokens_per_image(self) -> tuple[int, ...]:
        """Visual tokens of each image, in prompt order."""
        per_crop = self.geometry.visual_tokens_per_crop
        return tuple(image.num_crops * per_crop for image in self.images)

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of all images: prompt positions that images take."""
        return self.num_crops * self.geometry.visual_tokens_per_crop


def plan_crops(
    sizes: Sequence[ImageSize],
    *,
    geometry: CropGeometry | None = None,
    max_crops: int = DEFAULT_MAX_CROPS,
    policy: str = DEFAULT_POLICY,
    content: Content | None = None,
    max_tiles_per_image: int | None = None,
) -> CropPlan:
    """Decide thumbnails and tiles of all images in a prompt (paper 3.2).

    Every image takes one crop for its thumbnail; the rest of `max_crops` is the tile budget.

    Args:
        sizes: Image sizes in pixels, in prompt order.
        geometry: How one crop becomes visual tokens; that of the paper by default.
        max_crops: Most crops in the prompt.
        policy: Allocation policy; see `allocate_tiles`.
        content: What the policy may look at besides sizes; see `allocate_tiles`.
        max_tiles_per_image: Most tiles of one image; no limit by default.

    Raises:
        BudgetError: If there are more images than crops, or `max_crops` is below 1.
        ConfigError: If the policy is unknown.
    """
    geometry = geometry or CropGeometry()
    if max_crops < 1:
        raise BudgetError(f"max_crops is {max_crops}; every image needs 1 crop, so it must be >= 1")
    if len(sizes) > max_crops:
        raise too_many_images(len(sizes), max_crops)
    tiles = allocate_tiles(
        sizes,
        budget=max_crops - len(sizes),
        crop_size=geometry.crop_size,
        policy=policy,
        content=content,
        max_per_image=max_tiles_per_image,
    )
    images = tuple(
        TiledImage(
            size=size,
            allocated=count,
            grid=choose_grid(size, max_tiles=count, crop_size=geometry.crop_size),
            crop_size=geometry.crop_size,
        )
        for size, count in zip(sizes, tiles, strict=True)
    )
    return CropPlan(images=images, max_crops=max_crops, policy=policy, geometry=geometry)


def too_many_images(num_images: int, max_crops: int) -> BudgetError:
    """The error for more images than crops, naming what a user can do."""
    return BudgetError(
        f"{num_images} images but max_crops is {max_crops}, and every image needs one crop; "
        "choose pages (--pages), raise max_crops (--max-crops), or set on_too_many_images "
        f"(--on-too-many) to 'first' (keep the first {max_crops}) or 'uniform' (keep {max_crops} "
        "spread evenly)"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalisation:
    """How bytes become model inputs: `(byte * scale - mean) / std` per channel."""

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted per channel, red, green, blue."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Divided by per channel."""
    scale: float = 1 / 255
    """Multiplied first."""

    def table(self) -> NDArray[np.float32]:
        """The result for every byte, float32, (channel, byte).

        The rounding is that of transformers' image processors: the product in double precision
        rounded once to single, the rest in single precision.
        """
        return _table(self)

    def apply(self, rgb: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Normalise one crop.

        Args:
            rgb: Bytes, (height, width, channel).
            out: Receives the values, (channel, height, width).
        """
        for channel, row in enumerate(self.table()):
            # Clipping never acts on bytes; it only spares numpy the bounds check.
            np.take(row, rgb[..., channel], out=out[channel], mode="clip")


@lru_cache(maxsize=64)
def _table(normalisation: Normalisation) -> NDArray[np.float32]:
    scaled = (np.arange(256) * normalisation.scale).astype(np.float32)
    mean = np.array(normalisation.mean, np.float32)[:, None]
    std = np.array(normalisation.std, np.float32)[:, None]
    table = (scaled - mean) / std
    table.setflags(write=False)
    return table


def stack_crops(
    images: Sequence[Image],
    plan: CropPlan,
    *,
    thumbnail_last: bool = False,
    normalisation: Normalisation | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Resize, pad, cut and normalise all images of a plan (published `resize_and_pad_image`).

    Images are worked on in parallel; the result does not depend on it.

    Args:
        images: Pillow images of any mode in the plan's order.
        plan: What to cut, made from the sizes of the upright images.
        thumbnail_last: Whether thumbnails follow their tiles instead of leading them.
        normalisation: How bytes become values.
        out: Receives the crops, of the shape below; a new array when None.

    Returns:
        (num_crops, 3, crop_size, crop_size), float32, in prompt order; tiles row-major.

    Raises:
        GeometryError: If the plan was made for other sizes.
    """
    normalisation = normalisation or Normalisation()
    upright = [_checked(image, tiled) for image, tiled in zip(images, plan.images, strict=True)]
    side = plan.geometry.crop_size
    if out is None:
        out = np.empty((plan.num_crops, 3, side, side), np.float32)
    jobs: list[_Job] = []
    start = 0
    for image, tiled in zip(upright, plan.images, strict=True):
        end = start + tiled.num_crops
        thumbnail, first = (end - 1, start) if thumbnail_last else (start, start + 1)
        jobs.append((_thumbnail, image, tiled, out[thumbnail : thumbnail + 1]))
        if tiled.grid is not None:
            jobs.append((_tiles, image, tiled, out[first : first + tiled.num_tiles]))
        start = end
    _run(jobs, normalisation)
    return out


def rgb_crops(
    image: Image, plan: TiledImage, *, thumbnail_last: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """Crops of one image as bytes, one after the other.

    Args:
        image: A Pillow image of any mode whose upright size is the plan's.
        plan: What to cut.
        thumbnail_last: Whether the thumbnail follows the tiles instead of leading them.

    Yields:
        (crop_size, crop_size, 3), uint8. Tiles are views of one canvas.

    Raises:
        GeometryError: If the plan was made for another size.
    """
    upright = _checked(image, plan)
    if not thumbnail_last:
        yield from _thumbnail(upright, plan)
    yield from _tiles(upright, plan)
    if thumbnail_last:
        yield from _thumbnail(upright, plan)


_Cut = Callable[["Image", TiledImage], Iterator["NDArray[np.uint8]"]]
_Job = tuple[_Cut, "Image", TiledImage, "NDArray[np.float32]"]


def _run(jobs: Sequence[_Job], normalisation: Normalisation) -> None:
    def fill(job: _Job) -> None:
        cut, image, plan, slots = job
        for slot, rgb in zip(slots, cut(image, plan), strict=True):
            normalisation.apply(rgb, slot)

    # Pillow resamples and numpy looks up outside the interpreter lock. Large jobs go first.
    jobs = sorted(jobs, key=lambda job: -len(job[3]))
    workers = min(os.cpu_count() or 1, len(jobs), _MAX_WORKERS)
    if workers <= 1:
        for job in jobs:
            fill(job)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(fill, jobs):
            pass


def _checked(image: Image, plan: TiledImage) -> Image:
    """The image upright and RGB; its size must be the plan's."""
    upright = to_rgb(image)
    if upright.size != (plan.size.width, plan.size.height):
        raise GeometryError(
            f"the plan is for an image of {plan.size} pixels but this one has "
            f"{upright.width}x{upright.height}; plan with the sizes of upright images"
        )
    return upright


def _thumbnail(image: Image, plan: TiledImage) -> Iterator[NDArray[np.uint8]]:
    """The whole image squeezed into one crop, its shape ignored (published)."""
    yield _resampled(image, ImageSize(plan.crop_size, plan.crop_size))


def _tiles(image: Image, plan: TiledImage) -> Iterator[NDArray[np.uint8]]:
    canvas, resized, paste_at = plan.canvas, plan.resized, plan.paste_at
    if canvas is None or resized is None or paste_at is None:
        return
    pixels = _resampled(image, resized)
    if resized != canvas:
        left, top = paste_at
        padded = np.zeros((canvas.height, canvas.width, 3), np.uint8)
        padded[top : top + resized.height, left : left + resized.width] = pixels
        pixels = padded
    for left, top, right, bottom in plan.tile_boxes:
        yield pixels[top:bottom, left:right]


def _resampled(image: Image, size: ImageSize) -> NDArray[np.uint8]:
    """Scaled by Pillow's fixed-point bicubic filter, (height, width, 3)."""
    scaled = image.resize((size.width, size.height), PIL.Image.Resampling.BICUBIC)
    return np.asarray(scaled)
