"""Records and samples: what a record keeps, and scores made (again) from a raw response.

Knows nothing of models or files.
"""

from __future__ import annotations

from collections.abc import Sequence

from leopard.evaluation.answers import PARSER, Answer, parse_answer
from leopard.evaluation.records import Record
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.task import Outcome, Task


def sample_fields(sample: EvalSample) -> Record:
    """What a record keeps of its sample, enough to score it again without the data."""
    return {
        "id": sample.id,
        "doc_id": sample.doc_id,
        "source": sample.source,
        "question": sample.question,
        "question_type": sample.question_type,
        "answer_type": sample.answer_type,
        "options": list(sample.options),
        "answers": list(sample.answers),
        "evidence": None if sample.evidence is None else list(sample.evidence),
        "gold": dict(sample.gold),
    }


def sample_of(record: Record) -> EvalSample:
    """The sample of a record, without its images."""
    evidence = record["evidence"]
    return EvalSample(
        id=record["id"],
        doc_id=record["doc_id"],
        source=record["source"],
        question=record["question"],
        question_type=record["question_type"],
        answer_type=record["answer_type"],
        options=tuple(record["options"]),
        answers=tuple(record["answers"]),
        evidence=None if evidence is None else tuple(evidence),
        gold=record["gold"],
        problem=record["problem"],
    )


def score_fields(task: Task, sample: EvalSample, answer: Answer, *, failed: bool) -> Record:
    """Parsed answer and all scores; a sample without a response scores 0 and is not unparsed."""
    outcomes = task.score(sample, answer)
    if failed:
        outcomes = {name: Outcome(0.0) for name in outcomes}
    pages = sorted({page - 1 for page in answer.pages})
    return {
        "parsed": answer.text,
        "pages_named": pages,
        "unparsed": any(outcome.unparsed for outcome in outcomes.values()),
        "scores": {name: outcome.value for name, outcome in outcomes.items()},
        "parser": PARSER,
        "task_version": task.version,
    }


def rescored(task: Task, records: Sequence[Record]) -> list[Record]:
    """The same records with parsed answers and scores made again from the raw responses."""
    return [
        {
            **record,
            **score_fields(
                task, sample_of(record), parse_answer(record["raw"]), failed=bool(record["error"])
            ),
        }
        for record in records
    ]
