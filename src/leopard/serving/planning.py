"""What the model will be shown of each page: tiles, visual tokens, shares.

Knows plans; what makes them is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leopard.processor.crops import CropPlan, TiledImage
from leopard.schema.geometry import ImageSize
from leopard.schema.pages import Page
from leopard.serving.schemas import PagesView, PageView, TileBox


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """How the pages of one prompt become crops."""

    crops: CropPlan | None
    """None for a model that shows whole images."""
    kept: Sequence[int]
    """Indices of the pages that are shown, in order."""
    tokens_per_page: int = 0
    """Visual tokens of a page that is shown whole."""


Planner = Callable[[Sequence[ImageSize]], PromptPlan]
"""Plans a prompt from page sizes; raises `BudgetError` if there are too many."""


def view_pages(pages: Sequence[Page], plan: PromptPlan) -> PagesView:
    """The plan in numbers, page by page."""
    crops, shown = plan.crops, set(plan.kept)
    tiled = dict(zip(plan.kept, crops.images, strict=True)) if crops else {}
    per_crop = crops.geometry.visual_tokens_per_crop if crops else plan.tokens_per_page
    num_crops = [
        tiled[index].num_crops if index in tiled else int(index in shown)
        for index in range(len(pages))
    ]
    views = []
    for index, (page, count) in enumerate(zip(pages, num_crops, strict=True)):
        image = tiled.get(index)
        grid = image.grid if image else None
        views.append(
            PageView(
                label=page.label,
                source=page.source,
                number=page.number,
                width=page.size.width,
                height=page.size.height,
                rows=grid.rows if grid else 0,
                cols=grid.cols if grid else 0,
                tiles=tile_boxes(image) if image else [],
                crops=count,
                visual_tokens=count * per_crop,
                share=count / max(sum(num_crops), 1),
            )
        )
    return PagesView(
        pages=views,
        crops=sum(num_crops),
        max_crops=crops.max_crops if crops else 0,
        visual_tokens=sum(num_crops) * per_crop,
        policy=crops.policy if crops else "none",
    )


def tile_boxes(image: TiledImage) -> list[TileBox]:
    """Tiles on the page itself: without the padding of the canvas, as fractions of the page."""
    resized, paste_at = image.resized, image.paste_at
    if resized is None or paste_at is None:
        return []
    boxes = []
    for left, top, right, bottom in image.tile_boxes:
        boxes.append(
            TileBox(
                left=_fraction(left - paste_at[0], resized.width),
                top=_fraction(top - paste_at[1], resized.height),
                right=_fraction(right - paste_at[0], resized.width),
                bottom=_fraction(bottom - paste_at[1], resized.height),
            )
        )
    return boxes


def _fraction(position: int, length: int) -> float:
    return min(max(position / length, 0.0), 1.0)
