"""MultiHiertt: arithmetic over several hierarchical tables and text. Tables are rendered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from leopard.documents.html_tables import cells_from_html
from leopard.documents.tables import Table
from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import hiertt
from leopard.evaluation.rendering import rendered_pages
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_open
from leopard.evaluation.task import Outcome, Task


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the development file (the test file has no answers)."""
    yield from data.json(data.find("dev.json", "*dev*.json"))


def gold_text(answer: Any) -> str:
    """A gold answer as text: whole numbers without a decimal point."""
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        return str(int(answer)) if math.isfinite(answer) and answer == int(answer) else str(answer)
    return str(answer)


def _needed(record: Record, num_tables: int) -> Sequence[int]:
    """Tables named by the evidence ("0-3-2" is table 0, row 3, column 2)."""
    places = record["qa"].get("table_evidence") or []
    return sorted({int(str(place).split("-")[0]) for place in places} & set(range(num_tables)))


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - rendered, not read
    """One page or more for each table, then the paragraphs."""
    qa = record["qa"]
    tables = [Table(cells_from_html(html)) for html in record["tables"]]
    if not tables:
        raise EvaluationError("the record has no table")
    texts = [str(text) for text in record.get("paragraphs") or ()]
    groups: list[list[str | Table]] = [[table] for table in tables]
    groups += [list(texts)] if texts else []
    images, first = rendered_pages(groups, str(record["uid"]))
    needed = _needed(record, len(tables))
    return EvalSample(
        id=str(record["uid"]),
        doc_id=str(record["uid"]),
        question=qa["question"],
        images=images,
        answers=(gold_text(qa["answer"]),),
        answer_type="arithmetic" if qa.get("program") else "span",
        evidence=tuple(first[index] for index in needed) or None,
        gold={"program": qa.get("program") or "", "answer": qa["answer"]},
    )


def _official(index: int, sample: EvalSample, answer: Answer) -> Outcome:
    # Our answers are texts: against a program the number rule decides, else the span rule.
    if sample.gold["program"]:
        scores = hiertt.multihiertt_span_vs_program(answer.text, sample.gold["answer"])
    else:
        scores = hiertt.multihiertt_span(answer.text, sample.answers[0])
    return Outcome(float(scores[index]), unparsed=not answer.text)


TASK = Task(
    name="multihiertt",
    title="MultiHiertt",
    records=records,
    sample=sample,
    scorers={
        "em": lambda s, a: _official(0, s, a),
        "f1": lambda s, a: _official(1, s, a),
        "leopard": leopard_open,
    },
    split="dev",
    where="Get it from github.com/psunlpgroup/MultiHiertt (MIT).",
    expects="dev.json with `tables` as HTML",
)
