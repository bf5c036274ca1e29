"""Scanned receipts in the style of SROIE 2019: four fields of each. Knows no other benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from leopard.evaluation.data import IMAGE_SUFFIXES, DataFolder, Record
from leopard.evaluation.samples import EvalSample, ImageSource
from leopard.evaluation.scorers import anls_rrc, exact, leopard_open
from leopard.evaluation.task import Task

QUESTIONS = {
    "company": "What is the name of the company that issued this receipt?",
    "date": "What is the date on this receipt?",
    "address": "What is the address of the company on this receipt?",
    "total": "What is the total amount on this receipt?",
}
"""Our wording; the benchmark itself has fields, not questions."""


def records(data: DataFolder) -> Iterator[Record]:
    """Questions of a `samples.jsonl`, or one for each field of every key file."""
    if data.matching("samples.jsonl"):
        for row in data.jsonl(data.find("samples.jsonl")):
            yield {**row, "_source": row.get("field") or "all"}
        return
    for name in _key_files(data):
        keys, stem = data.json(name), PurePosixPath(name).stem
        images = [f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
        for field, question in QUESTIONS.items():
            if keys.get(field):
                yield {
                    "id": f"{stem}-{field}",
                    "candidates": images,
                    "question": question,
                    "answers": [keys[field]],
                    "field": field,
                    "_source": field,
                }


def _key_files(data: DataFolder) -> list[str]:
    """Key files of the test split; copies that know no splits are taken whole."""
    found = data.matching("*key*/*.json", "*key*/*.txt", "*entit*/*.txt", "*entit*/*.json")
    test = [name for name in found if "test" in PurePosixPath(name).parts]
    return test or found


def sample(record: Record, data: DataFolder) -> EvalSample:
    """The receipts a question is about, in the order of the record; mostly one."""
    if "candidates" in record:
        images: tuple[ImageSource, ...] = (data.image(*record["candidates"]),)
    else:
        images = tuple(data.image(str(path)) for path in record["images"])
    return EvalSample(
        id=str(record["id"]),
        doc_id=PurePosixPath(images[0].label).stem,
        question=str(record["question"]),
        images=images,
        answers=tuple(str(answer) for answer in record["answers"]),
        source=str(record["_source"]),
        evidence=(0,) if len(images) == 1 else None,
    )


TASK = Task(
    name="receipts",
    title="Receipts (SROIE style)",
    records=records,
    sample=sample,
    scorers={"exact": exact, "anls": anls_rrc, "leopard": leopard_open},
    where=(
        "Get SROIE 2019 from rrc.cvc.uab.es (ICDAR 2019 Robust Reading, task 3); for research "
        "under the terms given there."
    ),
    expects="img/*.jpg and key/*.json (or entities/*.txt), or samples.jsonl with images",
)
