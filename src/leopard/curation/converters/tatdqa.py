"""TAT-DQA: pages of a financial report and questions with arithmetic.

Layout (NExT++): `tatdqa_dataset_train.json`, a list of `{doc: {uid}, questions: [{uid, question,
answer, answer_type, scale, derivation}]}`, documents of one to three pages `<uid>.pdf` (or page
pictures `<uid>_<page>.png`). Documents are put together to 2 to 5 pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, Picture
from leopard.curation.converters.fields import number_text, plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Documents with their questions."""
    split = reading.splits(val="dev")
    names = (f"tatdqa_dataset_{split}_gold.json", f"tatdqa_dataset_{split}.json")
    yield from reading.copy.json(reading.copy.find(*names))


def _pages(uid: str, reading: Reading) -> tuple[Picture, ...]:
    if pdfs := reading.copy.matching(f"{uid}.pdf"):
        return reading.copy.pdf_pages(pdfs[0])
    pages = reading.copy.matching(f"{uid}_[0-9].png", f"{uid}_[0-9].jpg")
    if not pages:
        raise BadRecordError("the pages of a document are missing")
    return tuple(reading.copy.picture(page) for page in pages)


def _question(record: Record) -> QuestionAnswer:
    value = record["answer"]
    items = [number_text(item) for item in (value if isinstance(value, list) else [value])]
    scale = str(record.get("scale") or "").strip()
    unit = "%" if scale == "percent" else f" {scale}" if scale else ""
    answer = ", ".join(item for item in items if item)
    if not answer:
        raise BadRecordError("answer is missing")
    said = answer if not unit or answer.endswith(unit) else f"{answer}{unit}"
    derivation = str(record.get("derivation") or "").strip()
    rationale = f"Compute {derivation}." if derivation and derivation != answer else ""
    return plain_qa(
        text(record, "question"),
        [said, answer],
        family=str(record.get("answer_type") or "span"),
        rationale=rationale,
    )


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one document."""
    uid = text(record["doc"], "uid")
    pages = _pages(uid, reading)
    note = {"report": str(record["doc"].get("source") or "")}
    yield reading.about(uid, pages, record["questions"], _question, note)


CONVERTER = Converter(
    name="tatdqa",
    title="TAT-DQA",
    domain="document",
    records=records,
    drafts=drafts,
    licence="CC-BY-4.0",
    terms="Site and paper word the licence differently: check it. Reports belong to companies.",
    citation="Zhu et al., Towards Complex Document Understanding By Discrete Reasoning, MM 2022",
    where="nextplusplus.github.io/TAT-DQA or huggingface.co/datasets/next-tat/TAT-DQA.",
    expects="tatdqa_dataset_train.json and <uid>.pdf files",
    paper_samples=13_000,
    assemble=(2, 5),
)
