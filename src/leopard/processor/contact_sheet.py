"""Draws a crop plan for people: every page with its thumbnail and tiles, and the budget as a bar.

Uses Pillow only. Knows nothing of files or prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from leopard.processor.crops import CropPlan, TiledImage, rgb_crops
from leopard.schema.geometry import ImageSize

_PAPER = "#f5f6f8"
_CARD = "#ffffff"
_EDGE = "#d9dde3"
_INK = "#1c2430"
_SOFT = "#66707f"
_FREE = "#e3e6eb"
_COLOURS = (
    "#2f6fdb",
    "#e0783b",
    "#2a9d78",
    "#b0489e",
    "#c9a227",
    "#5a55c8",
    "#d1495b",
    "#4b94b8",
)
_MARGIN = 32
_GAP = 20
_PAD = 16
_BAR = 22
_TEXT = 20
_FEW_PAGES = 6
_TILE_GAP = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    """Sizes that depend on how much there is to show, in pixels."""

    mosaic: int
    thumbnail: int

    @property
    def card_width(self) -> int:
        return max(2 * _PAD + self.thumbnail + (_PAD + self.mosaic if self.mosaic else 0), 230)

    def card_height(self, tiled: TiledImage) -> int:
        """Height that one image needs; the cards of a row share the largest."""
        rows = 0 if tiled.grid is None else tiled.grid.rows
        tiles = rows * (self.tile_side(tiled) + _TILE_GAP)
        return 2 * _PAD + 2 * _TEXT + 8 + max(tiles, self.thumbnail + _TEXT)

    def tile_side(self, tiled: TiledImage) -> int:
        """Side of a drawn tile, such that all fit into the mosaic's square."""
        if tiled.grid is None:
            return 0
        across = max(tiled.grid.rows, tiled.grid.cols)
        return max(min((self.mosaic + _TILE_GAP) // across - _TILE_GAP, tiled.crop_size), 3)


def draw_contact_sheet(
    plan: CropPlan,
    images: Sequence[PIL.Image.Image] | None = None,
    labels: Sequence[str] | None = None,
) -> PIL.Image.Image:
    """Draw what the vision encoder gets from each page, and what the budget went to.

    Tiles are drawn apart, with their padding; thumbnails as squeezed as the encoder sees them.

    Args:
        plan: The plan to draw.
        images: The pages, in the plan's order; blank sheets of the right size when None.
        labels: Name of each page; numbers when None.

    Returns:
        An RGB image.

    Raises:
        GeometryError: If the images are not those of the plan.
    """
    count = len(plan.images)
    pages = images or [_blank(image.size) for image in plan.images]
    names = labels or [f"image {index + 1}" for index in range(count)]
    style = _style(plan)
    columns = _columns(plan, style)
    heights = [
        max(style.card_height(image) for image in plan.images[start : start + columns])
        for start in range(0, count, columns)
    ]
    top = _MARGIN + 2 * _TEXT + _BAR + 2 * _GAP
    width = max(2 * _MARGIN + columns * (style.card_width + _GAP) - _GAP, 620)
    sheet = PIL.Image.new("RGB", (width, top + sum(heights) + _GAP * len(heights) + 12), _PAPER)
    _draw_head(sheet, plan)
    for index, (image, tiled, name) in enumerate(zip(pages, plan.images, names, strict=True)):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (style.card_width + _GAP)
        card = PIL.Image.new("RGB", (style.card_width, heights[row]), _CARD)
        _draw_card(card, image, tiled, (name, _shares(tiled, plan)), style, index)
        sheet.paste(card, (left, top + sum(heights[:row]) + _GAP * row))
    return sheet


def _style(plan: CropPlan) -> _Style:
    is_small = len(plan.images) > _FEW_PAGES
    if plan.num_tiles == 0:
        return _Style(mosaic=0, thumbnail=130 if is_small else 180)
    return _Style(mosaic=220, thumbnail=84) if is_small else _Style(mosaic=380, thumbnail=120)


def _columns(plan: CropPlan, style: _Style) -> int:
    """Columns that bring the sheet near the shape of a screen."""
    count = len(plan.images)
    height = max((style.card_height(image) for image in plan.images), default=1)
    wanted = math.sqrt(count * height * 1.5 / style.card_width)
    return max(1, min(count, round(wanted)))


def _font(size: int) -> PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont:
    return PIL.ImageFont.load_default(size)


def _draw_head(sheet: PIL.Image.Image, plan: CropPlan) -> None:
    """Totals, and a bar with one share per page; thumbnails are the darker start of each."""
    draw = PIL.ImageDraw.Draw(sheet)
    images = f"{len(plan.images)} image{'s' * (len(plan.images) != 1)}"
    unused = plan.max_crops - plan.num_crops
    draw.text((_MARGIN, _MARGIN - 8), f"{images}, policy {plan.policy}", _INK, _font(20))
    totals = (
        f"{plan.num_crops} of {plan.max_crops} crops ({plan.num_tiles} tiles), "
        f"{plan.visual_tokens} visual tokens, {unused} crops unused"
    )
    draw.text((_MARGIN, _MARGIN + _TEXT), totals, _SOFT, _font(15))
    top = _MARGIN + 2 * _TEXT + _GAP // 2
    width = sheet.width - 2 * _MARGIN
    draw.rounded_rectangle((_MARGIN, top, _MARGIN + width, top + _BAR), 4, fill=_FREE)
    at = 0
    for index, image in enumerate(plan.images):
        left, start = _MARGIN + width * at / plan.max_crops, at
        at += image.num_crops
        right = _MARGIN + width * at / plan.max_crops
        colour = _COLOURS[index % len(_COLOURS)]
        draw.rectangle((left, top, right - 2, top + _BAR), fill=colour)
        # One notch per crop, so that tiles can be counted.
        for crop in range(start + 1, at):
            notch = _MARGIN + width * crop / plan.max_crops
            draw.line((notch, top + _BAR - 6, notch, top + _BAR), fill=_CARD)


def _draw_card(
    card: PIL.Image.Image,
    image: PIL.Image.Image,
    tiled: TiledImage,
    texts: tuple[str, str],
    style: _Style,
    index: int,
) -> None:
    draw = PIL.ImageDraw.Draw(card)
    draw.rectangle((0, 0, card.width - 1, card.height - 1), outline=_EDGE)
    colour = _COLOURS[index % len(_COLOURS)]
    draw.rectangle((0, 0, 5, card.height - 1), fill=colour)
    name = _shortened(texts[0], _font(15), card.width - 2 * _PAD)
    draw.text((_PAD, _PAD - 4), name, _INK, _font(15))
    draw.text((_PAD, _PAD + _TEXT - 4), texts[1], _SOFT, _font(13))
    top, edge = _PAD + 2 * _TEXT + 8, style.thumbnail
    thumbnail, *tiles = (PIL.Image.fromarray(crop) for crop in rgb_crops(image, tiled))
    small = thumbnail.resize((edge, edge), PIL.Image.Resampling.LANCZOS)
    card.paste(small, (_PAD, top))
    draw.rectangle((_PAD - 1, top - 1, _PAD + edge, top + edge), outline=colour, width=2)
    draw.text((_PAD, top + edge + 4), "thumbnail", _SOFT, _font(12))
    side = style.tile_side(tiled)
    for number, tile in enumerate(tiles):
        assert tiled.grid is not None
        row, column = divmod(number, tiled.grid.cols)
        x = 2 * _PAD + edge + column * (side + _TILE_GAP)
        y = top + row * (side + _TILE_GAP)
        card.paste(tile.resize((side, side), PIL.Image.Resampling.LANCZOS), (x, y))
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline=colour)


def _shares(tiled: TiledImage, plan: CropPlan) -> str:
    grid = "no tiles" if tiled.grid is None else f"{tiled.grid} = {tiled.num_tiles} tiles"
    tokens = tiled.num_crops * plan.geometry.visual_tokens_per_crop
    return f"{tiled.size}, {grid}, {tokens} tokens, {tiled.num_crops / plan.max_crops:.0%}"


def _shortened(
    text: str, font: PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont, room: int
) -> str:
    """Text cut at its start, where paths differ least, until it fits."""
    if font.getlength(text) <= room:
        return text
    while len(text) > 1 and font.getlength("..." + text) > room:
        text = text[1:]
    return "..." + text


def _blank(size: ImageSize) -> PIL.Image.Image:
    """A sheet with lines as long as text, for pages of which only the size is known."""
    sheet = PIL.Image.new("RGB", (size.width, size.height), "#eef1f5")
    draw = PIL.ImageDraw.Draw(sheet)
    step = max(size.height // 24, 4)
    for number, top in enumerate(range(step, size.height - step // 2, step)):
        right = size.width * (0.9 if number % 5 else 0.55)
        draw.rectangle((size.width * 0.1, top, right, top + step // 4), fill="#c3cad4")
    return sheet
