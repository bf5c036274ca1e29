"""A plan: which samples go into which shard. One unit of work makes exactly one shard.

The plan is written into the output folder; a folder never mixes two plans. Knows nothing of who
does the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leopard.config import build
from leopard.curation.synthesis.settings import SynthSettings
from leopard.errors import ConfigError
from leopard.schema.files import write_text_atomically
from leopard.schema.samples import Split
from leopard.schema.shards import info_path, read_info

PLAN_FILE = "plan.json"


@dataclass(frozen=True, slots=True)
class Unit:
    """Work that makes one shard: the samples `start` to `stop - 1`."""

    index: int
    start: int
    stop: int

    @property
    def shard_name(self) -> str:
        """File name of the shard."""
        return f"shard-{self.index:05d}.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that decides a synthetic set and its shards."""

    settings: SynthSettings
    num_samples: int
    shard_size: int = 500
    """Samples per shard; it changes the files, never the samples."""
    split: Split | None = None
    """Make this split only; by default the settings' shares decide."""

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.shard_size < 1:
            raise ConfigError(
                f"samples is {self.num_samples} and shard size {self.shard_size}; "
                "both must be at least 1"
            )

    @property
    def units(self) -> tuple[Unit, ...]:
        """All units, in order."""
        starts = range(0, self.num_samples, self.shard_size)
        return tuple(
            Unit(i, start, min(start + self.shard_size, self.num_samples))
            for i, start in enumerate(starts)
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON."""
        return {
            "content_hash": self.settings.content_hash,
            "num_samples": self.num_samples,
            "shard_size": self.shard_size,
            "split": self.split,
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Plan:
        """The plan that a JSON record holds."""
        return cls(
            settings=build(SynthSettings, record["settings"], origin=PLAN_FILE),
            num_samples=record["num_samples"],
            shard_size=record["shard_size"],
            split=record["split"],
        )

    def finished(self, folder: Path) -> Iterator[Unit]:
        """Units whose shard is there, made of these settings; others are made anew."""
        for unit in self.units:
            shard = folder / unit.shard_name
            if not (shard.exists() and info_path(shard).exists()):
                continue
            if read_info(shard).config_hash == self.settings.content_hash:
                yield unit


def save_plan(plan: Plan, folder: Path) -> None:
    """Put the plan into its folder, or check that the folder's plan is this one.

    More samples of the same set may be asked for later.

    Raises:
        ConfigError: If the folder holds another set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN_FILE
    if path.exists():
        old = load_plan(folder)
        same = (old.settings == plan.settings and old.shard_size == plan.shard_size
                and old.split == plan.split)  # fmt: skip
        if not same:
            raise ConfigError(
                f"{folder} holds another set (content {old.settings.content_hash}, shard size "
                f"{old.shard_size}, split {old.split}); got content {plan.settings.content_hash}, "
                f"shard size {plan.shard_size}, split {plan.split}. Give a new folder"
            )
        if old.num_samples == plan.num_samples:
            return
        _drop_ragged(old, plan, folder)
    write_text_atomically(path, json.dumps(plan.to_dict(), indent=1) + "\n")


def load_plan(folder: Path) -> Plan:
    """The plan of a folder.

    Raises:
        ConfigError: If there is none.
    """
    path = folder / PLAN_FILE
    try:
        return Plan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{path}: no plan here ({error}); make one with `leopard curate plan`"
        ) from error


def _drop_ragged(old: Plan, new: Plan, folder: Path) -> None:
    """Remove shards whose range differs between the plans: the last, shorter one."""
    wanted = set(new.units)
    for unit in old.units:
        if unit not in wanted:
            (folder / unit.shard_name).unlink(missing_ok=True)
