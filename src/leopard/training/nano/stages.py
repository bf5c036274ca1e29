"""The stages of the small model, one after the other; each goes on where it stopped.

    reader      the vision encoder learns to read crops
    spelling    the language model learns to copy from small pages, seen through true slots
    asking      ... and to answer, on pages of one crop
    pages       ... and on pages of many crops
    seeing      the connector learns to say what true slots said, then all learn on features

Knows nothing of where pages come from (`PageSource`) or where the result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leopard.model import LeopardForConditionalGeneration
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.dialogue import Teacher
from leopard.training.nano.language_stage import (
    FeatureStudy,
    LanguageLessons,
    LanguageSettings,
    PagePool,
    make_batch,
    small_pages,
)
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.reader_stage import (
    ReadingLessons,
    SeeingLessons,
    prepare_crop_lessons,
    prepare_mixed_crop_lessons,
)
from leopard.training.nano.start import SlotReader
from leopard.training.nano.workers import LessonStream, PagePlan

PLAIN_READER = ("stem", "position", "_head")
"""Parameters of the encoder that AdamW trains."""
CONNECTOR_ALONE = 80
"""Steps in which the new connector does not disturb the encoder."""
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


def train_reader(source: PageSource, folder: Path, stage: ReaderStage, report: Report) -> None:
    """Teach the encoder; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
    """
    lessons = reading_lessons(stage.seed)
    course = Course(lessons, stage.course, folder, plain=PLAIN_READER)
    first = stage.seed * 10**9 + course.step * 4 * stage.batch
    stream = LessonStream(source, stage.plan, prepare_crop_lessons, first_seed=first)

    def step() -> dict[str, float]:
        loss, figures = lessons([stream.take() for _ in range(stage.batch)])
        loss.backward()
        return {"loss": loss.item(), **figures}

    try:
        course.run(step, lambda figures: report("reader", figures))
    finally:
        stream.close()


def train_seeing(
    source: PageSource,
    folder: Path,
    stage: ReaderStage,
    report: Report,
    *,
    reader: Path,
    language: Path,
) -> None:
    """Fit the connector to what true slots said, while the encoder goes on learning to read.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        reader: Checkpoint of the reader stage.
        language: Checkpoint of a language stage on true slots.
    """
    lessons = seeing_lessons(stage.seed, reader=reader, language=language)
    course = Course(
        lessons, stage.course, folder, plain=(*PLAIN_READER, "connector"), quick="connector"
    )
    first = (stage.seed + 1) * 10**9 + course.step * 4 * stage.batch
    stream = LessonStream(source, stage.plan, prepare_mixed_crop_lessons, first_seed=first)

    def step() -> dict[str, float]:
        lessons.is_connector_alone = course.step < CONNECTOR_ALONE
        loss, figures = lessons([stream.take() for _ in range(stage.batch)])
        loss.backward()
        return {"loss": loss.item(), **figures}

    try:
        course.run(step, lambda figures: report("seeing", figures))
    finally:
        stream.close()


def seeing_lessons(seed: int, *, reader: Path, language: Path) -> SeeingLessons:
    """The encoder of one checkpoint before the language model of another."""
    reading = reading_lessons(seed)
    reading.load_state_dict(checkpoint_weights(reader))
    model = new_model(seed)
    embedding: Any = model.get_input_embeddings()
    slots = SlotReader(embedding)
    weights = checkpoint_weights(language)
    model.model.language_model.load_state_dict(_below(weights, "decoder."))
    slots.load_state_dict(_below(weights, "front."))
    connector: Any = model.model.connector
    _open_connector(connector, slots)
    return SeeingLessons(reading, connector, slots)


@torch.no_grad()
def _open_connector(connector: Any, slots: SlotReader) -> None:
    """Begin with what all visual tokens share, and with outputs of about the right size."""
    for linear in (connector.linear_1, connector.linear_2):
        torch.nn.init.normal_(linear.weight, std=0.3 * linear.in_features**-0.5)
    connector.linear_2.bias.copy_(slots.positions.mean(0))


def checkpoint_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights that a course has saved."""
    from safetensors.torch import load_file

    return _below(load_file(checkpoint), "weights.")


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def joined_model(seeing: Path, language: Path) -> LeopardForConditionalGeneration:
    """The whole model: encoder and connector of one checkpoint, language model of another."""
    model = new_model(seed=0)
    eyes, words = checkpoint_weights(seeing), checkpoint_weights(language)
    inner = model.model
    inner.vision_encoder.load_state_dict(_below(eyes, "reading.encoder."))
    is_trained_on_features = any(name.startswith("front.linear") for name in words)
    connector = _below(words, "front.") if is_trained_on_features else _below(eyes, "connector.")
    inner.connector.load_state_dict(connector)
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
    eyes: Path | None = None
    """Model folder whose encoder is looked through; None for true slots."""
    keep_codes: bool = False
    """Whether the codes of text and slots stay as they are, so that a connector can learn them."""
    seed: int = 1


PLAIN_LANGUAGE = ("embed", "head", "frames", "other", "positions")
"""Parameters of the language model and what stands before it that AdamW trains."""


def train_language(
    source: PageSource,
    folder: Path,
    stage: LanguageStage,
    report: Report,
    *,
    start: Sequence[Path] = (),
) -> None:
    """Teach the language model; weights stay in the course's checkpoint.

    Args:
        source: Makes pages.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the figures.
        start: Checkpoints of earlier courses to begin with; later ones win.
    """
    lessons = language_lessons(stage)
    for checkpoint in start:
        load_weights(lessons, checkpoint)
    if stage.keep_codes:
        lessons.front.requires_grad_(False)
        lessons.decoder.get_input_embeddings().requires_grad_(False)
    course = Course(lessons, stage.course, folder, plain=PLAIN_LANGUAGE)
    settings = stage.lessons
    study = small_pages(settings.small_side) if stage.eyes is None else FeatureStudy(stage.eyes)
    first = stage.seed * 10**9 + course.step * 1000
    stream = LessonStream(source, stage.plan, study, first_seed=first)
    pool = PagePool(stream, size=settings.pool, seed=first)
    teacher = Teacher(nano_processor().prompt_builder, seed=first)

    def step() -> dict[str, float]:
        batch = make_batch(teacher, pool, settings)
        return lessons.learn(
            batch,
            pointer_weight=settings.pointer_weight,
            token_weight=settings.token_weight,
            empty_share=settings.empty_share,
        )

    try:
        course.run(step, lambda figures: report(folder.name, figures))
    finally:
        stream.close()


def language_lessons(stage: LanguageStage) -> LanguageLessons:
    """The untrained language model with its eyes."""
    model = new_model(stage.seed)
    if stage.eyes is not None:
        connector: Any = model.model.connector
        connector.load_state_dict(_connector_weights(stage.eyes))
        return LanguageLessons(model, None)
    embedding: Any = model.get_input_embeddings()
    slots = SlotReader(embedding)
    if stage.lessons.small_side:
        slots.tokens_per_side = stage.lessons.small_side
    return LanguageLessons(model, slots)


def _connector_weights(model_folder: Path) -> dict[str, Tensor]:
    """Those of a model folder, in single precision."""
    from safetensors.torch import load_file

    weights = load_file(model_folder / "model.safetensors")
    return {n: t.float() for n, t in _below(weights, "model.connector.").items()}


def load_weights(lessons: LanguageLessons, checkpoint: Path) -> None:
    """Take over the weights of another course that fit; its eyes may be of another kind."""
    loaded = checkpoint_weights(checkpoint)
    own = lessons.state_dict()
    lessons.load_state_dict({**own, **{n: t for n, t in loaded.items() if n in own}})
