"""DocVQA: one scanned page and a question.

Layout (Robust Reading Competition, task 1): `train_v1.0.json` or `train_v1.0_withQT.json` with
`data: [{questionId, question, image, docId, answers}]`, pictures under `documents/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading


def records(reading: Reading) -> Iterator[Record]:
    """Questions of the annotation file."""
    split = reading.splits()
    name = reading.copy.find(f"{split}_v1.0_withQT.json", f"{split}_v1.0.json", f"{split}*.json")
    yield from reading.copy.json(name)["data"]


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about one page."""
    path = text(record, "image")
    kinds = texts(record.get("question_types")) or ["lookup"]
    yield Draft(
        id=text(record, "questionId"),
        doc_id=str(record.get("docId", path)),
        pictures=(reading.copy.picture(path, path.removeprefix("documents/")),),
        qa=(
            plain_qa(
                text(record, "question"),
                texts(record["answers"]),
                family=kinds[0],
                evidence=(whole(0),),
            ),
        ),
        split=reading.split,
    )


CONVERTER = Converter(
    name="docvqa",
    title="DocVQA",
    domain="document",
    records=records,
    drafts=drafts,
    licence="LicenseRef-RRC-DocVQA",
    terms="Research use under the terms of the Robust Reading Competition.",
    citation="Mathew et al., DocVQA: A Dataset for VQA on Document Images, WACV 2021",
    where="rrc.cvc.uab.es, Document Visual Question Answering, task 1 (registration).",
    expects="train_v1.0.json or train_v1.0_withQT.json, and documents/*.png",
    paper_samples=39_000,
)
