"""The stages of the small model, one after the other; each goes on where it stopped.

Knows nothing of where pages come from (`PageSource`) or where the result is kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leopard.errors import TrainingError
from leopard.model import LeopardForConditionalGeneration
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.meaning import Meaning
from leopard.training.nano.package import new_model, new_surroundings, take_meaning
from leopard.training.nano.reader_stage import CropLesson, ReadingLessons, prepare_crop_lessons
from leopard.training.nano.workers import LessonStream, PagePlan

PLAIN_READER = ("stem", "position", "_head", "told")
"""Parameters of the encoder that AdamW trains."""
HEADS_ALONE = 60
"""Steps in which new heads do not disturb an encoder that can read."""
NORM_MOMENTUM = 0.01
"""Statistics of norms are means of about the last hundred batches; those of ten, which are a few
documents, are further from the rest (see Izmailov et al. 2018, arXiv 1803.05407, on norms).
"""
Report = Callable[[str, dict[str, float]], None]
"""Told the stage and its mean figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderStage:
    """How the encoder learns to read."""

    plan: PagePlan = field(default_factory=PagePlan)
    batch: int = 12
    """Crops of one step."""
    mixed: int = 720
    """Crops that are waited for and drawn from, so that those of a step are of many documents."""
    shown: int = 2
    """Times that each crop is shown: to make one takes half as long as to learn from it."""
    course: CourseSettings = field(
        default_factory=lambda: CourseSettings(steps=3000, learning_rate=1.5e-3)
    )
    seed: int = 1


def train_reader(
    source: PageSource,
    folder: Path,
    stage: ReaderStage,
    report: Report,
    *,
    start: Path | None = None,
) -> None:
    """Teach the encoder; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        start: Model folder whose encoder a new course begins with; what it lacks is made anew.
    """
    lessons = reading_lessons(stage.seed)
    if start is not None:
        _take_over(lessons.encoder, start)
    course = Course(lessons, stage.course, folder, plain=PLAIN_READER)
    first = stage.seed * 10**9 + course.step * 4 * stage.batch
    stream = LessonStream(source, stage.plan, prepare_crop_lessons, first_seed=first)

    waiting: list[CropLesson] = []
    rng = random.Random(f"reader:{first}")

    def draw() -> CropLesson:
        while len(waiting) < stage.mixed:
            waiting.extend([stream.take()] * stage.shown)
        return waiting.pop(rng.randrange(len(waiting)))

    def step() -> dict[str, float]:
        lessons.are_heads_alone = start is not None and course.step < HEADS_ALONE
        loss, figures = lessons([draw() for _ in range(stage.batch)])
        loss.backward()
        return {"loss": loss.item(), **figures}

    try:
        course.run(step, lambda figures: report("reader", figures))
    finally:
        stream.close()


def checkpoint_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights that a course has saved."""
    from safetensors.torch import load_file

    return _below(load_file(checkpoint), "weights.")


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def joined_model(reader: Path, meaning: Path | None) -> LeopardForConditionalGeneration:
    """The whole model: an encoder, and the language model written around what was learned.

    Args:
        reader: Checkpoint of the reader's course, or a model folder.
        meaning: Checkpoint of the course that learned meaning; None for what nothing has learned.
    """
    model = new_model(seed=0)
    inner: Any = model.model
    if reader.is_dir():
        _take_over(inner.vision_encoder, reader)
    else:
        _take_all(inner.vision_encoder, reader)
    learned = Meaning(new_surroundings())
    if meaning is not None:
        learned.load_state_dict(checkpoint_weights(meaning))
    take_meaning(model, learned)
    return model


def reading_lessons(seed: int) -> ReadingLessons:
    """The untrained encoder with its heads, without what another stage teaches."""
    encoder = new_model(seed).model.vision_encoder
    encoder.spelling.around = None
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = NORM_MOMENTUM
    return ReadingLessons(encoder.to(memory_format=torch.channels_last))


def _take_over(encoder: nn.Module, folder: Path) -> None:
    """Give a new encoder what reads in that of a model folder, which may hold some of it."""
    weights = _that_read(_model_weights(folder, "model.vision_encoder."))
    unknown = sorted(set(weights) - set(encoder.state_dict()))
    if unknown:
        raise TrainingError(
            f"{folder} holds {len(unknown)} weights that the small model does not have, such as "
            f"{unknown[0]}; give a folder of this model"
        )
    encoder.load_state_dict(weights, strict=False)


def _take_all(encoder: nn.Module, checkpoint: Path) -> None:
    """Give an encoder all that reads in a checkpoint of the reader's course."""
    weights = _that_read(_below(checkpoint_weights(checkpoint), "encoder."))
    other = sorted(set(weights) ^ set(_that_read(encoder.state_dict())))
    if other:
        raise TrainingError(
            f"{checkpoint} and the encoder differ in {len(other)} weights, such as {other[0]}; "
            "give the checkpoint of a course of this version"
        )
    encoder.load_state_dict(weights, strict=False)


def _that_read(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an encoder without those of what stands around, which `meaning` learns."""
    return {n: t for n, t in weights.items() if not n.startswith("spelling.around.")}


def _model_weights(model_folder: Path, prefix: str) -> dict[str, Tensor]:
    """Those of a part of a model folder, in single precision."""
    from safetensors.torch import load_file

    weights = _below(load_file(model_folder / "model.safetensors"), prefix)
    return {n: t.float() if t.is_floating_point() else t for n, t in weights.items()}
