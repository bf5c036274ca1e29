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
from leopard.curation.imports import BadRecordError


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
    qa = []
    for question in record["questions"]:
        try:
            qa.append(
                plain_qa(
                    text(question, "question"),
                    [text(question, "answer")],
                    family=str(question.get("template_id") or "chart"),
                    evidence=(whole(0),),
                )
            )
        except BadRecordError as error:
            reading.reject(str(error))
    yield Draft(
        id=name.rsplit(".", 1)[0],
        doc_id=name.rsplit(".", 1)[0],
        pictures=(picture,),
        qa=tuple(qa),
        split=reading.split,
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
