"""What lessons in language see of a page: true slots, as if every character were read right.

They need no picture and no encoder, so language can be learned beside reading.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from leopard.processor.crops import CropPlan, plan_crops
from leopard.schema.geometry import ImageSize
from leopard.training.nano.characters import image_slots
from leopard.training.nano.dialogue import StudiedPage
from leopard.training.nano.lessons import Lesson, printed_lines
from leopard.training.nano.reader_stage import GEOMETRY, MAX_TILES, POLICY

Studied = list[list[StudiedPage]]
"""Documents; a page that belongs to none is one of its own."""


def study_slots() -> Callable[[list[Lesson]], Studied]:
    """Worker code: pages as true slots."""
    torch.set_num_threads(1)
    return lambda lessons: [[_slots_of(lesson) for lesson in lessons]]


def _slots_of(lesson: Lesson) -> StudiedPage:
    tiled = _plan(lesson).images[0]
    tokens, places = image_slots(lesson.glyphs, tiled)
    lines = tuple(printed_lines(lesson.glyphs, places))
    return StudiedPage(tokens, lines, lesson.questions, tiled.rows_and_columns)


def _plan(lesson: Lesson) -> CropPlan:
    size = ImageSize(lesson.image.width, lesson.image.height)
    return plan_crops([size], geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)
