"""How documents are read: one frozen record of options."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from leopard.documents.limits import Limits
from leopard.documents.page_range import PageRange
from leopard.documents.resolution import MIN_DPI
from leopard.errors import ConfigError
from leopard.schema.geometry import CropGeometry

MOST_DPI = 2400
"""Highest resolution that may be asked for, in pixels per inch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebOptions:
    """How web pages are read. HTML files never reach the network, whatever is set here."""

    scripts_in_files: bool = False
    """Whether scripts of HTML files run."""
    scripts_in_urls: bool = True
    """Whether scripts of web addresses run; many pages are empty without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """How sources become pages."""

    pages: str = ""
    """Pages wanted of each document, such as `1-3,7` or `5-`; empty means all."""
    password: str | None = field(default=None, repr=False)
    """Password for encrypted PDF files."""
    target_dpi: float | None = None
    """Resolution at which documents are drawn, in pixels per inch. None picks the one that fills
    the page's share of `max_crops`, and no more."""
    reading_dpi: float | None = None
    """For models that read best at one size of print: where the resolution is not given, pages are
    not drawn at a higher one than this, and get white margins, right and below, up to whole crops,
    so that cutting them scales nothing."""
    max_side_px: int | None = None
    """Longest side of any page, in pixels; larger pages are drawn or scaled smaller."""
    animation_frames: Literal["first", "all"] = "first"
    """Frames read of animated GIF, WebP and PNG files. TIFF files always give all their pages."""
    max_crops: int = 50
    """Crops that the encoder takes for the whole request, thumbnails included."""
    max_tiles_per_page: int | None = None
    """Tiles that the encoder takes of one page; no limit by default."""
    crop_size: int = CropGeometry().crop_size
    """Side of one crop, in pixels."""
    limits: Limits = field(default_factory=Limits)
    """What one request may cost."""
    web: WebOptions = field(default_factory=WebOptions)
    """How web pages are read."""

    def __post_init__(self) -> None:
        if self.pages:
            PageRange.parse(self.pages)
        dpi = self.target_dpi
        if dpi is not None and not (math.isfinite(dpi) and 1 <= dpi <= MOST_DPI):
            raise ConfigError(f"target_dpi is {dpi}; it must be from 1 to {MOST_DPI}")
        reading = self.reading_dpi
        if reading is not None and not MIN_DPI <= reading <= MOST_DPI:
            raise ConfigError(
                f"reading_dpi is {reading}; it must be from {MIN_DPI:g} to {MOST_DPI}"
            )
        if self.max_side_px is not None and self.max_side_px < 1:
            raise ConfigError(f"max_side_px is {self.max_side_px}; it must be at least 1")
        if self.animation_frames not in ("first", "all"):
            raise ConfigError(
                f"animation_frames is {self.animation_frames!r}; use 'first' or 'all'"
            )
        if self.max_crops < 1 or self.crop_size < 1:
            raise ConfigError(
                f"max_crops {self.max_crops} and crop_size {self.crop_size} must be at least 1"
            )

    def select_pages(self, num_pages: int) -> tuple[int, ...]:
        """Page numbers wanted of a document of `num_pages`, in the order wanted."""
        if not self.pages:
            return tuple(range(1, num_pages + 1))
        return PageRange.parse(self.pages).select(num_pages)

    def num_absent_pages(self, num_pages: int) -> int:
        """How many pages are asked for that a document of `num_pages` does not have."""
        return PageRange.parse(self.pages).num_absent(num_pages) if self.pages else 0
