"""InfographicVQA: one infographic and a question.

Layout (Robust Reading Competition, task 3): `infographicsVQA_train_v1.0.json` with
`data: [{questionId, question, image_local_name, answers}]`, pictures beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading


def records(reading: Reading) -> Iterator[Record]:
    """Questions of the annotation file."""
    name = reading.copy.find(f"infographicsVQA_{reading.splits()}*.json")
    yield from reading.copy.json(name)["data"]


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about one infographic."""
    name = text(record, "image_local_name")
    kinds = texts(record.get("operation/reasoning") or record.get("answer_type")) or ["lookup"]
    yield Draft(
        id=text(record, "questionId"),
        doc_id=name.rsplit(".", 1)[0],
        pictures=(reading.copy.picture(f"infographicsvqa_images/{name}", name),),
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
    name="infographicvqa",
    title="InfographicVQA",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="LicenseRef-RRC-InfographicVQA",
    terms="Research use under the terms of the Robust Reading Competition; pictures belong to "
    "their authors.",
    citation="Mathew et al., InfographicVQA, WACV 2022",
    where="rrc.cvc.uab.es, Document Visual Question Answering, task 3 (registration).",
    expects="infographicsVQA_train_v1.0.json and infographicsvqa_images/*",
    paper_samples=23_000,
)
