"""MathVista: mathematics in pictures, testmini. Knows nothing of other benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, embedded_image
from leopard.evaluation.metrics import choices
from leopard.evaluation.samples import LETTERS, EvalSample
from leopard.evaluation.scorers import leopard_accuracy, read_letter
from leopard.evaluation.task import Outcome, Task

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of testmini."""
    yield from data.parquet("testmini-*.parquet", "testmini.parquet")


def sample(record: Record, data: DataFolder) -> EvalSample:
    """The benchmark's own `query`, which carries its hint and options."""
    options = [str(option) for option in record.get("choices") or ()]
    is_choice = record["question_type"] == "multi_choice"
    answer = str(record["answer"])
    if is_choice and answer not in options:
        raise EvaluationError(f"answer {answer!r} is none of the choices {options}")
    if record.get("decoded_image"):
        image = embedded_image(record["decoded_image"], str(record["pid"]))
    else:
        image = data.image(str(record["image"]))
    metadata = record.get("metadata") or {}
    return EvalSample(
        id=str(record["pid"]),
        doc_id=str(record.get("image") or record["pid"]),
        question=f"<image> {record['query']}",
        images=(image,),
        answers=(LETTERS[options.index(answer)],) if is_choice else (answer,),
        question_type="multiple-choice" if is_choice else "open-ended",
        options=tuple(options),
        answer_type=str(record["answer_type"]),
        source=str(metadata.get("task") or "all"),
        gold={
            "question_type": record["question_type"],
            "answer_type": record["answer_type"],
            "precision": record.get("precision"),
            "answer": answer,
        },
    )


def _extract(sample: EvalSample, answer: Answer) -> Any:
    """The short answer; the benchmark asks a language model for it, we take letter or number."""
    if sample.question_type == "multiple-choice":
        return read_letter(answer.text, sample.choices)
    if sample.gold["answer_type"] in ("integer", "float"):
        numbers = _NUMBER.findall(answer.text)
        return numbers[-1].replace(",", "") if numbers else None
    return answer.text or None


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    extraction = _extract(sample, answer)
    if extraction is None:
        return Outcome(0.0, unparsed=True)
    gold = sample.gold
    got = choices.mathvista(
        extraction,
        list(sample.options),
        gold["question_type"],
        gold["answer_type"],
        gold["precision"],
        gold["answer"],
    )
    return Outcome(float(got["correct"]))


TASK = Task(
    name="mathvista",
    title="MathVista",
    records=records,
    sample=sample,
    scorers={"accuracy": _official, "leopard": leopard_accuracy},
    split="testmini",
    where=(
        "Get it from huggingface.co/datasets/AI4Math/MathVista (CC BY-SA 4.0; images under their "
        "own licences). Answers are extracted by rule, not by a language model."
    ),
    expects="data/testmini-*.parquet",
)
