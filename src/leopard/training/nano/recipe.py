"""How the shipped small model is trained: its stages in order, each a folder to go on from.

    reader      the vision encoder learns to read crops
    locating    the language model learns where answers stand; true slots, some of them misread, are
                its eyes
    asking      ... to copy, to answer and to stop
    seeing      ... where answers stand again, now through the encoder
    looking     ... and to answer through it
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
from leopard.training.nano.asking import AskingSettings
from leopard.training.nano.course import CourseSettings
from leopard.training.nano.lessons import PageSource
from leopard.training.nano.package import write_model
from leopard.training.nano.stages import (
    AskingStage,
    LocatingStage,
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
ASKING = AskingStage(
    plan=PagePlan(grids=GRIDS, text_px=TEXT, documents=0.6),
    lessons=AskingSettings(empty_shares=(0.1, 0.3, 1.0)),
    course=CourseSettings(steps=800, learning_rate=0.2e-3, warmup_steps=10, log_every=20),
    seed=3,
)
SEEING = replace(
    LOCATING,
    lessons=replace(LOCATING.lessons, pool=600, fresh=2),
    course=CourseSettings(steps=300, learning_rate=0.2e-3, warmup_steps=10, log_every=10),
    seed=5,
)
LOOKING = replace(
    ASKING,
    lessons=replace(ASKING.lessons, pool=600, fresh=2),
    course=CourseSettings(steps=300, learning_rate=0.1e-3, warmup_steps=10, log_every=10),
    seed=7,
)
Stage = TypeVar("Stage", ReaderStage, LocatingStage, AskingStage)
STAGES = ("reader", "locating", "asking", "seeing", "looking", "model")


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
        "locating": lambda: train_language(
            source, folder / "locating", _shortened(LOCATING, share), report, start=start
        ),
        "asking": lambda: _go_on(
            source, folder, ("locating", "asking"), _shortened(ASKING, share), report
        ),
        "seeing": lambda: _go_on(
            source, folder, ("asking", "seeing"), _shortened(SEEING, share), report, is_seeing=True
        ),
        "looking": lambda: _go_on(
            source,
            folder,
            ("seeing", "looking"),
            _shortened(LOOKING, share),
            report,
            is_seeing=True,
        ),
        "model": lambda: write_model(
            joined_model(_checkpoint(folder, "reader"), _checkpoint(folder, "looking")),
            folder / "model",
        ),
    }
    runs[name]()


def _go_on(
    source: PageSource,
    folder: Path,
    names: tuple[str, str],
    stage: LocatingStage | AskingStage,
    report: Report,
    *,
    is_seeing: bool = False,
) -> None:
    """Run the second of two stages on what the first has left, on true slots or on features."""
    eyes, start = folder / "eyes" if is_seeing else None, _checkpoint(folder, names[0])
    if eyes is not None and not (eyes / "config.json").exists():
        write_model(joined_model(_checkpoint(folder, "reader"), start), eyes)
    train_language(source, folder / names[1], stage, report, start=start, eyes=eyes)


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
