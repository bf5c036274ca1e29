"""TextVQA: questions about text in photographs. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.metrics import vqa
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_open
from leopard.evaluation.task import Outcome, Task


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the validation file."""
    yield from data.json(data.find("TextVQA_0.5.1_val.json", "TextVQA*val*.json"))["data"]


def sample(record: Record, data: DataFolder) -> EvalSample:
    """One photograph and the answers of ten people."""
    image = str(record["image_id"])
    return EvalSample(
        id=str(record["question_id"]),
        doc_id=image,
        question=f"<image> {record['question']}",
        images=(data.image(f"train_images/{image}.jpg", f"{image}.jpg"),),
        answers=tuple(record["answers"]),
        evidence=(0,),
    )


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    value = vqa.textvqa_accuracy(sample.answers, answer.text)
    return Outcome(value, unparsed=not answer.text)


TASK = Task(
    name="textvqa",
    title="TextVQA",
    records=records,
    sample=sample,
    scorers={"vqa_accuracy": _official, "leopard": leopard_open},
    split="val",
    where="Get it from textvqa.org/dataset (CC BY 4.0; images from OpenImages).",
    expects="TextVQA_0.5.1_val.json and train_images/<image id>.jpg",
)
