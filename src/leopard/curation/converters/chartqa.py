"""ChartQA: charts with questions by people and by machine.

Layout (vis-nlp/ChartQA): `train/train_human.json` and `train/train_augmented.json`, lists of
`{imgname, query, label}`, pictures `train/png/<imgname>`. Put together to 2 images.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import grouped, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Charts with their questions, of both halves where both are there."""
    split = reading.split
    reading.copy.find(f"{split}_human.json", f"{split}_augmented.json")
    rows = [
        {**row, "_half": half}
        for half in ("human", "augmented")
        for name in reading.copy.matching(f"{split}_{half}.json")
        for row in reading.copy.json(name)
    ]
    for name, questions in grouped(rows, "imgname"):
        yield {"imgname": name, "questions": questions}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one chart."""
    name = text(record, "imgname")
    picture = reading.copy.picture(f"{reading.split}/png/{name}", f"png/{name}", name)
    yield reading.about(name.rsplit(".", 1)[0], [picture], record["questions"], _question)


def _question(record: Record) -> QuestionAnswer:
    answer = ", ".join(texts(record.get("label")))
    return plain_qa(text(record, "query"), [answer], family=record["_half"], evidence=(whole(0),))


CONVERTER = Converter(
    name="chartqa",
    title="ChartQA",
    domain="chart",
    records=records,
    drafts=drafts,
    licence="GPL-3.0-only",
    terms="Charts belong to their sites.",
    citation="Masry et al., ChartQA: A Benchmark for Question Answering about Charts with Visual "
    "and Logical Reasoning, Findings of ACL 2022",
    where="github.com/vis-nlp/ChartQA.",
    expects="train/train_human.json, train/train_augmented.json and train/png/*.png",
    paper_samples=32_000,
    assemble=(2, 2),
)
