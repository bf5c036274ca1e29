"""How the shipped small model is trained: its stages in order, each a folder to go on from.

    reader      the vision encoder learns to read crops
    locating    the language model learns where answers stand; true slots, some of them wrong, are
                its eyes
    asking      ... to copy and to answer
    looking     ... and to see through the encoder
    model       the finished model folder

`reader` and the two stages after it do not need one another and may run at the same time; `reader`
and `locating` may begin with a model folder instead of nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from leopard.errors import TrainingError
from leopard.training.nano.course import CourseSettings
from leopard.training.nano.language_stage import LanguageSettings
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import write_model
from leopard.training.nano.stages import (
    LanguageStage,
    LocatingStage,
    ReaderStage,
    Report,
    joined_model,
    looking_model,
    train_language,
    train_locating,
    train_reader,
)
from leopard.training.nano.workers import PagePlan

CHECKPOINT = "course.safetensors"
SMALL_TEXT = (11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 18, 20, 22)
TEXT = (11, 12, 13, 14, 15, 16, 18, 20)
SMALL_GRIDS = ((1, 1), (1, 1), (2, 1), (2, 2))
GRIDS = ((1, 1), (1, 1), (1, 1), (2, 1), (2, 2), (3, 3))

READER = ReaderStage(
    plan=PagePlan(text_px=SMALL_TEXT, documents=0.3),
    course=CourseSettings(steps=6000, learning_rate=1.1e-3),
)
LOCATING = LocatingStage(
    plan=PagePlan(grids=SMALL_GRIDS, text_px=TEXT, documents=0.6, tiles=(4, 6, 9)),
    course=CourseSettings(steps=1500, learning_rate=0.6e-3, warmup_steps=10, log_every=20),
)
ASKING = LanguageStage(
    plan=PagePlan(grids=GRIDS, text_px=TEXT, documents=0.55),
    lessons=LanguageSettings(
        batch=6,
        copying=0.12,
        characters=120,
        turns=9,
        questions=0.85,
        misread=0.12,
        empty_share=0.3,
        unanswerable=0.1,
        pointer_weight=1.0,
        pages=(1, 1, 1, 1, 2),
    ),
    course=CourseSettings(steps=420, learning_rate=0.2e-3, warmup_steps=10, log_every=10),
    trained=("layers.4", "head"),  # layer 3 would forget where answers stand
    seed=3,
)
LOOKING = replace(
    ASKING,
    lessons=replace(ASKING.lessons, misread=0.0, pool=500),
    course=CourseSettings(steps=100, learning_rate=0.4e-4, warmup_steps=10, log_every=10),
    seed=7,
)
Stage = TypeVar("Stage", ReaderStage, LocatingStage, LanguageStage)
STAGES = ("reader", "locating", "asking", "looking", "model")


def run_stage(
    name: str,
    source: PageSource,
    folder: Path,
    report: Report,
    *,
    share: float = 1.0,
    start: Path | None = None,
) -> None:
    """Run one stage, or go on with it where it stopped; a finished one is left as it is.

    Args:
        name: One of `STAGES`.
        source: Makes pages.
        folder: Of the whole training; each stage has a folder in it.
        report: Told the figures.
        share: Share of the steps to take, for trials.
        start: Model folder to begin with instead of nothing, for the first stage of each part.

    Raises:
        TrainingError: If a stage that it builds on has not been run.
    """
    runs: dict[str, Callable[[], None]] = {
        "reader": lambda: train_reader(
            source, folder / "reader", _shortened(READER, share), report, start=start
        ),
        "locating": lambda: train_locating(
            source, folder / "locating", _shortened(LOCATING, share), report, start=start
        ),
        "asking": lambda: train_language(
            source,
            folder / "asking",
            _shortened(ASKING, share),
            report,
            start=_checkpoint(folder, "locating"),
        ),
        "looking": lambda: _look(source, folder, report, share),
        "model": lambda: _finish(folder),
    }
    runs[name]()


def _look(source: PageSource, folder: Path, report: Report, share: float) -> None:
    eyes = folder / "eyes"
    if not (eyes / "config.json").exists():
        write_model(
            joined_model(_checkpoint(folder, "reader"), _checkpoint(folder, "asking")), eyes
        )
    stage = replace(_shortened(LOOKING, share), eyes=eyes)
    train_language(source, folder / "looking", stage, report)


def _finish(folder: Path) -> None:
    write_model(looking_model(folder / "eyes", _checkpoint(folder, "looking")), folder / "model")


def _checkpoint(folder: Path, name: str) -> Path:
    path = folder / name / CHECKPOINT
    if not path.exists():
        raise TrainingError(
            f"stage {name} has left no checkpoint at {path}; run it first: --stage {name}"
        )
    return path


def _shortened(stage: Stage, share: float) -> Stage:
    steps = max(1, round(stage.course.steps * share))
    return replace(stage, course=replace(stage.course, steps=steps))
