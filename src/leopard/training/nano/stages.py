"""The stages of the small model, one after the other; each goes on where it stopped.

Knows nothing of where pages come from (`PageSource`) or where the result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leopard.errors import TrainingError
from leopard.model import LeopardForConditionalGeneration
from leopard.training.nano import asking
from leopard.training.nano.asking import AskingSettings, Conversations
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher
from leopard.training.nano.eyes import FeatureStudy, study_slots
from leopard.training.nano.known import (
    KnownLessons,
    KnownPool,
    SmallLanguageModel,
)
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.reader_stage import ReadingLessons, prepare_crop_lessons
from leopard.training.nano.workers import LessonStream, PagePlan

PLAIN_READER = ("stem", "position", "_head", "told")
"""Parameters of the encoder that AdamW trains."""
HEADS_ALONE = 60
"""Steps in which new heads do not disturb an encoder that can read."""
Sequences = Iterator[tuple[Exercise, list[StudiedPage]]]
Report = Callable[[str, dict[str, float]], None]
"""Told the stage and its mean figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderStage:
    """How the encoder learns to read."""

    plan: PagePlan = field(default_factory=PagePlan)
    batch: int = 12
    """Crops of one step."""
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
        _take_over(lessons.encoder, start, "model.vision_encoder.")
    course = Course(lessons, stage.course, folder, plain=PLAIN_READER)
    first = stage.seed * 10**9 + course.step * 4 * stage.batch
    stream = LessonStream(source, stage.plan, prepare_crop_lessons, first_seed=first)

    def step() -> dict[str, float]:
        lessons.are_heads_alone = start is not None and course.step < HEADS_ALONE
        loss, figures = lessons([stream.take() for _ in range(stage.batch)])
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


def joined_model(reader: Path, language: Path | None) -> LeopardForConditionalGeneration:
    """The whole model: encoder of one checkpoint, language model of another or as at the start."""
    model = new_model(seed=0)
    inner: Any = model.model
    inner.vision_encoder.load_state_dict(_below(checkpoint_weights(reader), "encoder."))
    if language is not None:
        words = checkpoint_weights(language)
        inner.language_model.load_state_dict(_below(words, "decoder."))
        model.lm_head.load_state_dict(_below(words, "head."))
    return model


def reading_lessons(seed: int) -> ReadingLessons:
    """The untrained encoder with its heads."""
    encoder = new_model(seed).model.vision_encoder
    return ReadingLessons(encoder.to(memory_format=torch.channels_last))


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingStage:
    """How the language model learns to answer."""

    plan: PagePlan
    lessons: AskingSettings = field(default_factory=AskingSettings)
    course: CourseSettings
    seed: int = 3
    taught: ClassVar[tuple[str, ...]] = asking.TAUGHT

    def made(
        self, whole: SmallLanguageModel, teacher: Teacher
    ) -> tuple[KnownLessons, Callable[[list[StudiedPage]], Exercise | None]]:
        """The lessons, and what writes their sequences."""
        lessons = asking.AskingLessons(whole)
        return lessons, Conversations(teacher, self.lessons)


PLAIN_LANGUAGE = ("embed", "head")
"""Parameters of the language model that AdamW trains."""


def train_language(
    source: PageSource,
    folder: Path,
    stage: AskingStage,
    report: Report,
    *,
    start: Path | None = None,
    eyes: Path | None = None,
) -> None:
    """Teach some layers of the language model; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        start: Model folder whose language model a new course begins with (it may hold some of its
            weights only), or the checkpoint of an earlier course.
        eyes: Model folder whose encoder is looked through; None for true slots.
    """
    whole = small_language_model(trained=stage.taught, seed=stage.seed, eyes=eyes, start=start)
    course = Course(
        whole,
        stage.course,
        folder,
        plain=PLAIN_LANGUAGE,
    )
    first = stage.seed * 10**9 + course.step * 1000
    study = study_slots if eyes is None else FeatureStudy(eyes)
    stream = LessonStream(source, stage.plan, study, first_seed=first)
    lessons, ask = stage.made(whole, Teacher(nano_processor().prompt_builder, seed=first))
    pool = KnownPool(lessons, ask, stream.take, stage.lessons, seed=first)
    try:
        course.run(lambda: lessons.learn(pool.draw()), lambda figures: report(folder.name, figures))
    finally:
        stream.close()


def small_language_model(
    *,
    trained: Sequence[str],
    seed: int,
    eyes: Path | None = None,
    start: Path | None = None,
) -> SmallLanguageModel:
    """The language model with its eyes: untrained, of a model folder or of an earlier course.

    Args:
        trained: Parts of the names of parameters that learn.
        seed: Of the noise in untrained weights.
        eyes: Model folder whose encoder is looked through; None for true slots.
        start: See `train_language`.
    """
    checkpoint = start if start is not None and start.is_file() else None
    model = new_model(seed)
    if start is not None and checkpoint is None:
        _take_over(model, start, "")
    whole = SmallLanguageModel(model, is_seeing_features=eyes is not None)
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(any(part in name for part in trained))
    if checkpoint is not None:
        weights = checkpoint_weights(checkpoint)
        whole.load_state_dict({n: weights[n] for n in whole.state_dict()})
    return whole


def _take_over(model: nn.Module, folder: Path, prefix: str) -> None:
    """Give a new model, or a part of one, the weights of a folder, which may hold some of them."""
    weights = _model_weights(folder, prefix)
    unknown = sorted(set(weights) - set(model.state_dict()))
    if unknown:
        raise TrainingError(
            f"{folder} holds {len(unknown)} weights that the small model does not have, such as "
            f"{unknown[0]}; give a folder of this model"
        )
    model.load_state_dict(weights, strict=False)


def _model_weights(model_folder: Path, prefix: str) -> dict[str, Tensor]:
    """Those of a part of a model folder, in single precision."""
    from safetensors.torch import load_file

    weights = _below(load_file(model_folder / "model.safetensors"), prefix)
    return {n: t.float() if t.is_floating_point() else t for n, t in weights.items()}
