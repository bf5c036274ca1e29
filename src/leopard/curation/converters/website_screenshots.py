"""Website Screenshots: pages with boxes around their elements.

Layout (Roboflow, COCO export): `train/_annotations.coco.json` with `images`, `annotations`
(`bbox` as left, top, width, height) and `categories`, pictures beside it. The source holds no
questions: the paper had GPT-4o write some, here they are computed from the boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, pixel_box
from leopard.curation.converters.fields import text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.web_questions import Element, questions_about
from leopard.curation.imports import BadRecordError
from leopard.schema.geometry import ImageSize


def records(reading: Reading) -> Iterator[Record]:
    """Pictures with their boxes."""
    folder = reading.splits(val="valid")
    name = reading.copy.find(f"{folder}/_annotations.coco.json", f"{folder}*.coco.json")
    coco = reading.copy.json(name)
    names = {item["id"]: str(item["name"]) for item in coco["categories"]}
    boxes: dict[int, list[Record]] = {}
    for item in coco["annotations"]:
        boxes.setdefault(item["image_id"], []).append(item)
    # The export has a category of all elements that no box carries.
    used = {names[item["category_id"]] for item in coco["annotations"]}
    shared = {"_folder": folder, "_names": names, "_used": used}
    for image in coco["images"]:
        yield {**image, **shared, "_boxes": boxes.get(image["id"], [])}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """Counting, existence and place of the elements of one page."""
    name = text(record, "file_name")
    size = ImageSize(int(record["width"]), int(record["height"]))
    elements, unclear = [], set()
    for item in record["_boxes"]:
        kind = record["_names"][item["category_id"]]
        left, top, width, height = (float(side) for side in item["bbox"])
        right, bottom = min(left + width, size.width), min(top + height, size.height)
        box = pixel_box(0, (left, top, right, bottom), size, str(item["id"]))
        if box is None:
            reading.reject("a kind of element with a box outside its picture")
            unclear.add(kind)
            continue
        elements.append(Element(kind=kind, evidence=box))
    elements = [element for element in elements if element.kind not in unclear]
    if not elements:
        raise BadRecordError("no boxes")
    kinds = Counter(element.kind for element in elements)
    yield Draft(
        id=name,
        doc_id=name,
        pictures=(reading.copy.picture(f"{record['_folder']}/{name}", name),),
        qa=questions_about(elements, sorted(record["_used"] - unclear), reading.stream(name)),
        split=reading.split,
        note={"questions": "computed from boxes", "elements": dict(sorted(kinds.items()))},
    )


CONVERTER = Converter(
    name="website_screenshots",
    title="WebsiteScreenshots",
    domain="web",
    records=records,
    drafts=drafts,
    licence="MIT",
    terms="Pages belong to their sites.",
    citation="Dwyer, Website Screenshots Dataset, Roboflow Universe 2020",
    where="universe.roboflow.com, Website Screenshots, export format COCO.",
    expects="train/_annotations.coco.json and the pictures beside it",
    paper_samples=2_000,
)
