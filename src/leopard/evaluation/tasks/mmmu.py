"""MMMU: college questions with images in text and options. Knows nothing of other benchmarks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, embedded_image
from leopard.evaluation.metrics import mmmu
from leopard.evaluation.samples import LETTERS, EvalSample
from leopard.evaluation.scorers import by_type, choice, leopard_accuracy, options_text
from leopard.evaluation.task import Outcome, Task
from leopard.processor.prompt import IMAGE_TAG

_REFERENCE = re.compile(r"<image (\d+)>")


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of the validation files of all subjects."""
    for row in data.parquet("*validation*.parquet", "*val*.parquet"):
        yield {**row, "_source": row.get("subfield") or PurePosixPath(row["_file"]).parent.name}


def _literal(value: Any) -> list[str]:
    """Options and answers come as the text of a Python list; it is read as a literal only."""
    if isinstance(value, str):
        if not value.strip().startswith("["):
            return [value]
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise EvaluationError(f"{value!r} is not a list ({error})") from error
    return [str(item) for item in value or []]


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - images are inside
    """Images in the order in which the text refers to them; each is shown once.

    A picture that is referred to again is named "image k" by its place; one that no text refers
    to is left out, as in the published evaluation.
    """
    options = _literal(record.get("options"))
    is_choice = record["question_type"] == "multiple-choice"
    text = str(record["question"])
    if is_choice:
        text += "\nChoices:\n" + options_text(options)
    numbers = list(dict.fromkeys(_REFERENCE.findall(text)))
    images = tuple(
        embedded_image(record.get(f"image_{number}"), f"{record['id']}, image {number}")
        for number in numbers
    )
    if not images:
        raise EvaluationError("the question refers to no image")
    answers = _literal(record["answer"])
    if is_choice and answers[0] not in LETTERS[: len(options)]:
        raise EvaluationError(f"answer {answers[0]!r} is none of {len(options)} options")
    return EvalSample(
        id=str(record["id"]),
        doc_id=str(record["id"]),
        question=_tagged(text, numbers),
        images=images,
        answers=tuple(answers),
        question_type="multiple-choice" if is_choice else "open-ended",
        options=tuple(_REFERENCE.sub(r"image \1", option) for option in options),
        source=str(record["_source"]),
        answer_type=str(record["question_type"]),
    )


def _tagged(text: str, numbers: list[str]) -> str:
    seen: set[str] = set()

    def tag(found: re.Match[str]) -> str:
        if found[1] in seen:
            return f"image {numbers.index(found[1]) + 1}"
        seen.add(found[1])
        return IMAGE_TAG

    return _REFERENCE.sub(tag, text)


def _open(sample: EvalSample, answer: Answer) -> Outcome:
    value = mmmu.mmmu_open_correct(list(sample.answers), answer.text)
    return Outcome(float(value), unparsed=not answer.text)


TASK = Task(
    name="mmmu",
    title="MMMU",
    records=records,
    sample=sample,
    scorers={
        "accuracy": by_type(choice(mmmu.mmmu_parse_mc), _open),
        "lenient": by_type(choice(), _open),
        "leopard": leopard_accuracy,
    },
    split="validation",
    where="Get it from huggingface.co/datasets/MMMU/MMMU (Apache-2.0).",
    expects="<subject>/validation-*.parquet",
)
