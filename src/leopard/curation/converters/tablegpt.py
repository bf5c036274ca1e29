"""Table-GPT: instructions over a table, here cut over two images.

Layout (huggingface.co/datasets/LipengCS/Table-GPT): `train/train_All.jsonl` or one file per task,
with `{task, dataset, prompt, completion}`; tables in the prompt are Markdown. As in the paper one
table is cut between rows or columns into two images; two tables are two images already.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.splitting import num_carried_rows, split_in_two
from leopard.curation.converters.tables import (
    MAX_ROWS,
    markdown_tables,
    table_picture,
    table_style,
)
from leopard.curation.imports import BadRecordError
from leopard.documents.tables import Cell

_REASONED = re.compile(r"\A(?P<why>.+?)\n+(?P<answer>\{.*\})\s*\Z", re.S)


def records(reading: Reading) -> Iterator[Record]:
    """Lines of the file of all tasks, or of the files of single tasks."""
    split = reading.splits()
    reading.copy.find(f"{split}_*.jsonl")
    everything = reading.copy.matching(f"{split}_All.jsonl")[:1]
    for name in everything or reading.copy.matching(f"{split}_*.jsonl"):
        for number, row in enumerate(reading.copy.jsonl(name, reading.rejects)):
            yield {**row, "_id": f"{name.rsplit('/', 1)[-1].removesuffix('.jsonl')}-{number:06d}"}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """The instruction with "[table in image 1 and image 2]" in the place of the table."""
    identity, prompt = str(record["_id"]), text(record, "prompt")
    tables = markdown_tables(prompt)
    if not 1 <= len(tables) <= 2:
        raise BadRecordError(f"{'no' if not tables else 'more than two'} Markdown tables")
    rng = reading.stream("split", identity)
    parts = _parts([cells for _, cells in tables], rng)
    question = prompt
    for number, (written, _) in enumerate(tables, start=1):
        place = "images 1 and 2" if len(tables) == 1 else f"image {number}"
        question = question.replace(written, f"[The table is shown in {place}.]", 1)
    style = table_style(rng)
    completion = text(record, "completion")
    reasoned = _REASONED.match(completion)
    answer = reasoned["answer"] if reasoned else completion
    qa = plain_qa(
        question,
        [answer],
        family=str(record.get("task") or "table"),
        rationale=reasoned["why"] if reasoned else "",
        evidence=(whole(0), whole(1)),
    )
    yield Draft(
        id=identity,
        doc_id=hashlib.sha256(tables[0][0].encode()).hexdigest()[:16],
        pictures=tuple(
            table_picture(cells, style, f"{identity}_{index}.png")
            for index, cells in enumerate(parts)
        ),
        qa=(replace(qa, answer_type="text"),),
        split=reading.split,
        note={"dataset": str(record.get("dataset") or "")},
    )


def _parts(tables: list[list[list[Cell]]], rng: Random) -> list[list[list[Cell]]]:
    for cells in tables:
        if len(cells) - num_carried_rows(cells) > 2 * MAX_ROWS:
            raise BadRecordError(f"a table has more than {2 * MAX_ROWS} rows")
    if len(tables) == 2:
        return tables
    parts = split_in_two(tables[0], rng)
    if parts is None:
        raise BadRecordError("a table has no place for a cut")
    return parts


CONVERTER = Converter(
    name="tablegpt",
    title="Table-GPT",
    domain="table",
    records=records,
    drafts=drafts,
    licence="MIT",
    citation="Li et al., Table-GPT: Table-tuned GPT for Diverse Table Tasks, SIGMOD 2024",
    where="huggingface.co/datasets/LipengCS/Table-GPT.",
    expects="train/train_All.jsonl or train/train_<task>.jsonl",
    paper_samples=4_000,
    verified=False,
)
