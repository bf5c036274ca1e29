"""FigureQA: drawn charts with yes/no questions.

Layout (Microsoft Research): `train1/qa_pairs.json` with `qa_pairs: [{question_string, answer,
image_index, question_id}]`, pictures `train1/png/<image_index>.png`. Put together to 1 to 2 images.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import grouped, plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import QuestionAnswer

_FOLDERS = {"train": "train1", "val": "validation1", "test": "validation2"}


def records(reading: Reading) -> Iterator[Record]:
    """Charts with their questions; the test splits are published without answers."""
    folder = _FOLDERS[reading.split]
    pairs = reading.copy.json(reading.copy.find(f"{folder}/qa_pairs.json"))["qa_pairs"]
    for index, questions in grouped(pairs, "image_index"):
        yield {"index": index, "folder": folder, "questions": questions}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one chart."""
    index, folder = text(record, "index"), record["folder"]
    picture = reading.copy.picture(f"{folder}/png/{index}.png")
    yield reading.about(f"{folder}-{index}", [picture], record["questions"], _question)


def _question(record: Record) -> QuestionAnswer:
    if record.get("answer") not in (0, 1):
        raise BadRecordError("answer is neither 0 nor 1")
    return plain_qa(
        text(record, "question_string"),
        ["Yes" if record["answer"] else "No"],
        family=f"figureqa {record.get('question_id', '')}".strip(),
        evidence=(whole(0),),
    )


CONVERTER = Converter(
    name="figureqa",
    title="FigureQA",
    domain="chart",
    records=records,
    drafts=drafts,
    licence="LicenseRef-Microsoft-FigureQA",
    terms="Terms of the download page of Microsoft Research.",
    citation="Kahou et al., FigureQA: An Annotated Figure Dataset for Visual Reasoning, "
    "ICLR workshop 2018",
    where="microsoft.com/research, project FigureQA.",
    expects="train1/qa_pairs.json and train1/png/*.png",
    paper_samples=36_000,
    assemble=(1, 2),
)
