"""IconQA: abstract diagrams; options are texts, pictures, or a blank to fill in.

Layout (iconqa.github.io): `train/<choose_txt|choose_img|fill_in_blank>/<id>/data.json` with
`{question, choices, answer}` (the answer is the index of an option, or a text), `image.png`, and
`choice_<n>.png` for picture options.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from leopard.curation.converters.drafts import Draft, Picture
from leopard.curation.converters.fields import choice_qa, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Folders of the split, one per problem."""
    split = reading.splits()
    for name in reading.copy.matching(f"{split}/*/*/data.json"):
        folder = PurePosixPath(name).parent
        yield {"folder": str(folder), "kind": folder.parent.name, "name": name}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One problem; picture options are further images, named by their number."""
    folder = record["folder"]
    problem = reading.copy.record_json(record["name"])
    pictures = [reading.copy.picture(f"{folder}/image.png")]
    if record["kind"] == "choose_img":
        names = texts(problem["choices"])
        pictures += [reading.copy.picture(f"{folder}/{name}") for name in names]
    qa = _question(problem, record["kind"], pictures)
    identity = f"{record['kind']}-{PurePosixPath(folder).name}"
    yield Draft(
        id=identity,
        doc_id=identity,
        pictures=tuple(pictures),
        qa=(qa,),
        split=reading.split,
    )


def _question(problem: Record, kind: str, pictures: list[Picture]) -> QuestionAnswer:
    question = text(problem, "question")
    if kind == "fill_in_blank":
        return plain_qa(question, [str(problem["answer"])], family=kind)
    options = texts(problem["choices"])
    if kind == "choose_img":
        options = [f"image {number}" for number in range(2, len(pictures) + 1)]
        question = f"{question} (The problem is in the first image, the options follow.)"
    return choice_qa(question, options, int(problem["answer"]), family=kind)


CONVERTER = Converter(
    name="iconqa",
    title="IconQA",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="CC-BY-NC-SA-4.0",
    citation="Lu et al., IconQA: A New Benchmark for Abstract Diagram Understanding and Visual "
    "Language Reasoning, NeurIPS 2021",
    where="iconqa.github.io.",
    expects="iconqa/train/<kind>/<id>/data.json and image.png",
    paper_samples=64_000,
)
