"""Reading lessons: the vision encoder learns which characters stand in each visual token.

Two heads supervise it: one, then thrown away, names the character at every 4x4 pixels of the
convolutional map; the encoder's own names those at the columns of every line. Knows nothing of
language models.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from leopard.inference.loading import has_fast_bfloat16
from leopard.model.reader import LeopardReader
from leopard.model.reader_config import LeopardReaderConfig
from leopard.processor.crops import TiledImage, plan_crops, stack_crops
from leopard.schema.geometry import CropGeometry, ImageSize
from leopard.training.nano.characters import (
    NUM_CLASSES,
    dense_map,
    image_columns,
)
from leopard.training.nano.lessons import Lesson
from leopard.training.nano.scans import SCANNED, scanned

GEOMETRY = CropGeometry(crop_size=364, patch_size=28, shuffle_factor=1)
"""Crops of the small model: its encoder folds 28x28 pixels, so nothing is left to shuffle."""
POLICY = "fill"
READING_DPI = 130.0
"""Pages are drawn at no higher resolution: print of 8 to 12 points has the size of lessons then."""
MAX_TILES = 12
"""Tiles of a page: three columns and four rows show text of 8 points as it is read best."""
EMPTY_PLACE_SHARE = 0.15
"""Share of empty places that the dense lesson asks about; it asks about all printed ones."""
EMPTY_LINE_SHARE = 0.1
"""Share of empty lines that are asked about."""
LEAST_PLACES = 150
"""Crops with fewer printed places teach too little."""
OTHER_CROP_SHARE = 0.12
MOST_OF_LESSON = 8
"""Crops of a lesson that are taken at most: its pages are all in one font."""
MISHEARD = 0.04
"""Share of the characters told of the column before that are other ones."""


@dataclass(frozen=True, slots=True)
class CropLesson:
    """One crop and what is printed on it."""

    pixels: NDArray[np.float32]
    """Normalised crop, (3, side, side)."""
    dense: NDArray[np.int16]
    """Class of each place, (side / 4, side / 4)."""
    columns: NDArray[np.int16]
    """Class at each column of each line, (rows, LINES_PER_CELL, side / 4)."""


def crop_lessons(lessons: Sequence[Lesson]) -> list[CropLesson]:
    """The crops of pages that have enough to read: tiles, or an image without tiles.

    Some of the others come along: nothing is to be read on thumbnails and margins. Some lessons
    are scans. Of a long one only some crops are taken.
    """
    rng = random.Random(sum(len(lesson.glyphs) for lesson in lessons))
    if rng.random() < SCANNED:
        lessons = [replace(lesson, image=scanned(lesson.image, rng)) for lesson in lessons]
    crops = [
        crop
        for lesson in lessons
        for crop in _all_crops(lesson)
        if np.count_nonzero(crop.dense) >= LEAST_PLACES or rng.random() < OTHER_CROP_SHARE
    ]
    return rng.sample(crops, min(MOST_OF_LESSON, len(crops)))


def _all_crops(lesson: Lesson) -> list[CropLesson]:
    size = ImageSize(lesson.image.width, lesson.image.height)
    plan = plan_crops([size], geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)
    tiled = plan.images[0]
    pixels = stack_crops([lesson.image], plan)
    rng = np.random.default_rng(len(lesson.glyphs))
    columns = image_columns(lesson.glyphs, tiled, rng)
    dense = _dense_crops(lesson, tiled)
    if tiled.grid is not None:
        dense = [np.zeros_like(dense[0]), *dense]
    return [CropLesson(*parts) for parts in zip(pixels, dense, columns, strict=True)]


def _dense_crops(lesson: Lesson, tiled: TiledImage) -> list[NDArray[np.int16]]:
    side = GEOMETRY.crop_size
    canvas, resized, paste = tiled.canvas, tiled.resized, tiled.paste_at
    if canvas is None or resized is None or paste is None:
        scale = (side / tiled.size.width, side / tiled.size.height)
        return [dense_map([g.scaled(scale, (0.0, 0.0)) for g in lesson.glyphs], side, side)]
    factor = resized.width / tiled.size.width
    moved = [glyph.scaled((factor, factor), paste) for glyph in lesson.glyphs]
    whole = dense_map(moved, canvas.width, canvas.height)
    return [
        whole[top // 4 : bottom // 4, left // 4 : right // 4]
        for left, top, right, bottom in tiled.tile_boxes
    ]


def prepare_crop_lessons() -> Callable[[list[Lesson]], list[CropLesson]]:
    """What a lesson worker runs for the reading stage."""
    torch.set_num_threads(1)
    return crop_lessons


class ReadingLessons(nn.Module):
    """The encoder, which spells, with one more head that teaches its convolutions."""

    def __init__(self, encoder: LeopardReader) -> None:
        super().__init__()
        config: LeopardReaderConfig = encoder.config
        assert encoder.spelling is not None
        self.encoder, self.spelling = encoder, [encoder.spelling]  # the encoder owns it
        encoder.spelling.codes.requires_grad_(False)
        self.place_head = nn.Linear(config.conv_channels, NUM_CLASSES)
        self.are_heads_alone = False
        """Whether the encoder rests, so that a new head does not disturb it."""

    def forward(self, batch: list[CropLesson]) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch of crops, and how much was read right.

        Returns:
            The loss and shares of right answers: `places` over printed places, `columns` over
            columns where a character is, `lines` over lines with every column right.
        """
        pixels = torch.from_numpy(np.stack([item.pixels for item in batch]))
        dense = torch.from_numpy(np.stack([item.dense for item in batch])).long()
        columns = torch.from_numpy(np.stack([item.columns for item in batch])).long()
        is_learning = torch.is_grad_enabled() and not self.are_heads_alone
        places_asked = (dense > 0) | (torch.rand(dense.shape) < EMPTY_PLACE_SHARE)
        is_filled = (columns > 0).any(-1)
        lines_asked = is_filled | (torch.rand(is_filled.shape) < EMPTY_LINE_SHARE)
        printed, truth = dense[places_asked], columns[lines_asked]
        transcriber = self.spelling[0].transcriber
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16())
        # Flash attention of a CPU goes back slowly in bfloat16: twice the time of plain matrices.
        with autocast, sdpa_kernel(SDPBackend.MATH):
            with torch.set_grad_enabled(is_learning):
                cells, conv_map = self.encoder.look(pixels)
            places = self.place_head(conv_map.permute(0, 2, 3, 1)[places_asked]).float()
            seen = transcriber.see(cells, conv_map)[lines_asked].float()
        guess = transcriber.weigh(seen, _misheard(truth))
        loss = nn.functional.cross_entropy(places, printed)
        loss = loss + nn.functional.cross_entropy(guess.transpose(1, 2), truth)
        with torch.no_grad():
            filled = truth > 0
            right = guess.argmax(-1) == truth
            scores = {
                "places": _share((places.argmax(1) == printed)[printed > 0]),
                "columns": _share(right[filled]),
                "lines": _share(right.all(-1)[filled.any(-1)]),
            }
        return loss, scores


def _misheard(told: Tensor) -> Tensor:
    """Some classes are others, as they are when they have been misread; none comes or goes."""
    others = torch.randint_like(told, 1, NUM_CLASSES)
    return torch.where((told > 0) & (torch.rand(told.shape) < MISHEARD), others, told)


def _share(flags: Tensor) -> float:
    return float(flags.float().mean()) if flags.numel() else 1.0
