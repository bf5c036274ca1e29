"""MapQA: choropleth maps of the United States with questions by template.

Layout (OSU-slatelab/MapQA): folders `MapQA_U`, `MapQA_V` (the R part) and `MapQA_S`, each with
`train-QA.json`, a list of `{map_id, question, answer, question_type, template_id}` where the
answer is a list, and pictures named by the map id. Put together to 1 to 2 images. The folder of
the pictures could not be looked up: they are found by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import grouped, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Maps with their questions, part after part."""
    split = reading.split
    reading.copy.find(f"{split}-QA.json")
    for name in reading.copy.matching(f"{split}-QA.json"):
        part = name.rpartition("/")[0]
        for map_id, questions in grouped(reading.copy.json(name), "map_id"):
            yield {"map_id": map_id, "part": part, "questions": questions}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one map."""
    map_id, part = text(record, "map_id"), str(record["part"])
    stem = map_id.rsplit("/", 1)[-1].removesuffix(".png")
    prefix = f"{part}/" if part else ""
    places = (f"{prefix}images/{stem}.png", f"{prefix}{stem}.png", f"images/{stem}.png")
    picture = reading.copy.picture(*places, f"{stem}.png")
    identity = f"{part.rsplit('/', 1)[-1]}-{stem}".lstrip("-")
    yield reading.about(identity, [picture], record["questions"], _question)


def _question(record: Record) -> QuestionAnswer:
    answers = texts(record["answer"])
    qa = plain_qa(
        text(record, "question"),
        [", ".join(answers)],
        family=str(record.get("question_type") or "map"),
        evidence=(whole(0),),
    )
    return replace(qa, answer_type="list") if len(answers) > 1 else qa


CONVERTER = Converter(
    name="mapqa",
    title="MapQA",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="LicenseRef-MapQA",
    terms="No licence is stated; maps of part U belong to the Kaiser Family Foundation.",
    citation="Chang et al., MapQA: A Dataset for Question Answering on Choropleth Maps, NeurIPS "
    "workshop 2022",
    where="github.com/OSU-slatelab/MapQA.",
    expects="MapQA_*/train-QA.json and pictures named by map id",
    paper_samples=4_000,
    assemble=(1, 2),
    verified=False,
)
