"""SlideVQA: decks of 20 slides with questions and their evidence slides.

Layout (nttmdlab-nlp/SlideVQA): `annotations/qa/train.jsonl` with `{deck_name, qa_id, question,
answer, arithmetic_expression, evidence_pages, reasoning_type, answer_type}`, pictures
`images/<split>/<deck>/...-<number>-1024.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from leopard.curation.converters.drafts import Draft, whole
from leopard.curation.converters.fields import plain_qa, text
from leopard.curation.converters.local_copy import LocalCopy, Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError

NUM_SLIDES = 20
_SLIDE = re.compile(r"-(\d+)-\d+$")


def records(reading: Reading) -> Iterator[Record]:
    """Lines of the annotation file."""
    split = reading.splits(val="dev")
    name = reading.copy.find(f"annotations/qa/{split}.jsonl", f"{split}.jsonl")
    yield from reading.copy.jsonl(name, reading.rejects)


@lru_cache(maxsize=2)
def _decks(copy: LocalCopy) -> dict[str, list[tuple[int, str]]]:
    decks: dict[str, list[tuple[int, str]]] = {}
    for name in copy.names:
        path = PurePosixPath(name)
        if found := _SLIDE.search(path.stem):
            decks.setdefault(path.parent.name, []).append((int(found[1]), name))
    return {deck: sorted(slides) for deck, slides in decks.items()}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One question about one deck; a deck without exactly slides 1 to 20 is no use."""
    deck = text(record, "deck_name")
    slides = _decks(reading.copy).get(deck, [])
    if [number for number, _ in slides] != list(range(1, NUM_SLIDES + 1)):
        raise BadRecordError(f"a deck has not slides 1 to {NUM_SLIDES}")
    pages = [int(page) for page in record.get("evidence_pages") or ()]
    if not all(1 <= page <= NUM_SLIDES for page in pages):
        raise BadRecordError("an evidence slide is none of the slides")
    expression = str(record.get("arithmetic_expression") or "None")
    yield Draft(
        id=text(record, "qa_id"),
        doc_id=deck,
        pictures=tuple(reading.copy.picture(name) for _, name in slides),
        qa=(
            plain_qa(
                text(record, "question"),
                [text(record, "answer")],
                family=str(record.get("reasoning_type") or "lookup"),
                rationale="" if expression == "None" else f"Compute {expression}.",
                evidence=tuple(whole(page - 1) for page in sorted(set(pages))),
            ),
        ),
        split=reading.split,
    )


CONVERTER = Converter(
    name="slidevqa",
    title="SlideVQA",
    domain="slide",
    records=records,
    drafts=drafts,
    licence="LicenseRef-NTT-SlideVQA",
    terms="The licence of the repository allows evaluation and research only; slides belong to "
    "their authors.",
    citation="Tanaka et al., SlideVQA: A Dataset for Document VQA on Multiple Images, AAAI 2023",
    where="github.com/nttmdlab-nlp/SlideVQA (annotations and a downloader of slides).",
    expects="annotations/qa/train.jsonl and images/<split>/<deck>/...-<number>-1024.jpg",
    paper_samples=10_000,
)
