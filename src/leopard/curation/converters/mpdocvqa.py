"""MP-DocVQA: a scanned document of up to 20 pages and a question.

Layout (Robust Reading Competition, task 4): `train.json` with `data: [{questionId, question,
doc_id, page_ids, answers, answer_page_idx}]`, pictures `images/<page_id>.jpg`.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import Evidence


def records(reading: Reading) -> Iterator[Record]:
    """Questions of the annotation file."""
    split = reading.splits()
    yield from reading.copy.json(reading.copy.find(f"{split}.json", f"*{split}*.json"))["data"]


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about all pages; the page of the answer is the evidence."""
    pages = texts(record["page_ids"])
    evidence: tuple[Evidence, ...] = ()
    if (place := record.get("answer_page_idx")) is not None:
        if not 0 <= int(place) < len(pages):
            raise BadRecordError("the answer page is none of the pages")
        evidence = (whole(int(place)),)
    yield Draft(
        id=text(record, "questionId"),
        doc_id=text(record, "doc_id"),
        pictures=tuple(
            reading.copy.picture(*(f"{page}{end}" for end in (".jpg", ".png"))) for page in pages
        ),
        qa=(
            plain_qa(
                text(record, "question"),
                texts(record["answers"]),
                family="lookup",
                evidence=evidence,
            ),
        ),
        split=reading.split,
    )


CONVERTER = Converter(
    name="mpdocvqa",
    title="MP-DocVQA",
    domain="document",
    records=records,
    drafts=drafts,
    licence="LicenseRef-RRC-DocVQA",
    terms="Research use under the terms of the Robust Reading Competition.",
    citation="Tito et al., Hierarchical multimodal transformers for Multi-Page DocVQA, "
    "Pattern Recognition 2023",
    where="rrc.cvc.uab.es, Document Visual Question Answering, task 4 (registration).",
    expects="train.json and images/<page_id>.jpg",
    paper_samples=36_000,
)
