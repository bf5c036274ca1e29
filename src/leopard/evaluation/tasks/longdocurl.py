"""LongDocURL: questions over 30-page windows of long documents. Knows no other benchmark."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import longdocs
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_open
from leopard.evaluation.task import Outcome, Task
from leopard.evaluation.tasks.mmlongbench import short_answer


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the published JSON lines."""
    for row in data.jsonl(data.find("LongDocURL*.jsonl", "*.jsonl")):
        yield {**row, "_source": row.get("task_tag") or "all"}


def sample(record: Record, data: DataFolder) -> EvalSample:
    """The window `start_end_idx` of the document, both ends shown.

    Pages count from 1, as evidence pages do; the numbers in file names count from 0.
    """
    start, end = (int(value) for value in record["start_end_idx"])
    paths = [str(path) for path in record["images"]]
    if len(paths) != end - start + 1:
        raise EvaluationError(f"{len(paths)} images for pages {start} to {end}")
    images = tuple(data.image(*_tails(path)) for path in paths)
    evidence = tuple(
        int(page) - start for page in record.get("evidence_pages") or () if start <= page <= end
    )
    return EvalSample(
        id=str(record["question_id"]),
        doc_id=str(record["doc_no"]),
        question=str(record["question"]),
        images=images,
        answers=(str(record["answer"]),),
        answer_type=str(record["answer_format"]),
        source=str(record["_source"]),
        evidence=evidence or None,
        gold={"answer": record["answer"]},
    )


def _tails(path: str) -> list[str]:
    """The path itself and ever shorter ends of it, as the file names an absolute folder."""
    parts = path.replace("\\", "/").strip("/").split("/")
    return ["/".join(parts[index:]) for index in range(len(parts))]


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    pred = short_answer(answer.text, sample.answer_type)
    value = longdocs.longdocurl_score(sample.gold["answer"], pred, sample.answer_type)
    return Outcome(value, unparsed=not answer.text)


TASK = Task(
    name="longdocurl",
    title="LongDocURL",
    records=records,
    sample=sample,
    scorers={"accuracy": _official, "leopard": leopard_open},
    where=(
        "Get it from huggingface.co/datasets/dengchao/LongDocURL (no licence file; pages are "
        "third-party). Answers are extracted by rule, not by a language model."
    ),
    expects="LongDocURL.jsonl and the page images it names",
)
