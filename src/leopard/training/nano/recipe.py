"""How the shipped small model is trained: its stages in order, each a folder to go on from.

    reader      the vision encoder learns to read crops
    meaning     what questions ask for, and what stands around the answers of pages
    model       the finished model folder

The reader may begin with the encoder of a model folder instead of nothing; without a stage `reader`
the model takes that encoder as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from leopard.errors import TrainingError
from leopard.training.nano.course import CourseSettings, pack_checkpoint
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.meaning_stage import MeaningStage, train_meaning
from leopard.training.nano.package import write_model
from leopard.training.nano.stages import (
    ReaderStage,
    Report,
    joined_model,
    train_reader,
)
from leopard.training.nano.workers import PagePlan

CHECKPOINT = "course.safetensors"
SMALL_TEXT = (11, 12, 12, 13, 13, 14, 14, 15, 16, 17, 18, 20, 22)

READER = ReaderStage(
    plan=PagePlan(text_px=SMALL_TEXT, documents=0.5),
    course=CourseSettings(steps=9000, learning_rate=1.1e-3),
)
MEANING = MeaningStage()
READER_SECONDS = 1.8
"""A step of `reader` takes on one core of two, the mean of its log on two cores with AVX2."""
MEANING_SECONDS = (0.75, 0.35)
"""A step of `meaning` takes while `reader` has the other core, and when it has both."""
Stage = TypeVar("Stage", ReaderStage, MeaningStage)
STAGES = ("reader", "meaning", "model")


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
        start: Model folder whose encoder the reader begins with instead of nothing.

    Raises:
        TrainingError: If a stage that it builds on has not been run.
    """
    runs: dict[str, Callable[[], None]] = {
        "reader": lambda: train_reader(
            source, folder / "reader", _shortened(READER, share), report, start=start
        ),
        "meaning": lambda: train_meaning(
            source, folder / "meaning", _shortened(MEANING, share), report
        ),
        "model": lambda: write_model(
            joined_model(_reader(folder, start), _checkpoint(folder, "meaning")),
            folder / "model",
        ),
    }
    runs[name]()


def expected_hours() -> float:
    """Hours of the whole training on two cores, both stages beside each other, as measured."""
    reader = READER.course.steps * READER_SECONDS
    beside, alone = MEANING_SECONDS
    left = MEANING.course.steps - min(MEANING.course.steps, reader / beside)
    return (reader + left * alone) / 3600


def pack(folder: Path, out: Path) -> list[str]:
    """Write what each stage has learned so far small, to go on with on another computer.

    Args:
        folder: Of the whole training.
        out: Where one file of each stage that has begun goes.

    Returns:
        The stages.

    Raises:
        TrainingError: If none has begun.
    """
    begun = [name for name in STAGES if (folder / name / CHECKPOINT).exists()]
    if not begun:
        raise TrainingError(f"{folder} holds no checkpoint of a stage; train first")
    for name in begun:
        pack_checkpoint(folder / name / CHECKPOINT, out / f"{name}.safetensors")
    return begun


def unpack(packed: Path, folder: Path) -> list[str]:
    """Put what `pack` has written where the stages go on from it.

    Args:
        packed: Folder that `pack` has written.
        folder: Of the whole training; may not hold checkpoints of these stages.

    Returns:
        The stages.

    Raises:
        TrainingError: If nothing is packed there, or a stage has a checkpoint already.
    """
    found = [name for name in STAGES if (packed / f"{name}.safetensors").exists()]
    if not found:
        raise TrainingError(f"{packed} holds no packed stage, such as reader.safetensors")
    for name in found:
        checkpoint = folder / name / CHECKPOINT
        if checkpoint.exists():
            raise TrainingError(f"{checkpoint} is there already; unpack into a new folder")
    for name in found:
        checkpoint = folder / name / CHECKPOINT
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = checkpoint.with_suffix(".tmp")
        shutil.copyfile(packed / f"{name}.safetensors", temporary)
        temporary.replace(checkpoint)
    return found


def _reader(folder: Path, start: Path | None) -> Path:
    """The checkpoint of the reader; the folder to begin with where that was not run."""
    is_run = (folder / "reader" / CHECKPOINT).exists()
    return _checkpoint(folder, "reader") if is_run or start is None else start


def _checkpoint(folder: Path, name: str) -> Path:
    path = folder / name / CHECKPOINT
    if not path.exists():
        raise TrainingError(
            f"stage {name} has left no checkpoint in {folder / name}; run it first: --stage {name}"
        )
    return path


def _shortened(stage: Stage, share: float) -> Stage:
    steps = max(1, round(stage.course.steps * share))
    return replace(stage, course=replace(stage.course, steps=steps))
