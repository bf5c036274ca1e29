"""How the shipped small model is trained: its stages in order, each a folder to go on from.

    reader      the vision encoder learns to read crops
    finding     the language model learns to find letters; true slots are its eyes
    asking      ... to copy and to answer, on pages of one or two crops
    pages       ... on pages of up to twelve tiles; codes stay as they are from here on
    seeing      the connector learns to say what true slots said, the encoder goes on reading
    looking     the language model learns to see through encoder and connector
    model       the finished model folder

`reader` and the three stages after it do not need one another and may run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from leopard.errors import TrainingError
from leopard.training.nano.course import CourseSettings
from leopard.training.nano.language_stage import LanguageSettings
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import write_model
from leopard.training.nano.stages import (
    LanguageStage,
    ReaderStage,
    Report,
    joined_model,
    train_language,
    train_reader,
    train_seeing,
)
from leopard.training.nano.workers import PagePlan

CHECKPOINT = "course.safetensors"
SMALL_TEXT = (11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 18, 20, 22)
TEXT = (12, 13, 14, 15, 16, 18)
LARGER_PAGES = ((1, 1), (1, 1), (2, 1), (2, 2), (2, 3), (3, 3), (3, 4))

READER = ReaderStage(
    plan=PagePlan(text_px=SMALL_TEXT),
    course=CourseSettings(steps=3000, learning_rate=1.3e-3),
)
FINDING = LanguageStage(
    plan=PagePlan(grids=((1, 1),), text_px=TEXT),
    lessons=LanguageSettings(
        batch=8, copying=0.5, characters=90, turns=4, pointer_weight=1.0, token_weight=0.0
    ),
    course=CourseSettings(steps=80, learning_rate=1.2e-3, warmup_steps=15),
)
ASKING = LanguageStage(
    plan=PagePlan(grids=((1, 1), (1, 1), (1, 1), (2, 1), (1, 2)), text_px=TEXT),
    lessons=LanguageSettings(
        batch=8, copying=0.2, characters=110, turns=7, questions=0.75, pointer_weight=1.5
    ),
    course=CourseSettings(steps=1200, learning_rate=1.2e-3, warmup_steps=10),
    seed=2,
)
PAGES = LanguageStage(
    plan=PagePlan(grids=LARGER_PAGES, text_px=TEXT),
    lessons=LanguageSettings(
        batch=6,
        copying=0.06,
        characters=110,
        turns=7,
        questions=0.8,
        unanswerable=0.05,
        pointer_weight=1.2,
        pages=(1, 1, 1, 1, 2),
    ),
    course=CourseSettings(steps=900, learning_rate=0.9e-3, warmup_steps=10),
    keep_codes=True,
    seed=5,
)
SEEING = ReaderStage(
    plan=PagePlan(text_px=SMALL_TEXT),
    course=CourseSettings(steps=1200, learning_rate=0.9e-3, warmup_steps=20),
)
LOOKING = replace(
    PAGES,
    lessons=replace(PAGES.lessons, empty_share=0.5, unanswerable=0.03, pool=600),
    course=CourseSettings(steps=500, learning_rate=0.5e-3, warmup_steps=20),
    keep_codes=False,
    seed=7,
)
STAGES = ("reader", "finding", "asking", "pages", "seeing", "looking", "model")


def run_stage(
    name: str, source: PageSource, folder: Path, report: Report, *, share: float = 1.0
) -> None:
    """Run one stage, or go on with it where it stopped; a finished one is left as it is.

    Args:
        name: One of `STAGES`.
        source: Makes pages.
        folder: Of the whole training; each stage has a folder in it.
        report: Told the figures.
        share: Share of the steps to take, for trials.

    Raises:
        TrainingError: If a stage that it builds on has not been run.
    """
    runs: dict[str, Callable[[], None]] = {
        "reader": lambda: train_reader(
            source, folder / "reader", _shortened(READER, share), report
        ),
        "finding": lambda: _language("finding", FINDING, source, folder, report, share),
        "asking": lambda: _language("asking", ASKING, source, folder, report, share),
        "pages": lambda: _language("pages", PAGES, source, folder, report, share),
        "seeing": lambda: train_seeing(
            source,
            folder / "seeing",
            _shortened(SEEING, share),
            report,
            reader=_checkpoint(folder, "reader"),
            language=_checkpoint(folder, "pages"),
        ),
        "looking": lambda: _look(source, folder, report, share),
        "model": lambda: write_joined(folder, "looking", folder / "model"),
    }
    runs[name]()


def _language(
    name: str, stage: LanguageStage, source: PageSource, folder: Path, report: Report, share: float
) -> None:
    before = {"asking": ("finding",), "pages": ("asking",)}.get(name, ())
    start = [_checkpoint(folder, earlier) for earlier in before]
    train_language(source, folder / name, _shortened_course(stage, share), report, start=start)


def _look(source: PageSource, folder: Path, report: Report, share: float) -> None:
    eyes = folder / "eyes"
    if not (eyes / "config.json").exists():
        write_joined(folder, "pages", eyes)
    stage = replace(_shortened_course(LOOKING, share), eyes=eyes)
    start = [_checkpoint(folder, "pages")]
    train_language(source, folder / "looking", stage, report, start=start)


def write_joined(folder: Path, language: str, into: Path) -> None:
    """Write the encoder of `seeing` and the language model of a stage as one model folder."""
    eyes, words = _checkpoint(folder, "seeing"), _checkpoint(folder, language)
    write_model(joined_model(eyes, words), into)


def _checkpoint(folder: Path, name: str) -> Path:
    path = folder / name / CHECKPOINT
    if not path.exists():
        raise TrainingError(
            f"stage {name} has left no checkpoint at {path}; run it first: --stage {name}"
        )
    return path


def _shortened(stage: ReaderStage, share: float) -> ReaderStage:
    steps = max(1, round(stage.course.steps * share))
    return replace(stage, course=replace(stage.course, steps=steps))


def _shortened_course(stage: LanguageStage, share: float) -> LanguageStage:
    steps = max(1, round(stage.course.steps * share))
    return replace(stage, course=replace(stage.course, steps=steps))
