"""DocVQA: questions over one scanned page. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import anls_rrc, anls_strict, leopard_anls, leopard_open
from leopard.evaluation.task import Task


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the validation file."""
    yield from data.json(data.find("val_v1.0_withQT.json", "val_v1.0.json", "val*.json"))["data"]


def sample(record: Record, data: DataFolder) -> EvalSample:
    """One page; its type is the first of the question types."""
    path = str(record["image"])
    types = record.get("question_types") or ["all"]
    return EvalSample(
        id=str(record["questionId"]),
        doc_id=str(record.get("docId", path)),
        question=f"<image> {record['question']}",
        images=(data.image(path, path.removeprefix("documents/")),),
        answers=tuple(record["answers"]),
        source=str(types[0]),
        evidence=(0,),
    )


TASK = Task(
    name="docvqa",
    title="DocVQA",
    records=records,
    sample=sample,
    scorers={
        "anls": anls_rrc,
        "anls_strict": anls_strict,
        "leopard": leopard_anls,
        "leopard_accuracy": leopard_open,
    },
    split="val",
    where=(
        "Get it from rrc.cvc.uab.es (Document Visual Question Answering, task 1) after "
        "registration; for research under the terms given there."
    ),
    expects="val_v1.0_withQT.json and documents/*.png",
)
