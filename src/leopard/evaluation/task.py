"""What a task is: a benchmark's records turned into samples, its scorers and its headline.

Knows nothing of models or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leopard.errors import DataError, DocumentError, EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.samples import EvalSample
from leopard.processor.prompt import IMAGE_TAG


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scorer says of one answer."""

    value: float
    """0 to 1."""
    unparsed: bool = False
    """Whether no answer could be read from the response; it is then wrong."""


Scorer = Callable[[EvalSample, Answer], Outcome]
Scored = Mapping[str, object]
"""A record of a run: at least `id`, `source`, `doc_id`, `answer_type`, `parsed` and `scores`."""
Headline = Callable[[Sequence[Scored], str], float]

# What a record of the wrong shape raises in the pure functions that read it.
_SHAPE_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One benchmark."""

    name: str
    """Short name for commands."""
    title: str
    """Name as people write it."""
    records: Callable[[DataFolder], Iterable[Record]]
    """Reads the published files; one record for each sample to be."""
    sample: Callable[[Record, DataFolder], EvalSample]
    """Turns one record into a sample; raises where it cannot."""
    scorers: Mapping[str, Scorer]
    """By name; the first is the official one, `leopard` is the published runner's."""
    where: str
    """Where to get the data and under which terms."""
    expects: str
    """Files as distributed."""
    split: str = "test"
    """Split that is usually reported."""
    headline: Headline | None = None
    """Score of a whole run; None is the mean over all samples."""
    extras: Mapping[str, Callable[[Sequence[Scored]], float]] = field(default_factory=dict)
    """Further numbers of a whole run that no sample has, such as F1."""
    version: int = 1
    """Changes whenever prompts, gold or scores can."""

    @property
    def primary(self) -> str:
        """Name of the official scorer."""
        return next(iter(self.scorers))

    @property
    def hint(self) -> str:
        """One sentence for messages about missing files."""
        return f"{self.title} expects {self.expects}. {self.where}"

    def samples(self, path: Path | str) -> Iterator[EvalSample]:
        """Samples of a local copy, in file order; those that cannot be built carry a `problem`.

        Raises:
            EvaluationError: If files are missing or not what they should be, or an id occurs twice.
        """
        data = DataFolder(path, hint=self.hint)
        seen: set[str] = set()
        for index, record in enumerate(self._records(data)):
            sample = self._build(record, data, index)
            if sample.id in seen:
                raise EvaluationError(f"{self.name}: sample id {sample.id!r} occurs twice")
            seen.add(sample.id)
            yield sample
        if not seen:
            raise EvaluationError(f"{data.path}: holds no sample of {self.title}. {self.hint}")

    def _records(self, data: DataFolder) -> Iterator[Record]:
        try:
            for record in self.records(data):
                yield dict(record.items())
        except _SHAPE_ERRORS as error:
            raise EvaluationError(
                f"{data.path}: the annotation has another layout than {self.title} "
                f"({type(error).__name__} {error}). {self.hint}"
            ) from error

    def _build(self, record: Record, data: DataFolder, index: int) -> EvalSample:
        try:
            built = self.sample(record, data)
            tags = built.question.count(IMAGE_TAG)
            if tags > len(built.images):
                raise EvaluationError(f"{tags} image tags but {len(built.images)} images")
            return built
        except (EvaluationError, DataError, DocumentError) as error:
            reason = str(error)
        except _SHAPE_ERRORS as error:
            reason = f"record {index} is not as expected: {type(error).__name__} {error}"
        source = str(record.get("_source") or "all")
        # What counts once as a group counts once when it is broken, too.
        group = str(record.get("_group") or "")
        return EvalSample.broken(_any_id(record, index), reason, source=source, doc_id=group)

    def score(self, sample: EvalSample, answer: Answer) -> dict[str, Outcome]:
        """Outcome of every scorer; a sample with a problem scores 0 everywhere."""
        if sample.problem:
            return {name: Outcome(0.0) for name in self.scorers}
        return {name: scorer(sample, answer) for name, scorer in self.scorers.items()}

    def total(self, records: Sequence[Scored], scorer: str) -> float:
        """Score of a run, 0 to 1; of no records 0."""
        if not records:
            return 0.0
        return (self.headline or mean)(records, scorer)


def _any_id(record: Record, index: int) -> str:
    for key in ("id", "questionId", "question_id", "qa_id", "uid", "pid"):
        if record.get(key) not in (None, ""):
            return f"{record[key]}-record-{index}"
    return f"record-{index}"


def value_of(record: Scored, scorer: str) -> float:
    """A record's score, 0 to 1."""
    scores = record["scores"]
    assert isinstance(scores, Mapping)
    return float(scores[scorer])


def mean(records: Sequence[Scored], scorer: str) -> float:
    """Mean over samples."""
    return sum(value_of(record, scorer) for record in records) / len(records)


def by_source(records: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Records of each source, sources in order of appearance."""
    groups: dict[str, list[Scored]] = {}
    for record in records:
        groups.setdefault(str(record["source"]), []).append(record)
    return groups


def mean_of_sources(records: Sequence[Scored], scorer: str) -> float:
    """Mean over the means of each source."""
    groups = by_source(records).values()
    return sum(mean(group, scorer) for group in groups) / len(groups)
