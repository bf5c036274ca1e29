"""Small parts that the `curate` commands share: settings, splits, plans, executors.

Knows nothing of what is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from leopard.errors import ConfigError
from leopard.schema.samples import Split

if TYPE_CHECKING:
    from leopard.curation.bench import Rate
    from leopard.curation.plan import Plan, Unit
    from leopard.curation.synthesis.settings import SynthSettings
    from leopard.executors.local import LocalExecutor
    from leopard.executors.rank import RankExecutor
    from leopard.executors.ray import RayExecutor


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


def make_plan(
    chosen: tuple[str | None, Path | None, list[str] | None, int | None],
    samples: int,
    shard_size: int,
    split: str | None,
) -> Plan:
    """A plan from what was given on the command line: (preset, config, overrides, seed), sizes."""
    from leopard.curation.plan import Plan
    from leopard.curation.synthesis.browser import with_renderer

    preset, config, overrides, seed = chosen
    return Plan(
        settings=with_renderer(settings_of(preset, config, overrides or [], seed)),
        num_samples=samples,
        shard_size=shard_size,
        split=split_of(split),
    )


def choose_executor(
    name: str,
    units: tuple[Unit, ...],
    workers: int,
    place: tuple[int, int],
    address: str | None,
) -> tuple[LocalExecutor | RankExecutor | RayExecutor, tuple[Unit, ...]]:
    """The executor of this name, and the units that are its own.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name == "local":
        from leopard.executors.local import LocalExecutor

        return LocalExecutor(workers), units
    if name == "ray":
        from leopard.executors.ray import RayExecutor

        return RayExecutor(address, workers), units
    if name == "rank":
        from leopard.executors.local import LocalExecutor
        from leopard.executors.rank import RankExecutor

        own = RankExecutor(*place)
        return LocalExecutor(workers), units[own.rank :: own.world]
    raise ConfigError(f"executor {name!r} is unknown; use one of local, ray, rank")


def rate_table(rates: Iterable[Rate]) -> None:
    """Print rates as a table, line by line as they come."""
    from rich.console import Console

    console = Console()
    console.print(f"{'per CPU-second':>16}  {'goal':>6}  what")
    for rate in rates:
        goal = "" if rate.goal is None else f"{rate.goal:g}"
        value = "-" if rate.per_second is None else f"{rate.per_second:.1f}"
        missed = rate.goal is not None and (rate.per_second or 0) < rate.goal
        line = f"{value:>16}  {goal:>6}  {rate.what}"
        style = "yellow" if missed else None
        console.print(line, style=style, highlight=False, soft_wrap=True)
