"""MultiTabQA: questions over one or more database tables, answered by a table.

Layout (huggingface.co/datasets/vaishali/spider-tableQA, geoQuery-tableQA, atis-tableQA): parquet
`data/train-*.parquet` with `{query, question, table_names, tables, answer}`; tables are JSON texts
in the split orientation of pandas. Tables are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, Picture
from leopard.curation.converters.fields import plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.splitting import Rows, split_long
from leopard.curation.converters.tables import MAX_ROWS, frame_cells, table_picture, table_style
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import QuestionAnswer

MAX_ANSWER_ROWS = 20
"""Longest table that is an answer, in rows."""


def records(reading: Reading) -> Iterator[Record]:
    """Rows of the split, with their number."""
    split = reading.splits(val="validation")
    rows = reading.copy.parquet(f"{split}-*.parquet", f"{split}*.parquet", f"{split}/*.parquet")
    for number, row in enumerate(rows):
        yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """Every table as an image, or several if it is long."""
    identity = f"{record['_number']:06d}"
    names = texts(record["table_names"])
    frames = list(record["tables"])
    if len(names) != len(frames) or not frames:
        raise BadRecordError("tables and their names differ in number")
    style = table_style(reading.stream("style", identity))
    pictures: list[Picture] = []
    for name, frame in zip(names, frames, strict=True):
        for index, cells in enumerate(split_long(frame_cells(frame), MAX_ROWS)):
            title = name if index == 0 else f"{name} (continued)"
            pictures.append(table_picture(cells, style, f"{name}_{index}.png", title))
    digest = hashlib.sha256("\x1f".join(str(frame) for frame in frames).encode()).hexdigest()
    yield Draft(
        id=identity,
        doc_id=digest[:16],
        pictures=tuple(pictures),
        qa=(_question(record),),
        split=reading.split,
        note={"sql": str(record.get("query") or "")},
    )


def _question(record: Record) -> QuestionAnswer:
    """A table of one cell is a value, one of one column a list, any other stays a table."""
    question, cells = text(record, "question"), frame_cells(record["answer"])
    body = [[cell.text for cell in row] for row in cells[1:]]
    if not body:
        raise BadRecordError("the answer table is empty")
    if len(body) > MAX_ANSWER_ROWS:
        raise BadRecordError(f"the answer table has more than {MAX_ANSWER_ROWS} rows")
    if len(body) == 1 and len(body[0]) == 1:
        return plain_qa(question, [body[0][0]], family="table")
    answer = ", ".join(row[0] for row in body) if len(cells[0]) == 1 else _markdown(cells)
    return QuestionAnswer(question=question, answer=answer, answer_type="list", family="table")


def _markdown(cells: Rows) -> str:
    lines = ["| " + " | ".join(cell.text for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


CONVERTER = Converter(
    name="multitabqa",
    title="MultiTabQA",
    domain="table",
    records=records,
    drafts=drafts,
    licence="LicenseRef-MultiTabQA",
    terms="Check the cards of the parts; Spider, the largest, is CC BY-SA 4.0.",
    citation="Pal et al., MultiTabQA: Generating Tabular Answers for Multi-Table Question "
    "Answering, ACL 2023",
    where="huggingface.co/datasets/vaishali/spider-tableQA, geoQuery-tableQA, atis-tableQA.",
    expects="train-*.parquet",
    paper_samples=6_000,
)
