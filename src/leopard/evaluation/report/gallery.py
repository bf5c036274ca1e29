"""Samples of a run with their pages as small pictures: tiles drawn in, evidence marked.

Pages come from the user's copy of the data; without it the gallery shows texts alone. Knows
nothing of HTML.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leopard.errors import LeopardError
from leopard.evaluation.records import Record
from leopard.evaluation.samples import EvalSample, open_image
from leopard.evaluation.task import Task
from leopard.evaluation.views import view
from leopard.processor.crops import TiledImage
from leopard.schema.geometry import CropGeometry, Grid, ImageSize

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_WIDTH = 640
_LINE = (214, 60, 40)
MAX_PAGES = 12
"""Most pages shown of one sample; evidence pages come first among those."""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """One page of a sample in the report."""

    uri: str
    caption: str
    is_evidence: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample in the report."""

    record: Record
    status: str
    """`right`, `partly`, `wrong`, `unparsed` or `failed`."""
    score: float
    pages: tuple[PagePicture, ...]
    left_out: int
    """Pages that are not shown here."""
    label: str = ""
    """Name of the run, where a page shows several."""


def status_of(record: Record, scorer: str) -> str:
    """How the primary scorer saw a sample."""
    if record["error"]:
        return "failed"
    score = float(record["scores"][scorer])
    if score >= 1 - 1e-6:
        return "right"
    if record["unparsed"]:
        return "unparsed"
    return "partly" if score > 0 else "wrong"


def choose(records: Sequence[Record], scorer: str, limit: int) -> list[Record]:
    """Samples for the gallery: failures and errors first, some of every kind."""
    order = ("failed", "unparsed", "wrong", "partly", "right")
    kinds: dict[str, list[Record]] = {name: [] for name in order}
    for record in records:
        kinds[status_of(record, scorer)].append(record)
    chosen: list[Record] = []
    shares = {"failed": 0.1, "unparsed": 0.15, "wrong": 0.45, "partly": 0.15, "right": 0.15}
    for name in order:
        chosen += kinds[name][: max(1, round(limit * shares[name]))]
    rest = [r for name in order for r in kinds[name] if r not in chosen]
    chosen += rest[: max(0, limit - len(chosen))]
    return chosen[:limit]


def entries(
    task: Task,
    records: Sequence[Record],
    data: Path | None,
    view_name: str,
    limit: int,
    *,
    max_pages: int = MAX_PAGES,
) -> list[Entry]:
    """Gallery entries of a run.

    Args:
        task: The task of the run.
        records: All records.
        data: The user's copy of the data, or None for texts alone.
        view_name: View of the run, so that the pages are those the model saw.
        limit: Most entries.
        max_pages: Most pages of a sample, evidence pages first.
    """
    chosen = choose(records, task.primary, limit)
    samples: Mapping[str, EvalSample] = {}
    if data is not None and data.exists():
        wanted = {record["id"] for record in chosen}
        samples = {s.id: s for s in task.samples(data) if s.id in wanted}
    made = []
    for record in chosen:
        sample = samples.get(record["id"])
        pages, left_out = _pages(view(view_name, sample), record, max_pages) if sample else ((), 0)
        score = float(record["scores"][task.primary])
        made.append(Entry(record, status_of(record, task.primary), score, pages, left_out))
    return made


def _pages(sample: EvalSample, record: Record, most: int) -> tuple[tuple[PagePicture, ...], int]:
    gold = set(sample.evidence or ())
    numbers = sorted(range(len(sample.images)), key=lambda n: (n not in gold, n))[:most]
    made = []
    for number in sorted(numbers):
        source = sample.images[number]
        info = record["images"][number] if number < len(record["images"]) else {}
        try:
            uri = _uri(open_image(source.read(), source.label), info.get("grid"))
        except (LeopardError, OSError):
            uri = ""
        tokens = info.get("visual_tokens")
        grid = info.get("grid") or "thumbnail only"
        detail = f", {grid}, {tokens} tokens" if tokens else ""
        caption = f"page {number + 1}: {info.get('width', '?')}x{info.get('height', '?')}{detail}"
        made.append(PagePicture(uri, caption, number in gold))
    return tuple(made), len(sample.images) - len(made)


def tile_edges(size: ImageSize, grid: str | None) -> tuple[list[float], list[float]]:
    """Where tiles meet on a page, as shares of its width and of its height.

    The padding around the page belongs to the outer tiles, so they show less of it.

    Args:
        size: Size of the page; only its shape matters.
        grid: Such as `3x2`, rows first; None has no tiles.
    """
    if not grid:
        return [], []
    rows, cols = (int(part) for part in grid.split("x"))
    plan = TiledImage(
        size=size,
        allocated=rows * cols,
        grid=Grid(rows, cols),
        crop_size=CropGeometry().crop_size,
    )
    assert plan.resized is not None
    assert plan.paste_at is not None
    left, top = plan.paste_at
    across = [(col * plan.crop_size - left) / plan.resized.width for col in range(1, cols)]
    down = [(row * plan.crop_size - top) / plan.resized.height for row in range(1, rows)]
    return [x for x in across if 0 < x < 1], [y for y in down if 0 < y < 1]


def _uri(image: Image, grid: str | None) -> str:
    from PIL import ImageDraw

    height = max(1, round(image.height * THUMBNAIL_WIDTH / image.width))
    small = image.resize((THUMBNAIL_WIDTH, min(height, 4 * THUMBNAIL_WIDTH)))
    pen = ImageDraw.Draw(small)
    across, down = tile_edges(ImageSize(image.width, image.height), grid)
    for share in down:
        pen.line((0, share * small.height, small.width, share * small.height), _LINE, 2)
    for share in across:
        pen.line((share * small.width, 0, share * small.width, small.height), _LINE, 2)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=60)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
