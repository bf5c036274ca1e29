"""WebUI: crawled pages with accessibility trees and boxes.

Layout (huggingface.co/datasets/biglab/webui-7k and larger): one folder per page with
`<device>-screenshot.webp`, `<device>-axtree.json.gz` (`nodes: [{role, name, backendDOMNodeId}]`)
and `<device>-bb.json.gz` (node id to `{x, y, width, height}` or null). The source holds no
questions: here they are computed from names, roles and boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from leopard.curation.converters.drafts import Draft, picture_size, pixel_box
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.converters.web_questions import Element, questions_by_name
from leopard.curation.imports import BadRecordError
from leopard.schema.geometry import ImageSize

DEVICE = "default_1280-720"
"""The screen whose pages are read."""
MAX_NAME = 60
"""Longest name that is asked for, in characters."""
_KINDS = {
    "link": "link",
    "button": "button",
    "heading": "heading",
    "textbox": "text field",
    "searchbox": "search field",
    "checkbox": "checkbox",
    "combobox": "combo box",
    "tab": "tab",
}
_MARK = f"{DEVICE}-screenshot.webp"


def records(reading: Reading) -> Iterator[Record]:
    """Pages with a screenshot; the lists of splits are published apart, all pages are train."""
    if reading.split == "train":
        for name in reading.copy.matching(_MARK):
            yield {"stem": name.removesuffix("-screenshot.webp")}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """Place and kind of the named elements on the first screen."""
    stem = record["stem"]
    picture = reading.copy.picture(f"{stem}-screenshot.webp")
    size = picture_size(picture)
    tree = reading.copy.record_json(reading.copy.locate(f"{stem}-axtree.json.gz"))
    boxes = reading.copy.record_json(reading.copy.locate(f"{stem}-bb.json.gz"))
    elements = [e for node in tree["nodes"] if (e := _element(node, boxes, size))]
    if not elements:
        raise BadRecordError("no named element on the first screen")
    page = stem.rsplit("/", 2)[-2] if "/" in stem else stem
    yield Draft(
        id=page,
        doc_id=page,
        pictures=(picture,),
        qa=questions_by_name(elements, reading.stream(page)),
        split="train",
        note={"questions": "computed from accessibility tree and boxes"},
    )


def _element(node: Record, boxes: Mapping[str, Record | None], size: ImageSize) -> Element | None:
    """The element if it is of a known kind, has a name, and lies on the screen."""
    kind = _KINDS.get((node.get("role") or {}).get("value", ""))
    name = " ".join(str((node.get("name") or {}).get("value") or "").split())
    box = boxes.get(str(node.get("backendDOMNodeId")))
    if not kind or not 0 < len(name) <= MAX_NAME or not box or node.get("ignored"):
        return None
    left, top = float(box["x"]), float(box["y"])
    corners = (left, top, left + float(box["width"]), top + float(box["height"]))
    evidence = pixel_box(0, corners, size, str(node["backendDOMNodeId"]))
    return Element(kind, evidence, name) if evidence else None


CONVERTER = Converter(
    name="webui",
    title="WebUI",
    domain="web",
    records=records,
    drafts=drafts,
    licence="LicenseRef-WebUI",
    terms="See the project page; pages belong to their sites.",
    citation="Wu et al., WebUI: A Dataset for Enhancing Visual UI Understanding with Web "
    "Semantics, CHI 2023",
    where="huggingface.co/datasets/biglab/webui-7k (or -70k, -350k), uimodeling.github.io.",
    expects=f"<page>/{DEVICE}-screenshot.webp, -axtree.json.gz, -bb.json.gz",
    paper_samples=19_000,
    max_turns=4,
)
