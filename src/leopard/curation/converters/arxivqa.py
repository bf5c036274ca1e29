"""ArxivQA: figures of papers with multiple-choice questions and their reasons.

Layout (huggingface.co/datasets/MMInstruction/ArxivQA): `arxivqa.jsonl` with `{id, image, options,
question, label, rationale}`, pictures under `images/`. Put together to 1 to 3 images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import LETTERS, choice_qa, plain_qa, text, texts
from leopard.curation.converters.fields import without_letter as bare
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.schema.samples import QuestionAnswer


def records(reading: Reading) -> Iterator[Record]:
    """Lines of the only file; there is no split but train."""
    if reading.split == "train":
        yield from reading.copy.jsonl(reading.copy.find("arxivqa.jsonl"), reading.rejects)


def _question(record: Record) -> QuestionAnswer:
    question = text(record, "question")
    rationale = str(record.get("rationale") or "")
    options = [bare(option) for option in texts(record.get("options"))]
    label = text(record, "label")
    if not options:  # the published file holds some open questions
        return plain_qa(question, [label], family="figure", rationale=rationale)
    letter = re.match(r"\W*([A-Z])(?![A-Za-z])", label)
    if letter:
        correct = LETTERS.index(letter[1])
    elif bare(label) in options:
        correct = options.index(bare(label))
    else:
        raise BadRecordError("the answer is none of the options")
    return choice_qa(question, options, correct, family="figure", rationale=rationale)


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about one figure."""
    path = text(record, "image")
    qa = _question(record)
    yield Draft(
        id=text(record, "id"),
        doc_id=path.rsplit("/", 1)[-1].rsplit(".", 1)[0],
        pictures=(reading.copy.picture(path, path.removeprefix("images/")),),
        qa=(replace(qa, evidence=(whole(0),)),),
    )


CONVERTER = Converter(
    name="arxivqa",
    title="ArxivQA",
    domain="document",
    records=records,
    drafts=drafts,
    licence="CC-BY-SA-4.0",
    terms="Figures belong to the authors of the papers.",
    citation="Li et al., Multimodal ArXiv, ACL 2024",
    where="huggingface.co/datasets/MMInstruction/ArxivQA.",
    expects="arxivqa.jsonl and images/*.jpg",
    paper_samples=81_000,
    assemble=(1, 3),
)
