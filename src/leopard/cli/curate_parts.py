"""Small parts that the `curate` commands share: settings, splits, progress.

Knows nothing of what is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from leopard.errors import ConfigError
from leopard.schema.samples import Split

if TYPE_CHECKING:
    from leopard.curation.synthesis.settings import SynthSettings


def settings_of(
    preset: str | None, config: Path | None, overrides: Sequence[str], seed: int | None
) -> SynthSettings:
    """Settings from a preset or a file, with overrides and a seed on top.

    Raises:
        ConfigError: If both or neither are given, or a value is wrong.
    """
    from leopard.config import build, load, merge, parse_override
    from leopard.curation.synthesis.settings import SynthSettings, load_preset, preset_names

    if (preset is None) == (config is None):
        raise ConfigError(
            f"give either --preset ({', '.join(preset_names())}) or --config FILE.toml"
        )
    base = load_preset(preset) if preset else load(SynthSettings, config)
    values = base.model_dump(mode="json")
    for override in overrides:
        values = merge(values, parse_override(override))
    if seed is not None:
        values["seed"] = seed
    return build(SynthSettings, values, origin="--set")


def split_of(name: str | None) -> Split | None:
    """A split by name, or None.

    Raises:
        ConfigError: If the name is no split.
    """
    splits: tuple[Split, ...] = get_args(Split)
    if name is None:
        return None
    for split in splits:
        if split == name:
            return split
    raise ConfigError(f"split {name!r} is unknown; use one of {', '.join(splits)}")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal: done, of how many, per second, time left; call it to advance it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
