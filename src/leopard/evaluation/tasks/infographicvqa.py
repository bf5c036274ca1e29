"""InfographicVQA: questions over one infographic. Knows nothing of other benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from leopard.evaluation.data import DataFolder, Record
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import anls_rrc, anls_strict, leopard_anls
from leopard.evaluation.task import Task


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the validation file."""
    yield from data.json(data.find("infographicsVQA_val*.json", "*val*.json"))["data"]


def sample(record: Record, data: DataFolder) -> EvalSample:
    """One infographic; breakdowns by evidence type and answer type."""
    name = str(record["image_local_name"])
    evidence = record.get("evidence") or ["all"]
    kinds = record.get("answer_type") or ["text"]
    return EvalSample(
        id=str(record["questionId"]),
        doc_id=name,
        question=f"<image> {record['question']}",
        images=(data.image(f"infographicsvqa_images/{name}", name),),
        answers=tuple(record["answers"]),
        source=str(evidence[0]),
        answer_type=str(kinds[0]),
        evidence=(0,),
    )


TASK = Task(
    name="infographicvqa",
    title="InfographicVQA",
    records=records,
    sample=sample,
    scorers={"anls": anls_rrc, "anls_strict": anls_strict, "leopard": leopard_anls},
    split="val",
    where=(
        "Get it from rrc.cvc.uab.es (Document Visual Question Answering, task 3) after "
        "registration; for research, images belong to their authors."
    ),
    expects="infographicsVQA_val_v1.0_withQT.json and infographicsvqa_images/*",
)
