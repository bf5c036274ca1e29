"""MultiHiertt: several hierarchical tables with text, and arithmetic over them.

Layout (psunlpgroup/MultiHiertt): `train.json`, a list of `{uid, paragraphs, tables, qa: {question,
answer, program, table_evidence}}`, tables as HTML. Tables and paragraphs are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, Picture, whole
from leopard.curation.converters.fields import number_text, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.splitting import split_long
from leopard.curation.converters.tables import (
    MAX_ROWS,
    html_cells,
    table_picture,
    table_style,
    text_pictures,
)
from leopard.curation.imports import BadRecordError


def records(reading: Reading) -> Iterator[Record]:
    """Records of the split's file."""
    yield from reading.copy.json(reading.copy.find(f"{reading.splits(val='dev')}.json"))


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """Tables in order, long ones over several images, then the text; the question at the end."""
    uid, qa = text(record, "uid"), record["qa"]
    style = table_style(reading.stream("style", uid))
    pictures: list[Picture] = []
    places: list[range] = []
    for number, html in enumerate(record["tables"]):
        parts = split_long(html_cells(html), MAX_ROWS)
        start = len(pictures)
        for index, cells in enumerate(parts):
            pictures.append(table_picture(cells, style, f"{uid}_table{number}_{index}.png"))
        places.append(range(start, len(pictures)))
    if not pictures:
        raise BadRecordError("no table")
    paragraphs = texts(record.get("paragraphs") or [])
    if paragraphs:
        pictures += text_pictures(paragraphs, style, uid)
    program = str(qa.get("program") or "").strip()
    yield Draft(
        id=uid,
        doc_id=uid,
        pictures=tuple(pictures),
        qa=(
            plain_qa(
                text(qa, "question"),
                [number_text(qa["answer"])],
                family="arithmetic" if program else "span",
                evidence=tuple(whole(index) for index in _evidence(qa, places)),
            ),
        ),
        split=reading.split,
        note={"source_program": program} if program else {},
    )


def _evidence(qa: Record, places: list[range]) -> list[int]:
    """Images of tables named by the evidence ("0-3-2" is table 0, row 3, column 2).

    A table over several images is left out: which of them is meant is not said.
    """
    named = {int(str(place).split("-")[0]) for place in qa.get("table_evidence") or []}
    return [
        places[number][0]
        for number in sorted(named)
        if 0 <= number < len(places) and len(places[number]) == 1
    ]


CONVERTER = Converter(
    name="multihiertt",
    title="MultiHiertt",
    domain="table",
    records=records,
    drafts=drafts,
    licence="MIT",
    citation="Zhao et al., MultiHiertt: Numerical Reasoning over Multi Hierarchical Tabular and "
    "Textual Data, ACL 2022",
    where="github.com/psunlpgroup/MultiHiertt.",
    expects="train.json with `tables` as HTML",
    paper_samples=15_000,
)
