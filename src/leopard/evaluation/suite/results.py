"""From the finished runs of a suite to one plain record of all figures: `results.json`.

Everything on the pages comes from this record. Knows nothing of HTML or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leopard.evaluation.records import Record
from leopard.evaluation.report.pages import Run, load_run
from leopard.evaluation.statistics import Estimate, breakdown, compare, estimate
from leopard.evaluation.suite.settings import (
    ComparisonEntry,
    FigureEntry,
    Filter,
    RunEntry,
    SuiteSettings,
    SynthSettings,
    part_of,
)

PAPER_SCORER = "leopard"
Results = dict[str, Any]
"""Plain JSON: title, about, sets, runs, figures, comparisons, left_out."""


def chosen(records: Sequence[Record], only: Filter) -> list[Record]:
    """Records whose fields have one of the values asked for."""
    return [
        record
        for record in records
        if all(str(record[field]) in values for field, values in only.items())
    ]


def collect(
    suite: SuiteSettings,
    folders: Mapping[str, Path],
    left_out: Mapping[str, str],
    share: float = 1.0,
) -> Results:
    """Count all runs up.

    Args:
        suite: The suite.
        folders: Folder of each run that was made, by its name.
        left_out: Why the other runs were not made.
        share: Share of each set that was asked; below 1 it was a trial.

    Raises:
        EvaluationError: If a folder holds no run.
    """
    runs = {name: load_run(folder) for name, folder in folders.items()}
    return {
        "title": suite.title,
        "about": suite.about,
        "share": share,
        "sets": {
            name: {
                "title": entry.title,
                "task": entry.task,
                "note": entry.note,
                "made": None if entry.synth is None else _origin(entry.synth, share),
            }
            for name, entry in suite.sets.items()
        },
        "runs": [_run(name, suite, runs[name]) for name in suite.runs if name in runs],
        "figures": [_figure(f, runs[f.run]) for f in suite.figures if f.run in runs],
        "comparisons": [
            _comparison(pair, runs[pair.first], runs[pair.second])
            for pair in suite.comparisons
            if pair.first in runs and pair.second in runs
        ],
        "left_out": dict(left_out),
    }


def _origin(synth: SynthSettings, share: float) -> dict[str, Any]:
    return {**synth.model_dump(mode="json"), "samples": part_of(synth.samples, share)}


def _numbers(found: Estimate) -> dict[str, float | None]:
    low, high = (found.low, found.high) if found.has_interval else (None, None)
    return {"value": found.value, "low": low, "high": high}


def _run(name: str, suite: SuiteSettings, run: Run) -> dict[str, Any]:
    entry: RunEntry = suite.runs[name]
    summary, identity = run.summary, run.manifest["identity"]
    encoding = identity.get("encoding") or {}
    names = [run.task.primary, *(n for n in ("anls", PAPER_SCORER) if n in run.task.scorers)]
    return {
        "name": name,
        "title": entry.title,
        "set": entry.data,
        "model": suite.models[entry.model].title,
        "fingerprint": identity["fingerprint"],
        "view": identity["view"],
        "policy": encoding.get("policy", ""),
        "max_crops": encoding.get("max_crops"),
        "max_tiles": encoding.get("max_tiles_per_image"),
        "limit": identity["limit"],
        "samples": summary.count,
        "expected": summary.expected,
        "documents": len({record["doc_id"] for record in run.records}),
        "scores": {n: _numbers(summary.scores[n]) for n in dict.fromkeys(names)},
        "extras": dict(summary.extras),
        "unparsed": summary.unparsed,
        "failed": summary.failed,
        "broken": summary.broken,
        "images_per_sample": summary.images_per_sample,
        "tokens_per_image": summary.tokens_per_image,
        "seconds": summary.seconds,
        "breakdowns": {
            by: [
                {"group": g.name, "samples": g.count, "scores": dict(g.scores)}
                for g in breakdown(run.records, by)
            ]
            for by in entry.breakdowns
        },
    }


def _figure(entry: FigureEntry, run: Run) -> dict[str, Any]:
    records = chosen(run.records, entry.only)
    found: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if records:
        found = _numbers(estimate(run.task, records, entry.scorer))
    value = found["value"]
    reached = None if entry.goal is None or value is None else value >= entry.goal
    return {
        "title": entry.title,
        "run": entry.run,
        "scorer": entry.scorer,
        "only": entry.only,
        "samples": len(records),
        **found,
        "goal": entry.goal,
        "reached": reached,
    }


def _comparison(entry: ComparisonEntry, first: Run, second: Run) -> dict[str, Any]:
    ours, theirs = _common(chosen(first.records, entry.only), chosen(second.records, entry.only))
    row: dict[str, Any] = {
        "title": entry.title,
        "first": entry.first,
        "second": entry.second,
        "scorer": entry.scorer,
        "only": entry.only,
        "samples": len(ours),
        "verdict": "no samples",
    }
    if not ours:
        return row
    found = compare(first.task, ours, theirs, entry.scorer)
    gap = found.difference
    return row | {
        "a": found.first,
        "b": found.second,
        "difference": gap.value,
        "low": gap.low,
        "high": gap.high,
        "better": found.better,
        "worse": found.worse,
        "p": found.p_value,
        "verdict": _verdict(gap, entry.expect),
    }


def _common(first: list[Record], second: list[Record]) -> tuple[list[Record], list[Record]]:
    """Samples of both; a run with a limit holds fewer."""
    shared = {r["id"] for r in first} & {r["id"] for r in second}
    ours, theirs = ([r for r in rows if r["id"] in shared] for rows in (first, second))
    return ours, theirs


def _verdict(gap: Estimate, expect: str) -> str:
    if gap.low > 0:
        said = "B is better"
    elif gap.high < 0:
        said = "B is worse"
    else:
        said = "no difference shown"
    if not expect:
        return said
    met = gap.low > 0 if expect == "better" else gap.low <= 0
    return f"{said}: {'as' if met else 'not as'} expected"
