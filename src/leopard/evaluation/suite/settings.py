"""A suite as its file says it: sets, models, runs, and the figures that are read off the runs.

Knows nothing of how sets are made or models loaded.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from leopard.config import Settings
from leopard.evaluation.tasks import TASK_NAMES
from leopard.evaluation.views import VIEWS

Filter = dict[str, tuple[str, ...]]
"""Field of a record -> values that count; empty means every record."""


def part_of(number: int, share: float) -> int:
    """How much of a set a trial takes, at least one."""
    return max(1, round(number * share))


class SynthSettings(Settings):
    """A held-out set that is made before it is asked."""

    preset: str
    """Preset of the data engine."""
    samples: int = Field(ge=1)
    """Documents; each brings several questions."""
    split: Literal["train", "val", "test"] = "test"
    """`test` shows fonts and styles that no training document shows."""
    seed: int = 0
    change: tuple[str, ...] = ()
    """Settings of the preset to override, such as `max_pages=8`."""


class SetSettings(Settings):
    """One set of samples."""

    title: str
    task: str
    """Name of the task that reads it."""
    synth: SynthSettings | None = None
    """Made here; otherwise `data` must be there."""
    data: str = ""
    """Path below the folder of data that the command names."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many samples."""
    note: str = ""
    """What a reader has to know: selection, licence."""
    in_gallery: bool = True
    """False where the licence forbids to show pages."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> SetSettings:
        if self.task not in TASK_NAMES:
            raise ValueError(f"task {self.task!r} is unknown; use one of {', '.join(TASK_NAMES)}")
        if (self.synth is None) == (not self.data):
            raise ValueError("give either synth or data")
        return self


class ModelSettings(Settings):
    """What answers."""

    title: str
    model: str | None = None
    """Folder or name."""
    untrained_twin_of: str | None = None
    """Folder or name of a model whose shape is taken, with random weights."""
    seed: int = 0
    """Of the random weights."""
    baseline: Literal["random", "majority"] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> ModelSettings:
        given = (self.model, self.untrained_twin_of, self.baseline)
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of model, untrained_twin_of, baseline")
        return self


class RunEntry(Settings):
    """One set shown to one model in one way."""

    title: str
    data: str
    """Name of the set."""
    model: str
    """Name of the model."""
    view: str = "full"
    policy: str | None = None
    max_tiles: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many samples, where the set has more."""
    gallery: int = Field(default=0, ge=0)
    """Samples of this run in the gallery."""
    breakdowns: tuple[str, ...] = ()
    """What its scores are broken down by in the report."""

    @model_validator(mode="after")
    def _has_a_known_view(self) -> RunEntry:
        if self.view not in VIEWS:
            raise ValueError(f"view {self.view!r} is unknown; use one of {', '.join(VIEWS)}")
        return self


class FigureEntry(Settings):
    """One number with its interval."""

    title: str
    run: str
    scorer: str = "anls"
    only: Filter = Field(default_factory=dict)
    goal: float | None = Field(default=None, ge=0, le=1)
    """What was aimed at, at least."""


class ComparisonEntry(Settings):
    """Run B against run A, sample by sample."""

    title: str
    first: str
    """Run A."""
    second: str
    """Run B."""
    scorer: str = "anls"
    only: Filter = Field(default_factory=dict)
    expect: Literal["", "better", "no better"] = ""
    """What B should be, for the verdict beside the numbers."""


class SuiteSettings(Settings):
    """Everything that a suite runs and says."""

    title: str
    about: str = ""
    """First paragraph of the page."""
    max_new_tokens: int = Field(default=48, ge=1)
    batch_size: int = Field(default=16, ge=1)
    sets: dict[str, SetSettings]
    models: dict[str, ModelSettings]
    runs: dict[str, RunEntry]
    figures: tuple[FigureEntry, ...] = ()
    comparisons: tuple[ComparisonEntry, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> SuiteSettings:
        for name, run in self.runs.items():
            _known(f"runs.{name}.data", run.data, self.sets)
            _known(f"runs.{name}.model", run.model, self.models)
        for figure in self.figures:
            _known(f"figure {figure.title!r}", figure.run, self.runs)
        for pair in self.comparisons:
            for run_name in (pair.first, pair.second):
                _known(f"comparison {pair.title!r}", run_name, self.runs)
            if self.runs[pair.first].data != self.runs[pair.second].data:
                raise ValueError(f"comparison {pair.title!r}: the runs are of different sets")
        return self


def _known(
    where: str,
    name: str,
    table: dict[str, SetSettings] | dict[str, ModelSettings] | dict[str, RunEntry],
) -> None:
    if name not in table:
        raise ValueError(f"{where}: {name!r} is not defined; there are {', '.join(table)}")
