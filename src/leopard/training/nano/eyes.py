"""What the language model of the small Leopard sees in lessons: true slots, or features.

True slots need no picture and no encoder, so language can be learned beside reading; features are
what it will meet in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from leopard.model import LeopardForConditionalGeneration
from leopard.model.spelling import Spelling
from leopard.processor.crops import CropPlan, plan_crops, stack_crops
from leopard.schema.geometry import ImageSize
from leopard.training.nano.characters import image_slots
from leopard.training.nano.dialogue import StudiedPage
from leopard.training.nano.lessons import Lesson, printed_lines
from leopard.training.nano.reader_stage import GEOMETRY, MAX_TILES, POLICY

Studied = list[list[StudiedPage]]
"""Documents; a page that belongs to none is one of its own."""


class TrueSlots(nn.Module):
    """What the language model sees when every character is read right.

    Args:
        spelling: Has the codes of characters.
        connector: From features to visual tokens.
    """

    def __init__(self, spelling: Spelling, connector: nn.Module) -> None:
        super().__init__()
        self.spelling, self.connector = spelling, connector

    def forward(self, classes: Tensor) -> Tensor:
        """Classes (crops, tokens, SLOTS) to visual tokens (crops, tokens, dim)."""
        return self.connector(self.spelling.known(classes))  # type: ignore[no-any-return]


def study_slots() -> Callable[[list[Lesson]], Studied]:
    """Worker code: pages as true slots."""
    torch.set_num_threads(1)
    return lambda lessons: [[_slots_of(lesson) for lesson in lessons]]


def _slots_of(lesson: Lesson) -> StudiedPage:
    tiled = _plan(lesson).images[0]
    tokens, places = image_slots(lesson.glyphs, tiled)
    lines = tuple(printed_lines(lesson.glyphs, places))
    filled = np.any(tokens, axis=1)
    return StudiedPage(tokens, filled, lines, lesson.questions, tiled.num_crops)


def _plan(lesson: Lesson) -> CropPlan:
    size = ImageSize(lesson.image.width, lesson.image.height)
    return plan_crops([size], geometry=GEOMETRY, policy=POLICY, max_tiles_per_image=MAX_TILES)


@dataclass(frozen=True)
class FeatureStudy:
    """Worker code: pages as the features of a trained encoder."""

    model_folder: Path

    def __call__(self) -> Callable[[list[Lesson]], Studied]:
        """Load the encoder in the worker."""
        torch.set_num_threads(1)
        model = LeopardForConditionalGeneration.from_pretrained(
            self.model_folder, dtype=torch.float32
        ).eval()
        encoder = model.model.vision_encoder.to(memory_format=torch.channels_last)

        def study(lesson: Lesson) -> StudiedPage:
            plan = _plan(lesson)
            pixels = torch.from_numpy(stack_crops([lesson.image], plan))
            with torch.no_grad():
                features = torch.cat([encoder(p).last_hidden_state for p in pixels.split(4)])
            slots, places = image_slots(lesson.glyphs, plan.images[0])
            tokens = features.flatten(0, 1).half().numpy()
            lines = tuple(printed_lines(lesson.glyphs, places))
            filled = np.any(slots, axis=1)
            return StudiedPage(tokens, filled, lines, lesson.questions, plan.num_crops)

        return lambda lessons: [[study(lesson) for lesson in lessons]]
