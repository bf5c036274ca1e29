"""Mixes: a set of given shares from several folders of shards.

Samples are picked by a hash of their id, so that a mix of the same folders is always the same and
a larger mix contains the smaller. What the sources lack comes from the folders named to fill up,
and is counted; what is still missing is reported. Knows nothing of how samples were made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from leopard.config import Settings
from leopard.curation.quality import read_drops
from leopard.curation.randomness import share
from leopard.errors import DataError
from leopard.schema.samples import Sample, VectorPage
from leopard.schema.shards import PdfTable, iter_samples, shard_paths, write_shard


class MixSettings(Settings):
    """What a mix is made of."""

    sources: tuple[Path, ...] = ()
    """Folders of shards, or folders of such folders; those that are not there are reported."""
    fill: tuple[Path, ...] = ()
    """Folders, such as synthetic sets, that are used only for what the sources lack."""
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
    filled: int = 0
    """Samples that came from the folders to fill up."""
    to_make: int = 0
    """Samples that the folders to fill up would need besides, at their shares, for all that is
    missing; 0 where nothing is, or where they have none of a kind that is."""
    absent: list[Path] = field(default_factory=list)
    """Folders that are not there."""
    dropped: int = 0
    """Samples on drop lists."""


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    cell: tuple[str, bool]
    order: tuple[bool, float]
    """Samples that fill up come last."""


def write_mix(settings: MixSettings, target: Path) -> MixReport:
    """Pick the samples and write them as new shards."""
    target.mkdir(parents=True, exist_ok=True)
    report = MixReport()
    folders = _present(settings, report)
    entries = list(_entries(settings, folders, report))
    picked = _pick(settings, entries, report)
    batch: list[Sample] = []
    pdfs: dict[str, bytes] = {}
    number = 0
    for folder, _ in folders:
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


def _present(settings: MixSettings, report: MixReport) -> list[tuple[Path, bool]]:
    """The folders that are there, and whether they only fill up.

    Raises:
        DataError: If none is.
    """
    named = [(path, False) for path in settings.sources] + [(path, True) for path in settings.fill]
    report.absent = [path for path, _ in named if not path.exists()]
    found = [(path, is_fill) for path, is_fill in named if path.exists()]
    if not found:
        raise DataError(
            f"nothing to mix: none of {', '.join(str(path) for path, _ in named) or 'no folders'} "
            "is there; convert sources or make samples first"
        )
    return found


def _entries(
    settings: MixSettings, folders: list[tuple[Path, bool]], report: MixReport
) -> Iterator[_Entry]:
    seen: set[str] = set()
    for folder, is_fill in folders:
        drops = read_drops(folder)
        for sample in iter_samples(folder):
            if sample.split != settings.split or sample.id in seen:
                continue
            seen.add(sample.id)
            if sample.id in drops:
                report.dropped += 1
                continue
            cell = (sample.domain, len(sample.images) > 1)
            yield _Entry(sample.id, cell, (is_fill, share("mix", sample.id)))


def _pick(settings: MixSettings, entries: list[_Entry], report: MixReport) -> set[str]:
    picked: set[str] = set()
    fills = Counter(entry.cell for entry in entries if entry.order[0])
    for cell, wanted in _quotas(settings, entries).items():
        found = sorted((e for e in entries if e.cell == cell), key=lambda e: (e.order, e.id))
        taken = found[:wanted]
        picked |= {entry.id for entry in taken}
        report.filled += sum(entry.order[0] for entry in taken)
        name = f"{cell[0]}, {'several images' if cell[1] else 'one image'}"
        report.cells[name] += len(taken)
        if len(taken) < wanted:
            report.deficits[name] = wanted - len(taken)
            rate = fills[cell] / fills.total() if fills else 0.0
            report.to_make = max(report.to_make, math.ceil((wanted - len(taken)) / rate)
                                 if rate else 0)  # fmt: skip
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
