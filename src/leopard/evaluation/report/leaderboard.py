"""Published scores as data, and our runs beside them. Knows nothing of HTML."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from leopard.evaluation.records import Record
from leopard.evaluation.statistics import Summary
from leopard.evaluation.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One score of one model on one task, in percent."""

    task: str
    model: str
    score: float
    metric: str
    pages: str
    """Pages that the model sees; empty when the source does not say."""
    tokens: str
    """Visual tokens of a page; empty when the source does not say."""
    source: str
    kind: str
    """`paper`, `record` or `ours`."""


@cache
def published() -> tuple[Row, ...]:
    """Scores of the paper and of today's records."""
    path = resources.files("leopard.evaluation.report") / "leaderboard.toml"
    return tuple(Row(**row) for row in tomllib.loads(path.read_text("utf-8"))["score"])


def own_rows(task: Task, manifest: Record, summary: Summary) -> list[Row]:
    """Our scores of one run: the official one, and the one as in the paper."""
    settings = manifest["identity"]
    part = "" if settings.get("limit") is None else f"first {settings['limit']} samples; "
    shown = "all" if settings["view"] == "full" else str(settings["view"])
    names = [task.primary, *(["leopard"] if "leopard" in task.scorers else [])]
    return [
        Row(
            task=task.name,
            model=str(manifest["model"]),
            score=100 * summary.scores[name].value,
            metric=name if name != "leopard" else "as in the paper",
            pages=shown,
            tokens=f"{summary.tokens_per_image:.0f}" if summary.tokens_per_image else "",
            source=f"{part}{task.split}, {summary.count} samples",
            kind="ours",
        )
        for name in names
    ]


def board(task: str, ours: Sequence[Row]) -> list[Row]:
    """All scores of a task, best first."""
    rows = [row for row in (*published(), *ours) if row.task == task]
    return sorted(rows, key=lambda row: (-row.score, row.model))
