"""Numbers of a run: totals with intervals, breakdowns, evidence pages, and two runs compared.

Intervals come from a bootstrap over documents, because questions of one document are not
independent. Draws are seeded: the same records give the same numbers. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leopard.errors import EvaluationError
from leopard.evaluation.records import Record
from leopard.evaluation.task import Task

NUM_DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float
    has_interval: bool = True
    """False where one document is all there is, from which nobody can draw."""


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a breakdown."""

    name: str
    count: int
    scores: Mapping[str, float]
    unparsed: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the pages that a model names meet the gold pages."""

    count: int
    """Samples with gold pages."""
    named: float
    """Share of them in which the model names a page."""
    exact: float
    """Share in which exactly the gold pages are named."""
    f1: float
    """Mean F1 over pages; a sample without named pages counts 0."""


def clusters(records: Sequence[Record]) -> list[list[Record]]:
    """Records of each document, documents by name."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (str(r["doc_id"]), int(r["index"]))):
        groups.setdefault(str(record["doc_id"]), []).append(record)
    return list(groups.values())


def _interval(draws: Sequence[float]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.asarray(draws), [tail, 1 - tail])
    return float(low), float(high)


def _draws(
    groups: Sequence[Sequence[Record]],
    statistic: Callable[[Sequence[Record]], float],
    num_draws: int,
    seed: int,
) -> list[float]:
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(num_draws):
        chosen = generator.integers(0, len(groups), len(groups))
        values.append(statistic([record for index in chosen for record in groups[index]]))
    return values


def _mean_draws(
    groups: Sequence[Sequence[Record]], scorer: str, num_draws: int, seed: int
) -> list[float]:
    """As `_draws` for a plain mean, from sums and sizes of the documents."""
    generator = np.random.default_rng(seed)
    sums = np.array([sum(float(r["scores"][scorer]) for r in group) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=float)
    chosen = generator.integers(0, len(groups), (num_draws, len(groups)))
    return list(sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))


def estimate(
    task: Task, records: Sequence[Record], scorer: str, *, num_draws: int = NUM_DRAWS, seed: int = 0
) -> Estimate:
    """Score of a run with its 95 % interval.

    Args:
        task: Its headline is applied to every draw.
        records: Records of the run.
        scorer: Name of a scorer.
        num_draws: Bootstrap draws of documents.
        seed: Seed of the draws.

    Source: percentile bootstrap (Efron 1979) over clusters.
    """
    value = task.total(records, scorer)
    groups = clusters(records)
    if len(groups) < 2:
        return Estimate(value, value, value, has_interval=False)
    if task.headline is None:
        draws = _mean_draws(groups, scorer, num_draws, seed)
    else:
        draws = _draws(groups, lambda rows: task.total(rows, scorer), num_draws, seed)
    return Estimate(value, *_interval(draws))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A on the samples of both."""

    count: int
    first: float
    second: float
    difference: Estimate
    """B minus A, with its interval over documents."""
    better: int
    """Samples on which B scores more."""
    worse: int
    """Samples on which B scores less."""
    p_value: float
    """Two-sided p-value of the sign test on documents (0.5 to each tie broken out)."""
    other_images: int
    """Samples whose image bytes differ between the runs."""


def compare(
    task: Task,
    first: Sequence[Record],
    second: Sequence[Record],
    scorer: str,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare two runs pairwise.

    Raises:
        EvaluationError: If the runs do not hold the same samples.
    """
    ours, theirs = ({r["id"]: r for r in rows} for rows in (first, second))
    if set(ours) != set(theirs):
        only = sorted(set(ours) ^ set(theirs))
        raise EvaluationError(
            f"the runs do not hold the same samples: {len(only)} are in one only, such as "
            f"{only[0]!r}; compare whole runs of the same data"
        )
    pairs = [[(r, theirs[r["id"]]) for r in group] for group in clusters(list(ours.values()))]
    sums = np.array(
        [sum(b["scores"][scorer] - a["scores"][scorer] for a, b in group) for group in pairs]
    )
    value = task.total(list(theirs.values()), scorer) - task.total(list(ours.values()), scorer)
    draws = _paired_draws(task, pairs, scorer, num_draws, seed) if len(pairs) > 1 else [value]
    flat = [pair for group in pairs for pair in group]
    return Comparison(
        count=len(flat),
        first=task.total(list(ours.values()), scorer),
        second=task.total(list(theirs.values()), scorer),
        difference=Estimate(value, *_interval(draws)),
        better=sum(b["scores"][scorer] > a["scores"][scorer] for a, b in flat),
        worse=sum(b["scores"][scorer] < a["scores"][scorer] for a, b in flat),
        p_value=sign_test(int((sums > 1e-12).sum()), int((sums < -1e-12).sum())),
        other_images=sum(_hashes(a) != _hashes(b) for a, b in flat),
    )


def _paired_draws(
    task: Task,
    pairs: Sequence[Sequence[tuple[Record, Record]]],
    scorer: str,
    num_draws: int,
    seed: int,
) -> list[float]:
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(num_draws):
        chosen = generator.integers(0, len(pairs), len(pairs))
        drawn = [pair for index in chosen for pair in pairs[index]]
        first, second = [a for a, _ in drawn], [b for _, b in drawn]
        values.append(task.total(second, scorer) - task.total(first, scorer))
    return values


def _hashes(record: Record) -> list[str]:
    return [str(image.get("sha256")) for image in record["images"]]


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of as lopsided a split of fair coins; 1.0 when nothing differs."""
    from math import comb

    total = wins + losses
    if total == 0:
        return 1.0
    tail = sum(comb(total, k) for k in range(min(wins, losses) + 1)) / 2**total
    return min(1.0, 2.0 * float(tail))


def evidence(records: Sequence[Record]) -> Evidence:
    """Named pages against gold pages, over the samples that have gold pages and several images."""
    rows = [
        (set(r["shown_evidence"]), set(r["pages_named"]))
        for r in records
        if r.get("shown_evidence") and len(r["images"]) > 1
    ]
    if not rows:
        return Evidence(0, 0.0, 0.0, 0.0)
    f1 = [2 * len(gold & named) / (len(gold) + len(named)) for gold, named in rows]
    return Evidence(
        count=len(rows),
        named=sum(bool(named) for _, named in rows) / len(rows),
        exact=sum(gold == named for gold, named in rows) / len(rows),
        f1=sum(f1) / len(rows),
    )


def _image_bucket(record: Record) -> str:
    count = int(record["num_images"])
    for low, high in ((0, 0), (1, 1), (2, 4), (5, 9), (10, 19), (20, 49)):
        if low <= count <= high:
            return str(low) if low == high else f"{low}-{high}"
    return "50+"


def _evidence_bucket(record: Record) -> str:
    pages = record["evidence"]
    if pages is None:
        return "not given"
    return "1 page" if len(pages) == 1 else f"{'2-3' if len(pages) < 4 else '4+'} pages"


def _token_bucket(record: Record) -> str:
    tokens = sum(int(image.get("visual_tokens") or 0) for image in record["images"])
    if not tokens:
        return "not known"
    per_image = tokens / len(record["images"])
    for limit in (200, 500, 1000, 2000):
        if per_image <= limit:
            return f"up to {limit}"
    return "over 2000"


BREAKDOWNS: dict[str, Callable[[Record], str]] = {
    "images": _image_bucket,
    "evidence pages": _evidence_bucket,
    "source": lambda record: str(record["source"]),
    "answer type": lambda record: str(record["answer_type"]),
    "visual tokens per image": _token_bucket,
}
"""What scores are broken down by."""


def _group_key(name: str) -> tuple[int, str]:
    digits = "".join(char for char in name.split("-")[0] if char.isdigit())
    return (int(digits) if digits else 1 << 30, name)


def breakdown(records: Sequence[Record], by: str) -> list[Group]:
    """Mean scores of each group, groups in natural order.

    Raises:
        EvaluationError: If the breakdown is unknown.
    """
    if by not in BREAKDOWNS:
        raise EvaluationError(f"breakdown {by!r} is unknown; use one of {', '.join(BREAKDOWNS)}")
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(BREAKDOWNS[by](record), []).append(record)
    return [
        Group(
            name=name,
            count=len(rows),
            scores={
                scorer: sum(float(r["scores"][scorer]) for r in rows) / len(rows)
                for scorer in rows[0]["scores"]
            },
            unparsed=sum(bool(r["unparsed"]) for r in rows) / len(rows),
        )
        for name, rows in sorted(groups.items(), key=lambda item: _group_key(item[0]))
    ]


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a run at a glance."""

    count: int
    expected: int
    """Samples of the run, scored or not yet."""
    scores: Mapping[str, Estimate]
    extras: Mapping[str, float]
    unparsed: float
    failed: int
    broken: int
    truncated: int
    dropped_images: int
    images_per_sample: float
    tokens_per_image: float
    """Visual tokens of an image, 0 where they are not known."""
    evidence: Evidence
    seconds: float


def summarise(
    task: Task,
    records: Sequence[Record],
    expected: int | None = None,
    *,
    num_draws: int = NUM_DRAWS,
) -> Summary:
    """All numbers of a run.

    Raises:
        EvaluationError: If there is no record.
    """
    if not records:
        raise EvaluationError("the run holds no record yet")
    images = [image for record in records for image in record["images"]]
    tokens = sum(int(image.get("visual_tokens") or 0) for image in images)
    return Summary(
        count=len(records),
        expected=len(records) if expected is None else expected,
        scores={name: estimate(task, records, name, num_draws=num_draws) for name in task.scorers},
        extras={name: extra(records) for name, extra in task.extras.items()},
        unparsed=sum(bool(r["unparsed"]) for r in records) / len(records),
        failed=sum(bool(r["error"]) and not r["problem"] for r in records),
        broken=sum(bool(r["problem"]) for r in records),
        truncated=sum(bool(r["truncated"]) for r in records),
        dropped_images=sum(int(r["dropped_images"]) for r in records),
        images_per_sample=len(images) / len(records),
        tokens_per_image=tokens / len(images) if images else 0.0,
        evidence=evidence(records),
        seconds=sum(float(r["seconds"]) for r in records),
    )
