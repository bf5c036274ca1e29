"""MP-DocVQA: questions over up to 20 scanned pages. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import anls
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_anls, leopard_open
from leopard.evaluation.task import Outcome, Task


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the validation file (the test file has no answers)."""
    yield from data.json(data.find("val.json"))["data"]


def sample(record: Record, data: DataFolder) -> EvalSample:
    """Pages in the order of `page_ids`; the gold page is their `answer_page_idx`."""
    page_ids = record["page_ids"]
    if not page_ids:
        raise EvaluationError("page_ids is empty")
    if len(set(page_ids)) != len(page_ids):
        raise EvaluationError(f"page_ids repeat a page: {page_ids}")
    images = tuple(data.image(f"images/{page}.jpg", f"{page}.png") for page in page_ids)
    page = record.get("answer_page_idx")
    if page is not None and not 0 <= page < len(images):
        raise EvaluationError(f"answer_page_idx {page} but {len(images)} pages")
    return EvalSample(
        id=str(record["questionId"]),
        doc_id=str(record["doc_id"]),
        question=record["question"],
        images=images,
        answers=tuple(record.get("answers") or ()),
        evidence=None if page is None else (page,),
    )


def _official(key: str, sample: EvalSample, answer: Answer) -> Outcome:
    scores = anls.mpdocvqa_evaluator(sample.answers, answer.text)
    return Outcome(float(scores[key]), unparsed=not answer.text)


TASK = Task(
    name="mpdocvqa",
    title="MP-DocVQA",
    records=records,
    sample=sample,
    scorers={
        "anls": lambda s, a: _official("anls", s, a),
        "accuracy": lambda s, a: _official("accuracy", s, a),
        "leopard": leopard_anls,
        "leopard_accuracy": leopard_open,
    },
    split="val",
    where=(
        "Get it from rrc.cvc.uab.es (Document Visual Question Answering, task 4) after "
        "registration; for research under the terms given there."
    ),
    expects="val.json and images/<page id>.jpg",
)
