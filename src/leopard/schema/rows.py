"""Samples as plain rows of a table, and back.

One row holds messages, images (pixels or PDF pages), questions with their proof, and provenance.
Free-form mappings are stored as JSON text with sorted keys, so that equal samples give equal
bytes. Knows nothing of files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from leopard.errors import DataError
from leopard.schema.messages import Message
from leopard.schema.samples import Evidence, PixelImage, QuestionAnswer, Sample, VectorPage

Row = dict[str, Any]


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys, no blanks and unescaped letters: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sample_to_row(sample: Sample) -> Row:
    """One sample as a row; `pages` holds PDF pages, `images` and `image_sizes` hold pixels.

    Raises:
        DataError: If the sample mixes pixels and PDF pages.
    """
    row: Row = {
        "id": sample.id,
        "doc_id": sample.doc_id,
        "domain": sample.domain,
        "task": sample.task,
        "messages": [_message_row(message) for message in sample.messages],
        "qa": [_qa_row(qa) for qa in sample.qa],
        "provenance": canonical_json(sample.provenance),
        "quality": canonical_json(sample.quality),
        "licence": sample.licence,
        "split": sample.split,
    }
    vector = [image for image in sample.images if isinstance(image, VectorPage)]
    pixels = [image for image in sample.images if isinstance(image, PixelImage)]
    if vector and pixels:
        raise DataError(
            f"sample {sample.id} mixes {len(pixels)} pixel images and {len(vector)} PDF pages; "
            "a shard holds one kind: rasterise the PDF pages first (curate export)"
        )
    row["pages"] = [asdict(page) for page in vector]
    row["images"] = [{"bytes": image.data, "path": image.path or None} for image in pixels]
    row["image_sizes"] = [[image.width, image.height] for image in pixels]
    return row


def row_to_sample(row: Mapping[str, Any]) -> Sample:
    """The sample that a row holds.

    Raises:
        DataError: If a column is missing or holds something else.
    """
    try:
        return Sample(
            id=row["id"],
            doc_id=row["doc_id"],
            domain=row["domain"],
            task=row["task"],
            messages=tuple(Message.from_dict(message) for message in row["messages"]),
            images=_images(row),
            qa=tuple(_qa(record) for record in row["qa"]),
            provenance=json.loads(row["provenance"]),
            quality=json.loads(row["quality"]),
            licence=row["licence"],
            split=row["split"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"row {row.get('id', '?')!r} is not a sample ({type(error).__name__}: {error}); "
            "read shards written by leopard, or import other formats with `leopard curate convert`"
        ) from error


def _message_row(message: Message) -> Row:
    record = message.to_dict()
    content = [{"type": part["type"], "text": part.get("text")} for part in record["content"]]
    return {"role": record["role"], "content": content}


def _qa_row(qa: QuestionAnswer) -> Row:
    return {
        "question": qa.question,
        "answer": qa.answer,
        "answer_type": qa.answer_type,
        "family": qa.family,
        "aliases": list(qa.aliases),
        "choices": list(qa.choices),
        "rationale": qa.rationale,
        "program": None if qa.program is None else canonical_json(qa.program),
        "evidence": [
            {"image": e.image, "element": e.element, "box": list(e.box)} for e in qa.evidence
        ],
        "pages_needed": qa.pages_needed,
    }


def _qa(record: Mapping[str, Any]) -> QuestionAnswer:
    program = record["program"]
    return QuestionAnswer(
        question=record["question"],
        answer=record["answer"],
        answer_type=record["answer_type"],
        family=record["family"],
        aliases=tuple(record["aliases"]),
        choices=tuple(record["choices"]),
        rationale=record["rationale"],
        program=None if program is None else json.loads(program),
        evidence=tuple(
            Evidence(image=e["image"], element=e["element"], box=_box(e["box"]))
            for e in record["evidence"]
        ),
        pages_needed=record["pages_needed"],
    )


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = values
    return left, top, right, bottom


def _images(row: Mapping[str, Any]) -> tuple[PixelImage | VectorPage, ...]:
    if row.get("pages"):
        return tuple(VectorPage(**page) for page in row["pages"])
    images, sizes = row.get("images") or [], row.get("image_sizes") or []
    return tuple(
        PixelImage(data=image["bytes"], width=w, height=h, path=image["path"] or "")
        for image, (w, h) in zip(images, sizes, strict=True)
    )
