"""MultiChartQA: questions over two or three charts. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import charts
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import by_type, choice, leopard_accuracy
from leopard.evaluation.task import Outcome, Task

_FILE = "chart-path_and_question-answer_pair.json"
_CHOICES = ("A", "B", "C", "D")


def records(data: DataFolder) -> Iterator[Record]:
    """Questions of every group folder; a group shares its charts."""
    data.find(_FILE)
    for name in data.matching(_FILE):
        group = PurePosixPath(name).parent.name
        for index, row in enumerate(data.json(name)):
            yield {**row, "_group": group, "_index": index}


def sample(record: Record, data: DataFolder) -> EvalSample:
    """The question's own charts, in its own order (paths may hold backslashes)."""
    group = record["_group"]
    paths = [str(path).replace("\\", "/") for path in record["image"]]
    if not paths:
        raise EvaluationError("image is empty")
    images = tuple(
        data.image(path, f"{group}/{PurePosixPath(path).name}", PurePosixPath(path).name)
        for path in paths
    )
    kind = str(record.get("type") or "open-ended").lower()
    multiple = "multi" in kind and "choice" in kind
    return EvalSample(
        id=f"{group}-{record.get('id', record['_index'])}",
        doc_id=str(group),
        question=record["question"],
        images=images,
        answers=(str(record["answer"]).strip(),),
        question_type="multiple-choice" if multiple else "open-ended",
        options=_CHOICES if multiple else (),
        answer_type=kind,
    )


def _relaxed(sample: EvalSample, answer: Answer) -> Outcome:
    value = charts.multichartqa(sample.answers, answer.text)
    return Outcome(value, unparsed=not answer.text)


def _parts(sample: EvalSample, answer: Answer) -> Outcome:
    parts = charts.multichartqa_parts(sample.answers[0], answer.text)
    return Outcome(sum(parts) / len(parts), unparsed=not answer.text)


TASK = Task(
    name="multichartqa",
    title="MultiChartQA",
    records=records,
    sample=sample,
    scorers={
        "relaxed": by_type(choice(), _relaxed),
        "parts": by_type(choice(), _parts),
        "leopard": leopard_accuracy,
    },
    where=(
        "Get it from github.com/Zivenzhu/Multi-chart-QA; the repository names no licence, its "
        "data card says CC BY-NC 4.0. No scorer is published: numbers within 5 %, texts equal."
    ),
    expects=f"data/<group>/{_FILE} and the charts beside it",
)
