"""TabMWP: word problems over a table picture, with solutions.

Layout (lupantech/PromptPG): `tabmwp/problems_train.json`, a mapping of id to `{question, choices,
answer, unit, solution, ques_type, table_title}`, pictures `tables/<id>.png`.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import choice_qa, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Problems of the split."""
    name = reading.copy.find(f"problems_{reading.splits(val='dev')}.json")
    for identity, problem in reading.copy.json(name).items():
        yield {**problem, "_id": identity}


def _question(record: Record) -> QuestionAnswer:
    question, answer = text(record, "question"), text(record, "answer")
    unit, options = str(record.get("unit") or "").strip(), texts(record.get("choices") or [])
    rationale = str(record.get("solution") or "")
    if options:
        if answer not in options:
            raise BadRecordError("the answer is none of the options")
        return choice_qa(
            question, options, options.index(answer), family="word problem", rationale=rationale
        )
    asked = f"{question} (Unit: {unit})" if unit else question
    return plain_qa(
        asked, [answer], family="word problem", rationale=rationale, evidence=(whole(0),)
    )


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One problem with its table."""
    identity = str(record["_id"])
    yield Draft(
        id=identity,
        doc_id=identity,
        pictures=(reading.copy.picture(f"tables/{identity}.png"),),
        qa=(_question(record),),
        split=reading.split,
    )


CONVERTER = Converter(
    name="tabmwp",
    title="TabMWP",
    domain="table",
    records=records,
    drafts=drafts,
    licence="CC-BY-NC-SA-4.0",
    citation="Lu et al., Dynamic Prompt Learning via Policy Gradient for Semi-structured "
    "Mathematical Reasoning, ICLR 2023",
    where="github.com/lupantech/PromptPG (data/tabmwp).",
    expects="problems_train.json and tables/<id>.png",
    paper_samples=23_000,
)
