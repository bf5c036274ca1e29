"""Mixes: a set of given shares from several folders of shards.

Samples are picked by a hash of their id, so that a mix of the same folders is always the same and
a larger mix contains the smaller. What is missing is reported, never filled up silently. Knows
nothing of how samples were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from leopard.config import Settings
from leopard.curation.quality import read_drops
from leopard.curation.randomness import share
from leopard.schema.samples import Sample, VectorPage
from leopard.schema.shards import PdfTable, iter_samples, shard_paths, write_shard


class MixSettings(Settings):
    """What a mix is made of."""

    sources: tuple[Path, ...]
    """Folders of shards."""
    num_samples: int = Field(ge=1)
    domains: dict[str, float] = Field(default_factory=dict)
    """Domain -> share of the samples; empty means as found."""
    multi_image_share: float | None = Field(default=None, ge=0, le=1)
    """Share of samples with several images; None means as found."""
    split: str = "train"
    shard_size: int = Field(default=500, ge=1)


@dataclass(slots=True)
class MixReport:
    """What went into a mix."""

    num_samples: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    """Samples by domain and number of images."""
    deficits: dict[str, int] = field(default_factory=dict)
    """Samples that were wanted and not there."""
    dropped: int = 0
    """Samples on drop lists."""


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    cell: tuple[str, bool]
    order: float


def write_mix(settings: MixSettings, target: Path) -> MixReport:
    """Pick the samples and write them as new shards."""
    target.mkdir(parents=True, exist_ok=True)
    report = MixReport()
    entries = list(_entries(settings, report))
    picked = _pick(settings, entries, report)
    batch: list[Sample] = []
    pdfs: dict[str, bytes] = {}
    number = 0
    for folder in settings.sources:
        for shard in shard_paths(folder):
            table = PdfTable(shard)
            for sample in iter_samples(shard):
                if sample.id not in picked:
                    continue
                picked.discard(sample.id)
                refs = {p.pdf_ref for p in sample.images if isinstance(p, VectorPage)}
                if batch and bool(refs) != bool(pdfs):  # a shard holds one kind
                    number = _flush(batch, pdfs, target, number)
                batch.append(sample)
                pdfs |= {ref: table.read(ref) for ref in refs}
                if len(batch) == settings.shard_size:
                    number = _flush(batch, pdfs, target, number)
    _flush(batch, pdfs, target, number)
    return report


def _flush(batch: list[Sample], pdfs: dict[str, bytes], target: Path, number: int) -> int:
    if batch:
        write_shard(target / f"mix-{number:05d}.parquet", batch, pdfs=pdfs)
        batch.clear()
        pdfs.clear()
        number += 1
    return number


def _entries(settings: MixSettings, report: MixReport) -> Iterator[_Entry]:
    seen: set[str] = set()
    for folder in settings.sources:
        drops = read_drops(folder)
        for sample in iter_samples(folder):
            if sample.split != settings.split or sample.id in seen:
                continue
            seen.add(sample.id)
            if sample.id in drops:
                report.dropped += 1
                continue
            cell = (sample.domain, len(sample.images) > 1)
            yield _Entry(sample.id, cell, share("mix", sample.id))


def _pick(settings: MixSettings, entries: list[_Entry], report: MixReport) -> set[str]:
    picked: set[str] = set()
    for cell, wanted in _quotas(settings, entries).items():
        found = sorted((e for e in entries if e.cell == cell), key=lambda e: (e.order, e.id))
        taken = found[:wanted]
        picked |= {entry.id for entry in taken}
        name = f"{cell[0]}, {'several images' if cell[1] else 'one image'}"
        report.cells[name] += len(taken)
        if len(taken) < wanted:
            report.deficits[name] = wanted - len(taken)
    report.num_samples = len(picked)
    return picked


def _quotas(settings: MixSettings, entries: list[_Entry]) -> dict[tuple[str, bool], int]:
    """Samples wanted per domain and kind."""
    found = Counter(entry.cell for entry in entries)
    domains = settings.domains or {
        name: sum(n for cell, n in found.items() if cell[0] == name)
        for name in sorted({cell[0] for cell in found})
    }
    total = sum(domains.values()) or 1
    quotas = {}
    for name, weight in domains.items():
        wanted = settings.num_samples * weight / total
        multi = settings.multi_image_share
        if multi is None:
            several, single = found[name, True], found[name, False]
            multi = several / max(1, several + single)
        quotas[name, True] = round(wanted * multi)
        quotas[name, False] = round(wanted * (1 - multi))
    return quotas
