"""One sample again, from its id and the plan of its set.

Knows nothing of shards but the plan beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from leopard.curation.pixels import draw
from leopard.curation.plan import Plan, load_plan
from leopard.curation.synthesis.samples import Made, SampleMaker
from leopard.curation.synthesis.settings import GENERATOR_VERSION
from leopard.errors import DataError
from leopard.schema.rows import sample_to_row
from leopard.schema.samples import VectorPage


def rebuild(folder: Path, identity: str) -> Made:
    """Make the sample with this id again.

    Raises:
        DataError: If the id does not belong to the plan of the folder.
    """
    plan = load_plan(folder)
    return SampleMaker(plan.settings, plan.split).make(index_of(plan, folder, identity))


def index_of(plan: Plan, folder: Path, identity: str) -> int:
    """Global index of the sample with this id in the plan of a folder.

    Raises:
        DataError: If the id does not belong to the plan.
    """
    name, seed = re.escape(plan.settings.name), plan.settings.seed
    hit = re.fullmatch(rf"{name}-{GENERATOR_VERSION}-{seed}-(\d+)(?:-(train|val|test))?", identity)
    wanted_split = hit[2] if hit else None
    if hit is None or wanted_split != plan.split or int(hit[1]) >= plan.num_samples:
        raise DataError(
            f"id {identity!r} is not of the set in {folder}: its ids are "
            f"{plan.settings.name}-{GENERATOR_VERSION}-{seed}-N with N below {plan.num_samples}"
            + (f", then -{plan.split}" if plan.split else "")
        )
    return int(hit[1])


def write_sample(made: Made, folder: Path) -> Iterator[Path]:
    """Write PDF, pages and record of a sample; yields the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pdf = folder / f"{made.sample.id}.pdf"
    pdf.write_bytes(made.pdf)
    yield pdf
    for image in made.sample.images:
        if isinstance(image, VectorPage):
            path = folder / f"{made.sample.id}-{image.page}.png"
            draw(made.pdf, image).save(path)
            yield path
    record = folder / f"{made.sample.id}.json"
    text = json.dumps(sample_to_row(made.sample), indent=1, ensure_ascii=False)
    record.write_text(text + "\n", encoding="utf-8")
    yield record
