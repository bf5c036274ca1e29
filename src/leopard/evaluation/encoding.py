"""How a processor would turn the images of a sample into crops, and how large it wants pages.

Knows nothing of pixels or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leopard.documents.loader import drawn_sizes
from leopard.documents.options import LoadOptions
from leopard.documents.resolution import DrawnSize, PageExtent
from leopard.errors import BudgetError
from leopard.processor.crops import plan_crops
from leopard.schema.geometry import CropGeometry, ImageSize


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How a Leopard processor turns images into crops, to be recorded with each sample."""

    geometry: CropGeometry
    max_crops: int
    policy: str
    max_tiles_per_image: int | None = None
    reading_dpi: float | None = None
    layout: str = "published-inference"
    on_too_many_images: str = "error"

    def drawn_sizes(self, extents: Sequence[PageExtent]) -> list[DrawnSize]:
        """Pixels at which the pages of a sample are drawn, as `Leopard.ask` draws them."""
        options = LoadOptions(
            crop_size=self.geometry.crop_size,
            max_crops=self.max_crops,
            max_tiles_per_page=self.max_tiles_per_image,
            reading_dpi=self.reading_dpi,
        )
        return drawn_sizes(extents, options)

    def describe(self, sizes: Sequence[ImageSize]) -> tuple[list[dict[str, Any]], int]:
        """Grid, tiles and visual tokens of each image, and how many images are left out."""
        dropped = max(0, len(sizes) - self.max_crops)
        if not sizes or dropped:
            return [{} for _ in sizes], dropped
        try:
            plan = plan_crops(
                sizes,
                geometry=self.geometry,
                max_crops=self.max_crops,
                policy=self.policy,
                max_tiles_per_image=self.max_tiles_per_image,
            )
        except BudgetError:
            return [{} for _ in sizes], dropped
        per_crop = self.geometry.visual_tokens_per_crop
        rows = []
        for image in plan.images:
            tiles = image.grid.num_tiles if image.grid else 0
            grid = str(image.grid) if image.grid else None
            rows.append({"grid": grid, "tiles": tiles, "visual_tokens": (1 + tiles) * per_crop})
        return rows, dropped
