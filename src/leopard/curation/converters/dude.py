"""DUDE: a document of many pages and a question, also lists and unanswerable ones.

Layout (Zenodo, Robust Reading Competition): an annotation JSON with `data: [{questionId, question,
answers, answers_variants, answers_page_bounding_boxes, answer_type, docId, data_split}]`, page
pictures `<docId>_<page>.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text, texts
from leopard.curation.converters.local_copy import LocalCopy, Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import NOT_ANSWERABLE, QuestionAnswer

_PAGE = re.compile(r"(.+)_(\d+)$")


def records(reading: Reading) -> Iterator[Record]:
    """Questions of the wanted split; a file without splits is taken whole."""
    rows = reading.copy.json(reading.copy.find("*DUDE*.json", "*.json"))["data"]
    for row in rows:
        if row.get("data_split", reading.split) == reading.split:
            yield row


@lru_cache(maxsize=2)
def _pages(copy: LocalCopy) -> dict[str, list[tuple[int, str]]]:
    pages: dict[str, list[tuple[int, str]]] = {}
    for name in copy.names:
        path = PurePosixPath(name)
        found = _PAGE.fullmatch(path.stem)
        if found and path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            pages.setdefault(found[1], []).append((int(found[2]), name))
    return {doc: sorted(items) for doc, items in pages.items()}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about all pages, in page order."""
    doc = text(record, "docId")
    pages = _pages(reading.copy).get(doc)
    if not pages:
        raise BadRecordError("the pages of a document are missing")
    numbers = [number for number, _ in pages]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise BadRecordError("a document lacks pages")
    yield Draft(
        id=text(record, "questionId"),
        doc_id=doc,
        pictures=tuple(reading.copy.picture(name) for _, name in pages),
        qa=(_question(record, numbers),),
        split=reading.split,
    )


def _question(record: Record, numbers: list[int]) -> QuestionAnswer:
    kind = str(record.get("answer_type") or "extractive").replace("_", "-").lower()
    question, answers = text(record, "question"), texts(record.get("answers"))
    if kind == "not-answerable":
        return QuestionAnswer(
            question=question,
            answer=NOT_ANSWERABLE,
            answer_type="unanswerable",
            family="unanswerable",
        )
    evidence = tuple(whole(index) for index in _evidence(record, numbers))
    if kind.startswith("list"):
        if not answers:
            raise BadRecordError("answer is missing")
        return QuestionAnswer(
            question=question,
            answer=", ".join(answers),
            answer_type="list",
            family=kind,
            evidence=evidence,
            pages_needed=max(1, len(evidence)),
        )
    answers += texts(record.get("answers_variants"))
    return plain_qa(question, answers, family=kind, evidence=evidence)


def _evidence(record: Record, numbers: list[int]) -> list[int]:
    boxes = record.get("answers_page_bounding_boxes") or []
    wanted = {int(box["page"]) for group in boxes for box in (group or [])}
    return [index for index, number in enumerate(numbers) if number in wanted]


CONVERTER = Converter(
    name="dude",
    title="DUDE",
    domain="document",
    records=records,
    drafts=drafts,
    licence="CC-BY-4.0",
    terms="Annotations; documents keep their own licences.",
    citation="Van Landeghem et al., Document Understanding Dataset and Evaluation, ICCV 2023",
    where="zenodo.org (DUDE) or huggingface.co/datasets/jordyvl/DUDE_loader.",
    expects="an annotation JSON with `data`, and <docId>_<page>.jpg files",
    paper_samples=23_000,
)
