"""DVQA: bar charts with questions about structure, data and reasoning.

Layout (kushalkafle/DVQA_dataset): `qa/train_qa.json`, a list of `{image, question, question_id,
template_id, answer}`, pictures `images/<image>`. Put together to 1 to 3 images.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import grouped, plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Charts with their questions; the validation split has an easy half and a hard half."""
    names = {
        "train": ("train_qa.json",),
        "val": ("val_easy_qa.json",),
        "test": ("val_hard_qa.json",),
    }[reading.split]
    for name, questions in grouped(reading.copy.json(reading.copy.find(*names)), "image"):
        yield {"image": name, "questions": questions}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one chart."""
    name = text(record, "image")
    picture = reading.copy.picture(f"images/{name}", name)
    yield reading.about(name.rsplit(".", 1)[0], [picture], record["questions"], _question)


def _question(record: Record) -> QuestionAnswer:
    return plain_qa(
        text(record, "question"),
        [text(record, "answer")],
        family=str(record.get("template_id") or "chart"),
        evidence=(whole(0),),
    )


CONVERTER = Converter(
    name="dvqa",
    title="DVQA",
    domain="chart",
    records=records,
    drafts=drafts,
    licence="CC-BY-NC-4.0",
    citation="Kafle et al., DVQA: Understanding Data Visualizations via Question Answering, "
    "CVPR 2018",
    where="github.com/kushalkafle/DVQA_dataset.",
    expects="train_qa.json and images/*.png",
    paper_samples=200_000,
    assemble=(1, 3),
)
