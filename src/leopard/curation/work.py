"""What a worker does with one unit: make its samples and write its shard.

Knows nothing of executors; the same function runs in this process, in another, or on a cluster.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from leopard.curation.plan import Plan, Unit
from leopard.curation.synthesis.samples import SampleMaker
from leopard.schema.shards import remove_stale, write_shard


def make_shard(plan: Plan, unit: Unit, folder: Path) -> int:
    """Make one shard; returns its number of samples. Runs again from the start after a crash."""
    path = folder / unit.shard_name
    remove_stale(path)
    maker = SampleMaker(plan.settings, plan.split)
    samples, pdfs, rejects = [], {}, Counter[str]()
    for index in range(unit.start, unit.stop):
        made = maker.make(index)
        samples.append(made.sample)
        pdfs[hashlib.sha256(made.pdf).hexdigest()] = made.pdf
        rejects.update(made.rejects)
    info = write_shard(
        path, samples, pdfs=pdfs, config_hash=plan.settings.content_hash, rejects=rejects
    )
    return info.rows
