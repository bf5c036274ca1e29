"""SlideVQA: questions over decks of 20 slides. Knows nothing of other benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import IMAGE_SUFFIXES, DataFolder, Record, embedded_image
from leopard.evaluation.metrics import slides
from leopard.evaluation.samples import EvalSample, ImageSource
from leopard.evaluation.scorers import leopard_open
from leopard.evaluation.task import Outcome, Task

NUM_SLIDES = 20
_SLIDE = re.compile(r"-(\d+)-\d+$")


def records(data: DataFolder) -> Iterator[Record]:
    """Records of the test annotation, or rows of the parquet files of the hub."""
    if data.matching("test-*.parquet"):
        yield from data.parquet("test-*.parquet")
    else:
        yield from data.jsonl(data.find("annotations/qa/test.jsonl", "test.jsonl"))


@lru_cache(maxsize=4)
def _decks(data: DataFolder) -> dict[str, list[tuple[int, str]]]:
    decks: dict[str, list[tuple[int, str]]] = {}
    for name in data.names:
        path = PurePosixPath(name)
        found = _SLIDE.search(path.stem)
        if found and path.suffix.lower() in IMAGE_SUFFIXES:
            decks.setdefault(path.parent.name, []).append((int(found[1]), name))
    return {deck: sorted(slides_of) for deck, slides_of in decks.items()}


def _slides(record: Record, data: DataFolder) -> tuple[ImageSource, ...]:
    """Slides 1 to 20: columns of the row, or files by the number in their name."""
    deck = str(record["deck_name"])
    columns = {number: record.get(f"page_{number}") for number in range(1, NUM_SLIDES + 1)}
    if "page_1" in record:
        found = [(number, value) for number, value in columns.items() if value]
    else:
        found = _decks(data).get(deck, [])
    if [number for number, _ in found] != list(columns):
        raise EvaluationError(f"deck {deck} has {len(found)} slide images; {NUM_SLIDES} are needed")
    if "page_1" in record:
        return tuple(embedded_image(value, f"{deck}, slide {n}") for n, value in found)
    return tuple(data.image(name) for _, name in found)


def sample(record: Record, data: DataFolder) -> EvalSample:
    """Slides by their number; a deck without exactly slides 1 to 20 cannot be asked."""
    deck = str(record["deck_name"])
    images = _slides(record, data)
    evidence = tuple(int(page) - 1 for page in record.get("evidence_pages") or ())
    return EvalSample(
        id=str(record["qa_id"]),
        doc_id=deck,
        question=record["question"],
        images=images,
        answers=(str(record["answer"]),),
        answer_type=str(record.get("answer_type") or "text"),
        source=str(record.get("reasoning_type") or "all"),
        evidence=evidence or None,
    )


def _official(key: str, sample: EvalSample, answer: Answer) -> Outcome:
    scores = slides.slidevqa_qa(sample.answers[0], answer.text, sample.question)
    return Outcome(scores[key], unparsed=not answer.text)


def _joint(sample: EvalSample, answer: Answer) -> Outcome:
    gold = [page + 1 for page in sample.evidence or ()]
    scores = slides.slidevqa_joint(
        (sample.answers[0], answer.text), (gold, sorted(answer.pages)), sample.question
    )
    return Outcome(scores["f1"], unparsed=not answer.text)


TASK = Task(
    name="slidevqa",
    title="SlideVQA",
    records=records,
    sample=sample,
    scorers={
        "em": lambda s, a: _official("em", s, a),
        "f1": lambda s, a: _official("f1", s, a),
        "joint_f1": _joint,
        "leopard": leopard_open,
    },
    where=(
        "Get it from huggingface.co/datasets/NTT-hil-insight/SlideVQA, or annotations and the "
        "slide downloader from github.com/nttmdlab-nlp/SlideVQA; its licence allows evaluation "
        "only, slides belong to their authors."
    ),
    expects=(
        "data/test-*.parquet, or annotations/qa/test.jsonl and "
        "images/<split>/<deck>/...-<number>-1024.jpg"
    ),
)
