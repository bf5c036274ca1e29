"""WebVision: screenshots of web pages with text about them.

Layout: parquet `data/train-*.parquet` with an image and texts. The paper does not name its origin;
huggingface.co/datasets/lukejagg/web-vision has the same name and, as the published Leopard set,
about 1,240 rows to train on. Its column names could not be looked up: an image column and either
a conversation or a pair of text columns are found by name, any other row is counted. The folder
`webvision` of the published Leopard set is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leopard.curation.converters.drafts import Draft, content_name, embedded, whole
from leopard.curation.converters.fields import literal, plain_qa, turns
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError

_IMAGES = ("image", "images", "screenshot")
_TALKS = ("conversations", "messages", "texts", "conversation")
_QUESTIONS = ("question", "prompt", "instruction", "input", "user", "query")
_ANSWERS = ("answer", "response", "completion", "output", "assistant", "text", "caption")
DESCRIBE = "Describe what this web page shows."


def records(reading: Reading) -> Iterator[Record]:
    """Rows with their number."""
    split = reading.split
    patterns: tuple[str, ...] = (f"{split}-*.parquet", f"webvision*{split}*.parquet")
    if split == "train":
        patterns += ("webvision/*.parquet", "webvision/train/*.parquet", "webvision-*.parquet")
    for number, row in enumerate(reading.copy.parquet(*patterns)):
        yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """What is said about one page."""
    image = _first(record, _IMAGES)
    if isinstance(image, list):
        if len(image) != 1:
            raise BadRecordError("a row has not one image")
        image = image[0]
    name = content_name(image)
    pairs = _pairs(record)
    yield Draft(
        id=f"{reading.split}-{record['_number']:06d}",
        doc_id=name,
        pictures=(embedded(image, f"{name}.png"),),
        qa=tuple(plain_qa(q, [a], family="web page", evidence=(whole(0),)) for q, a in pairs),
        split=reading.split,
    )


def _pairs(record: Record) -> list[tuple[str, str]]:
    talk = literal(_first(record, _TALKS))
    if isinstance(talk, list) and talk and isinstance(talk[0], dict):
        if "user" in talk[0]:
            return [(str(turn["user"]), str(turn["assistant"])) for turn in talk]
        if "question" in talk[0]:
            return [(str(turn["question"]), str(turn["answer"])) for turn in talk]
        return turns(talk)[0]
    question, answer = _first(record, _QUESTIONS), _first(record, _ANSWERS)
    if answer is None:
        raise BadRecordError("no column of answers is known")
    return [(str(question or DESCRIBE), str(answer))]


def _first(record: Record, names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


CONVERTER = Converter(
    name="webvision",
    title="WebVision",
    domain="web",
    records=records,
    drafts=drafts,
    licence="LicenseRef-unknown",
    terms="No licence is stated; pages belong to their sites.",
    citation="lukejagg, web-vision, Hugging Face 2024",
    where="huggingface.co/datasets/lukejagg/web-vision, or folder webvision of "
    "huggingface.co/datasets/wyu1/Leopard-Instruct.",
    expects="data/train-*.parquet",
    paper_samples=1_000,
    verified=False,
)
