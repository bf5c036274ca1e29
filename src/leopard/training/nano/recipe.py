"""How the shipped small model is trained: its stages in order, each a folder to go on from.

    reader      the vision encoder learns to read crops
    asking      the language model learns to answer and to stop, through the encoder; only if asked
                for: by now the circuit that it begins with answers better without (the notebook)
    model       the finished model folder

A model folder may be given to begin with instead of nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from leopard.errors import TrainingError
from leopard.training.nano.asking import AskingSettings
from leopard.training.nano.course import CourseSettings
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import write_model
from leopard.training.nano.stages import (
    AskingStage,
    ReaderStage,
    Report,
    joined_model,
    train_language,
    train_reader,
)
from leopard.training.nano.workers import PagePlan

CHECKPOINT = "course.safetensors"
SMALL_TEXT = (11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 18, 20, 22)
TEXT = (11, 12, 13, 14, 15, 16, 18, 20)
GRIDS = ((1, 1), (1, 1), (1, 1), (2, 1), (2, 2), (3, 3))

READER = ReaderStage(
    plan=PagePlan(text_px=SMALL_TEXT, documents=0.3),
    course=CourseSettings(steps=6000, learning_rate=1.1e-3),
)
ASKING = AskingStage(
    plan=PagePlan(grids=GRIDS, text_px=TEXT, documents=0.7),
    lessons=AskingSettings(batch=10, pool=400, first=40, fresh=5, empty_shares=(0.1, 0.2)),
    course=CourseSettings(steps=45, learning_rate=0.2e-3, warmup_steps=10, log_every=10),
)
Stage = TypeVar("Stage", ReaderStage, AskingStage)
STAGES = ("reader", "asking", "model")
USUAL = ("reader", "model")
"""Stages that are run unless others are asked for."""


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
        "asking": lambda: _ask(source, folder, _shortened(ASKING, share), report, start),
        "model": lambda: write_model(
            joined_model(_checkpoint(folder, "reader"), _made(folder, "asking")),
            folder / "model",
        ),
    }
    runs[name]()


def _ask(
    source: PageSource, folder: Path, stage: AskingStage, report: Report, start: Path | None
) -> None:
    eyes = folder / "eyes"
    if not (eyes / "config.json").exists():
        write_model(joined_model(_checkpoint(folder, "reader"), None), eyes)
    train_language(source, folder / "asking", stage, report, start=start, eyes=eyes)


def _made(folder: Path, name: str) -> Path | None:
    """The checkpoint of a stage that may be left out; None where it was not run."""
    path = folder / name / CHECKPOINT
    return path if path.exists() else None


def _checkpoint(folder: Path, name: str) -> Path:
    path = _made(folder, name)
    if path is None:
        raise TrainingError(
            f"stage {name} has left no checkpoint in {folder / name}; run it first: --stage {name}"
        )
    return path


def _shortened(stage: Stage, share: float) -> Stage:
    steps = max(1, round(stage.course.steps * share))
    return replace(stage, course=replace(stage.course, steps=steps))
