"""The stages of the small model, one after the other; each goes on where it stopped.

Knows nothing of where pages come from (`PageSource`) or where the result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leopard.errors import TrainingError
from leopard.model import LeopardForConditionalGeneration
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.dialogue import Teacher
from leopard.training.nano.language_stage import (
    FeatureStudy,
    LanguageLessons,
    LanguageSettings,
    PagePool,
    make_batch,
    study_slots,
)
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.locating import TAUGHT, KnownPool, LocatingLessons, LocatingSettings
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.reader_stage import (
    ReadingLessons,
    prepare_crop_lessons,
)
from leopard.training.nano.workers import LessonStream, PagePlan

PLAIN_READER = ("stem", "position", "_head")
"""Parameters of the encoder that AdamW trains."""
HEADS_ALONE = 60
"""Steps in which new heads do not disturb an encoder that can read."""
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
        start: Model folder whose encoder a new course begins with; its heads are made anew.
    """
    lessons = reading_lessons(stage.seed)
    if start is not None:
        lessons.encoder.load_state_dict(_model_weights(start, "model.vision_encoder."))
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


def joined_model(reader: Path, language: Path) -> LeopardForConditionalGeneration:
    """The whole model: encoder of one checkpoint, codes, connector and language of another."""
    model = new_model(seed=0)
    eyes, words = checkpoint_weights(reader), checkpoint_weights(language)
    inner: Any = model.model
    inner.vision_encoder.load_state_dict(_below(eyes, "encoder."))
    codes = _below(words, "front.spelling.").get("codes")
    if codes is None:
        raise TrainingError(f"{language} holds no codes of characters; give a stage on true slots")
    with torch.no_grad():
        inner.vision_encoder.spelling.codes.copy_(codes)
    inner.connector.load_state_dict(_below(words, "front.connector."))
    inner.language_model.load_state_dict(_below(words, "decoder."))
    model.lm_head.load_state_dict(_below(words, "head."))
    return model


def looking_model(eyes: Path, language: Path) -> LeopardForConditionalGeneration:
    """A model folder with connector and language model of a checkpoint on its features."""
    model: LeopardForConditionalGeneration = LeopardForConditionalGeneration.from_pretrained(
        eyes, dtype=torch.float32
    )
    words = checkpoint_weights(language)
    inner: Any = model.model
    inner.connector.load_state_dict(_below(words, "front."))
    inner.language_model.load_state_dict(_below(words, "decoder."))
    model.lm_head.load_state_dict(_below(words, "head."))
    return model


def reading_lessons(seed: int) -> ReadingLessons:
    """The untrained encoder with its heads."""
    encoder = new_model(seed).model.vision_encoder
    return ReadingLessons(encoder.to(memory_format=torch.channels_last))


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageStage:
    """How the language model learns."""

    plan: PagePlan
    lessons: LanguageSettings = field(default_factory=LanguageSettings)
    course: CourseSettings
    trained: tuple[str, ...] = ("",)
    """Parts of the names of parameters that learn; all by default."""
    eyes: Path | None = None
    """Model folder whose encoder is looked through; None for true slots."""
    seed: int = 1


PLAIN_LANGUAGE = ("embed", "head", "codes")
"""Parameters of the language model and what stands before it that AdamW trains."""


def train_language(
    source: PageSource,
    folder: Path,
    stage: LanguageStage,
    report: Report,
    *,
    start: Path | None = None,
) -> None:
    """Teach the language model; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        start: Model folder whose codes, connector and language model a new course begins with, or
            the checkpoint of an earlier course.
    """
    lessons = language_lessons(trained=stage.trained, seed=stage.seed, eyes=stage.eyes, start=start)
    course = Course(lessons, stage.course, folder, plain=PLAIN_LANGUAGE, quick="head")
    settings = stage.lessons
    study = study_slots if stage.eyes is None else FeatureStudy(stage.eyes)
    first = stage.seed * 10**9 + course.step * 1000
    stream = LessonStream(source, stage.plan, study, first_seed=first)
    pool = PagePool(stream, size=settings.pool, seed=first)
    teacher = Teacher(nano_processor().prompt_builder, seed=first)

    def step() -> dict[str, float]:
        batch = make_batch(teacher, pool, settings)
        return lessons.learn(
            batch,
            pointer_weight=settings.pointer_weight,
            empty_share=settings.empty_share,
            misread=settings.misread,
        )

    try:
        course.run(step, lambda figures: report(folder.name, figures))
    finally:
        stream.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class LocatingStage:
    """How the language model learns where answers stand."""

    plan: PagePlan
    lessons: LocatingSettings = field(default_factory=LocatingSettings)
    course: CourseSettings
    seed: int = 2


def train_locating(
    source: PageSource,
    folder: Path,
    stage: LocatingStage,
    report: Report,
    *,
    start: Path | None = None,
) -> None:
    """Teach the language model where answers stand; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        start: Model folder whose codes, connector and language model a new course begins with; it
            may hold a part of a model's weights only.
    """
    whole = language_lessons(trained=TAUGHT, seed=stage.seed, start=start)
    course = Course(whole, stage.course, folder, plain=PLAIN_LANGUAGE)
    first = stage.seed * 10**9 + course.step * 1000
    stream = LessonStream(source, stage.plan, study_slots, first_seed=first)
    teacher = Teacher(nano_processor().prompt_builder, seed=first)
    lessons = LocatingLessons(whole)
    pool = KnownPool(lessons, teacher, stream.take, stage.lessons)
    try:
        course.run(lambda: lessons.learn(pool.draw()), lambda figures: report("locating", figures))
    finally:
        stream.close()


def language_lessons(
    *,
    trained: Sequence[str],
    seed: int,
    eyes: Path | None = None,
    start: Path | None = None,
) -> LanguageLessons:
    """The language model with its eyes: untrained, of a model folder or of an earlier course.

    Args:
        trained: Parts of the names of parameters that learn.
        seed: Of the noise in untrained weights.
        eyes: Model folder whose encoder is looked through; None for true slots.
        start: See `train_language` and `train_locating`.
    """
    checkpoint = start if start is not None and start.is_file() else None
    if eyes is not None:
        model = LeopardForConditionalGeneration.from_pretrained(eyes, dtype=torch.float32)
    else:
        model = new_model(seed)
        if start is not None and checkpoint is None:
            _take_over(model, start)
    lessons = LanguageLessons(model, is_seeing_features=eyes is not None)
    # The connector begins as an exact map, by units far from zero: the least step in one of its
    # weights would move all visual tokens together.
    for name, parameter in lessons.named_parameters():
        is_trained = any(part in name for part in trained)
        parameter.requires_grad_(is_trained and not name.startswith("front."))
    if checkpoint is not None:
        lessons.load_state_dict(checkpoint_weights(checkpoint))
    return lessons


def _take_over(model: LeopardForConditionalGeneration, folder: Path) -> None:
    """Give a new model the weights of a folder, which may hold a part of them only."""
    weights = _model_weights(folder, "")
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
