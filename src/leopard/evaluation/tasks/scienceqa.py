"""ScienceQA: school questions, those with an image. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, embedded_image
from leopard.evaluation.metrics import choices
from leopard.evaluation.samples import LETTERS, EvalSample
from leopard.evaluation.scorers import choice, leopard_choice, options_text
from leopard.evaluation.task import Outcome, Task


def records(data: DataFolder) -> Iterator[Record]:
    """Rows of the test split that have an image (2,017 of 4,241)."""
    for index, row in enumerate(data.parquet("test-*.parquet", "test.parquet")):
        if row.get("image"):
            yield {**row, "_index": index, "_source": row.get("subject") or "all"}


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - images are inside
    """Question, hint and options as the published evaluation words them."""
    options = [str(option) for option in record["choices"]]
    gold = int(record["answer"])
    if not 0 <= gold < len(options):
        raise EvaluationError(f"answer {gold} but {len(options)} choices")
    hint = record.get("hint") or ""
    text = f"<image> {record['question']}\nHint: {hint}\nChoices:\n{options_text(options)}"
    return EvalSample(
        id=f"test-{record['_index']}",
        doc_id=f"test-{record['_index']}",
        question=text,
        images=(embedded_image(record["image"], f"test-{record['_index']}"),),
        answers=(LETTERS[gold],),
        question_type="multiple-choice",
        options=tuple(options),
        answer_type=str(record.get("grade") or "choice"),
        source=str(record["_source"]),
    )


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    got = choices.scienceqa_llava(answer.text, len(sample.options))
    right = got["index"] >= 0 and LETTERS[got["index"]] in sample.answers
    return Outcome(float(right), unparsed=got["answer"] == choices.FAILED)


TASK = Task(
    name="scienceqa",
    title="ScienceQA (image questions)",
    records=records,
    sample=sample,
    scorers={"accuracy": _official, "lenient": choice(), "leopard": leopard_choice},
    where="Get it from huggingface.co/datasets/derek-thomas/ScienceQA (CC BY-NC-SA 4.0).",
    expects="data/test-*.parquet",
)
