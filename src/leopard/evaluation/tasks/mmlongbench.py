"""MMLongBench-Doc: questions over whole PDFs, all pages shown. Knows no other benchmark."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer, split_list
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import longdocs
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_open
from leopard.evaluation.task import Outcome, Scored, Task

_SAYS_NONE = ("not answerable", "unanswerable", "none", "not given", "not mentioned", "n/a")


def records(data: DataFolder) -> Iterator[Record]:
    """Records of samples.json, or of the parquet files of the hub."""
    if data.matching("samples.json"):
        rows: Iterator[Record] = iter(data.json(data.find("samples.json")))
    else:
        rows = data.parquet("train-*.parquet", "train.parquet")
    for index, row in enumerate(rows):
        yield {**row, "_index": index, "_source": row.get("doc_type") or "all"}


def _literal(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise EvaluationError(f"{value!r} is not a list ({error})") from error
    return list(value or [])


def sample(record: Record, data: DataFolder) -> EvalSample:
    """All pages of the PDF, at 144 pixels per inch; evidence pages count from 1."""
    doc = str(record["doc_id"])
    images = data.pdf_pages(data.locate(f"documents/{doc}", doc))
    pages = [int(page) for page in _literal(record.get("evidence_pages") or "[]")]
    beyond = [page for page in pages if not 1 <= page <= len(images)]
    if beyond:
        raise EvaluationError(f"evidence pages {beyond} but {doc} has {len(images)} pages")
    return EvalSample(
        id=f"{doc}-{record['_index']}",
        doc_id=doc,
        question=str(record["question"]),
        images=images,
        answers=(str(record["answer"]),),
        answer_type=str(record["answer_format"]),
        source=str(record["_source"]),
        evidence=tuple(page - 1 for page in pages) or None,
        gold={"evidence_sources": _literal(record.get("evidence_sources") or "[]")},
    )


def short_answer(text: str, answer_type: str) -> Any:
    """The short form the rules compare; the benchmark asks a language model for it."""
    if any(text.lower().strip().rstrip(".") == phrase for phrase in _SAYS_NONE):
        return longdocs.NOT_ANSWERABLE
    return split_list(text) if answer_type == "List" else text


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    pred = short_answer(answer.text, sample.answer_type)
    value = longdocs.mmlongbench_score(sample.answers[0], pred, sample.answer_type)
    return Outcome(value, unparsed=not answer.text)


def f1(records: Sequence[Scored]) -> float:
    """F1 over answerable and answered questions, from the records of a run."""
    samples = []
    for record in records:
        answers, scores = record["answers"], record["scores"]
        assert isinstance(answers, Sequence)
        assert isinstance(scores, Mapping)
        samples.append(
            {
                "answer": answers[0] if answers else "",
                "pred": short_answer(str(record["parsed"]), "Str"),
                "score": scores["accuracy"],
            }
        )
    return longdocs.mmlongbench_acc_f1(samples)[1]


TASK = Task(
    name="mmlongbench",
    title="MMLongBench-Doc",
    records=records,
    sample=sample,
    scorers={"accuracy": _official, "leopard": leopard_open},
    extras={"f1": f1},
    where=(
        "Get it from huggingface.co/datasets/yubo2333/MMLongBench-Doc (data card CC BY-NC 4.0, "
        "PDFs third-party). Answers are extracted by rule, not by a language model."
    ),
    expects="samples.json (or parquet) and documents/*.pdf",
)
