"""DUDE: questions over documents of many kinds. Knows nothing of other benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer, split_list
from leopard.evaluation.data import IMAGE_SUFFIXES, DataFolder, Record
from leopard.evaluation.metrics import anls
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.scorers import leopard_anls, leopard_open
from leopard.evaluation.task import Outcome, Task

_PAGE = re.compile(r"(.+)_(\d+)$")


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the validation split; rows that name no split are all taken for it."""
    rows = data.json(data.find("*DUDE*.json", "*.json"))["data"]
    yield from (row for row in rows if row.get("data_split") in (None, "val"))


@lru_cache(maxsize=4)
def _pages(data: DataFolder) -> dict[str, list[tuple[int, str]]]:
    pages: dict[str, list[tuple[int, str]]] = {}
    for name in data.names:
        path = PurePosixPath(name)
        found = _PAGE.fullmatch(path.stem)
        if found and path.suffix.lower() in IMAGE_SUFFIXES:
            pages.setdefault(found[1], []).append((int(found[2]), name))
    return {doc: sorted(items) for doc, items in pages.items()}


def _evidence(record: Record, numbers: list[int]) -> tuple[int, ...] | None:
    boxes = record.get("answers_page_bounding_boxes") or []
    wanted = {box["page"] for group in boxes for box in (group or [])}
    found = tuple(index for index, number in enumerate(numbers) if number in wanted)
    return found or None


def sample(record: Record, data: DataFolder) -> EvalSample:
    """Pages `<docId>_<number>` by number; the whole id must match, not its beginning."""
    doc = str(record["docId"])
    pages = _pages(data).get(doc, [])
    if not pages:
        raise EvaluationError(f"no page images of document {doc} (<docId>_<number>.jpg)")
    numbers = [number for number, _ in pages]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise EvaluationError(f"document {doc} lacks pages: it has {numbers}")
    # The demonstration file of the official scorer writes "not answerable".
    kind = re.sub(r"[_ ]", "-", str(record.get("answer_type") or "extractive"))
    return EvalSample(
        id=str(record["questionId"]),
        doc_id=doc,
        question=record["question"],
        images=tuple(data.image(name) for _, name in pages),
        answers=tuple(record.get("answers") or ()),
        answer_type=kind,
        evidence=_evidence(record, numbers),
    )


def _official(sample: EvalSample, answer: Answer) -> Outcome:
    is_list = "list" in sample.answer_type
    said_none = answer.text.lower().rstrip(".") in ("", "unanswerable", "not answerable", "none")
    if sample.answer_type == "not-answerable":
        # A model says so in words; the submission format then holds no answer.
        pred = [] if said_none else [answer.text]
    else:
        pred = split_list(answer.text) if is_list else [answer.text]
    value = anls.dude_question(sample.answer_type, sample.answers, pred)
    return Outcome(float(value), unparsed=not answer.text)


TASK = Task(
    name="dude",
    title="DUDE",
    records=records,
    sample=sample,
    scorers={"anls": _official, "leopard": leopard_anls, "leopard_accuracy": leopard_open},
    split="val",
    where=(
        "Get annotations and page images from zenodo.org (DUDE) or huggingface.co/datasets/"
        "jordyvl/DUDE_loader; annotations CC BY 4.0, documents under their own licences."
    ),
    expects="2023-03-23_DUDE_gt_test_PUBLIC.json and images/val/<docId>_<page>.jpg",
)
