"""Pages as scanners and cameras bring them: grey paper, blur, specks, two levels, JPEG.

Characters stay where they are, so that the boxes of the text layer hold. Knows nothing of models.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Levels = NDArray[np.float64]
"""Grey of each pixel, (height, width), 0 to 255."""

SCANNED = 0.35
"""Share of lessons that are scans."""
LEAST_LEVELS = 90
"""Paper and ink stay this far apart, of 255."""
BLUR = 1.0
"""Highest radius, in pixels."""
COARSEST = 0.6
"""Lowest resolution of a scan, as a share of that of the picture."""
GRAIN = 12.0
"""Highest standard deviation of grain, of 255."""
SPECKS = 0.004
"""Highest share of pixels that are specks."""
QUALITY = (25, 85)
"""JPEG qualities."""


def scanned(picture: Picture, rng: random.Random) -> Picture:
    """The picture of a page as a scan of it would be: some of the faults, each by chance.

    Args:
        picture: RGB.
        rng: Draws which faults, and how strong.

    Returns:
        RGB, of the same size.
    """
    from PIL import Image, ImageFilter

    page = picture.convert("L")
    if rng.random() < 0.5:
        page = _resampled(page, rng.uniform(COARSEST, 0.95))
    if rng.random() < 0.5:
        page = page.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, BLUR)))
    levels = np.asarray(page, dtype=np.float64)
    if rng.random() < 0.5:
        ink = rng.uniform(0, 255 - LEAST_LEVELS)
        paper = rng.uniform(ink + LEAST_LEVELS, 255)
        levels = ink + levels * ((paper - ink) / 255)
    noise = np.random.default_rng(rng.getrandbits(32))
    if rng.random() < 0.5:
        levels = levels + noise.normal(0, rng.uniform(2, GRAIN), levels.shape)
    if rng.random() < 0.4:
        levels = _two_levels(levels, rng.uniform(0.35, 0.65))
    if rng.random() < 0.5:
        levels = _specked(levels, rng.uniform(0, SPECKS), noise)
    page = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        page = _compressed(page, rng.randint(*QUALITY))
    return page.convert("RGB")


def _resampled(page: Picture, share: float) -> Picture:
    from PIL import Image

    low = (max(1, round(page.width * share)), max(1, round(page.height * share)))
    method = Image.Resampling.BICUBIC
    return page.resize(low, method).resize(page.size, method)


def _two_levels(levels: Levels, share: float) -> Levels:
    """Black and white: black is what is darker than a share of the way from ink to paper."""
    low, high = np.percentile(levels, (0.5, 90.0))
    black = levels < low + share * (high - low)
    return np.where(black, 0.0, 255.0)


def _specked(levels: Levels, share: float, noise: np.random.Generator) -> Levels:
    specks = noise.random(levels.shape) < share
    return np.where(specks, noise.choice([0.0, 255.0], levels.shape, p=[0.7, 0.3]), levels)


def _compressed(page: Picture, quality: int) -> Picture:
    from PIL import Image

    file = io.BytesIO()
    page.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("L")
