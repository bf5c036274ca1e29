"""mPLUG-DocReason25K: documents, tables, charts and web pages with detailed explanations.

Layout (huggingface.co/datasets/mPLUG/DocReason25K): `detailed_explanation.jsonl` with
`{image: [path], messages: [{role, content}], task_name, dataset_name}`, pictures under `imgs/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.conversations import conversation_draft
from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.fields import texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError


def records(reading: Reading) -> Iterator[Record]:
    """Lines with their number; there is no split but train."""
    if reading.split == "train":
        name = reading.copy.find("detailed_explanation.jsonl")
        for number, row in enumerate(reading.copy.jsonl(name, reading.rejects)):
            yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One explained answer."""
    paths = texts(record["image"])
    if len(paths) != 1:
        raise BadRecordError("no image" if not paths else "more than one image")
    yield conversation_draft(
        f"{record['_number']:06d}",
        record["messages"],
        paths[0],
        reading,
        str(record.get("dataset_name") or "explanation"),
    )


CONVERTER = Converter(
    name="docreason",
    title="mPLUG-DocReason",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="Apache-2.0",
    terms="Tag of the set; pictures come from DocVQA, ChartQA and others with their own terms.",
    citation="Hu et al., mPLUG-DocOwl 1.5: Unified Structure Learning for OCR-free Document "
    "Understanding, Findings of EMNLP 2024",
    where="huggingface.co/datasets/mPLUG/DocReason25K.",
    expects="detailed_explanation.jsonl and imgs/**",
    paper_samples=25_000,
)
