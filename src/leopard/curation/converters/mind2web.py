"""Mind2Web: tasks on real web sites, one screenshot per action, cut over several images.

Layout (huggingface.co/datasets/osunlp/Multimodal-Mind2Web): parquet `data/train-*.parquet` with
`{action_uid, annotation_id, confirmed_task, website, action_reprs, target_action_index,
target_action_reprs, pos_candidates, screenshot}`; candidates are JSON texts whose `attributes`
hold `bounding_box_rect`. A long screenshot is cut across into 1 to 5 images, as in the paper.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import PIL.Image

from leopard.curation.converters.drafts import (
    Draft,
    Picture,
    embedded,
    pixel_box,
    pixel_image,
)
from leopard.curation.converters.fields import literal, plain_qa, text, texts
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.splitting import Strip, strips
from leopard.curation.imports import BadRecordError
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import png_bytes
from leopard.schema.samples import Evidence

MAX_HISTORY = 10
"""Most earlier actions that the question tells."""


def records(reading: Reading) -> Iterator[Record]:
    """Actions of the split; what the source calls test has three parts."""
    split = reading.splits(val="test_task", test="test_website")
    yield from reading.copy.parquet(f"{split}-*.parquet", f"{split}*.parquet")


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """What to do next, given the task and what was done so far."""
    uid = text(record, "action_uid")
    if record.get("screenshot") is None:
        raise BadRecordError("no screenshot")
    page = _page(record["screenshot"])
    cuts = strips(page)
    pieces = tuple(
        Picture(
            name=f"{uid}_{number}.png",
            load=partial(png_bytes, page.crop((0, cut.top, page.width, cut.bottom))),
        )
        for number, cut in enumerate(cuts)
    )
    actions = [" ".join(action.split()) for action in texts(record.get("action_reprs") or [])]
    index = int(record["target_action_index"])
    answer = " ".join(text(record, "target_action_reprs").split())
    yield Draft(
        id=f"{record.get('annotation_id', '')}-{uid}".lstrip("-"),
        doc_id=str(record.get("annotation_id") or uid),
        pictures=pieces,
        qa=(
            plain_qa(
                _question(text(record, "confirmed_task"), actions[:index], len(pieces)),
                [answer],
                family="next action",
                evidence=_evidence(record, cuts, page.width),
            ),
        ),
        split=reading.split,
        note={"website": str(record.get("website") or "")},
    )


def _page(value: Any) -> PIL.Image.Image:
    checked = pixel_image(embedded(value, "screenshot.png"))
    with PIL.Image.open(io.BytesIO(checked.data)) as image:
        return image.convert("RGB")


def _question(task: str, done: list[str], num_images: int) -> str:
    shown = "The images show one web page from top to bottom." if num_images > 1 else ""
    told = done[-MAX_HISTORY:]
    history = "\n".join(f"- {action}" for action in told) if told else "- none"
    lines = [shown, f"Task: {task}", f"Actions so far:\n{history}", "What is the next action?"]
    return "\n".join(line for line in lines if line)


def _evidence(record: Record, cuts: list[Strip], width: int) -> tuple[Evidence, ...]:
    """The element to act on, in the piece that holds all of it; else nothing."""
    candidates = list(record.get("pos_candidates") or [])
    if not candidates:
        return ()
    try:
        attributes = literal(literal(candidates[0])["attributes"])
        sides = str(attributes["bounding_box_rect"]).split(",")
        left, top, box_width, height = (float(side) for side in sides)
    except (BadRecordError, KeyError, TypeError, ValueError):
        return ()
    for number, cut in enumerate(cuts):
        if cut.top <= top and top + height <= cut.bottom:
            box = (left, top - cut.top, left + box_width, top + height - cut.top)
            size = ImageSize(width, cut.bottom - cut.top)
            found = pixel_box(number, box, size, "target")
            return (found,) if found else ()
    return ()


CONVERTER = Converter(
    name="mind2web",
    title="Mind2Web",
    domain="web",
    records=records,
    drafts=drafts,
    licence="CC-BY-4.0",
    terms="Annotations; the multimodal set carries an OpenRAIL tag, pages belong to their sites.",
    citation="Deng et al., Mind2Web: Towards a Generalist Agent for the Web, NeurIPS 2023",
    where="huggingface.co/datasets/osunlp/Multimodal-Mind2Web.",
    expects="data/train-*.parquet",
    paper_samples=7_000,
)
