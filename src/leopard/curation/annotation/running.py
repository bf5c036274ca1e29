"""Annotation of a folder of shards: each shard becomes one shard, whole or not at all.

The same shards, settings and cache give the same rows byte for byte; a run that was killed goes on
and pays for nothing twice. Knows nothing of executors.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from leopard.curation.annotation.bench import Bench
from leopard.curation.annotation.client import Client, Traffic
from leopard.curation.annotation.judge import judge
from leopard.curation.annotation.ledger import Ledger
from leopard.curation.annotation.paraphrase import paraphrase
from leopard.curation.annotation.questions import questions
from leopard.curation.annotation.rationale import rationale
from leopard.curation.annotation.settings import JOB_ORDER, AnnotateSettings, JobName
from leopard.curation.annotation.subject import Subject
from leopard.curation.annotation.tally import Tally
from leopard.curation.plan import PLAN_FILE, Plan, load_plan
from leopard.curation.quality import read_drops
from leopard.curation.rebuild import index_of
from leopard.curation.synthesis.documents import PrintedDocument
from leopard.curation.synthesis.samples import SampleMaker
from leopard.errors import ConfigError, DataError
from leopard.schema.files import write_text_atomically
from leopard.schema.rows import canonical_json
from leopard.schema.samples import Sample, VectorPage
from leopard.schema.shards import (
    PdfTable,
    check_shard,
    info_path,
    iter_samples,
    read_info,
    remove_stale,
    shard_paths,
    write_shard,
)

RECORD_FILE = "annotation.json"
CACHE_FILE = "annotation-cache.sqlite"
TALLY_SUFFIX = ".annotation.json"
JOBS: Mapping[JobName, Callable[[Subject, Bench], Awaitable[None]]] = {
    "paraphrase": paraphrase,
    "rationale": rationale,
    "questions": questions,
    "judge": judge,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """One annotation: what, where from, where to."""

    settings: AnnotateSettings
    source: Path
    """Folder of shards."""
    target: Path
    """Folder for the annotated shards; another one."""
    cache: Path
    """The ledger of answers and money."""

    def shards(self) -> list[Path]:
        """Paths of all shards, relative to their folder."""
        root = self.source.parent if self.source.is_file() else self.source
        return [path.relative_to(root) for path in shard_paths(self.source)]

    def read(self, name: Path) -> Path:
        """Where a shard comes from."""
        return (self.source.parent if self.source.is_file() else self.source) / name

    def unfinished(self) -> list[Path]:
        """Shards that are not annotated yet.

        Raises:
            ConfigError: If the target holds an annotated shard of another content.
        """
        todo = []
        for name in self.shards():
            done = self.target / name
            if not (done.exists() and info_path(done).exists()):
                todo.append(name)
            elif read_info(done).config_hash != self.config_hash(name):
                raise ConfigError(
                    f"{done} was made from another shard, drop list or settings than "
                    f"{self.read(name)}; give a new folder with --out, or delete it"
                )
        return todo

    def config_hash(self, name: Path) -> str:
        """Hash of all that decides the rows of a shard, but for the answers."""
        shard = self.read(name)
        parts = [self.settings.content_hash, read_info(shard).sha256, sorted(self.drops())]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]

    def drops(self) -> Mapping[str, str]:
        """Samples on drop lists of the source."""
        return read_drops(self.source) if self.source.is_dir() else {}


@dataclass(slots=True)
class Report:
    """What happened to one shard, or to several."""

    rows: int = 0
    """Samples written."""
    tally: Tally = field(default_factory=Tally)
    traffic: Traffic = field(default_factory=Traffic)

    def add(self, other: Report) -> None:
        """Add another report."""
        self.rows += other.rows
        self.tally.add(other.tally)
        mine, its = self.traffic, other.traffic
        mine.sent, mine.from_cache = mine.sent + its.sent, mine.from_cache + its.from_cache
        mine.answered, mine.refused = mine.answered + its.answered, mine.refused + its.refused
        mine.failures.update(its.failures)


def prepare(annotation: Annotation) -> None:
    """Make the target folder and check that it belongs to this annotation.

    Raises:
        ConfigError: If it holds another annotation, or is the source itself.
    """
    source, target = annotation.source.resolve(), annotation.target.resolve()
    if target == source or target.is_relative_to(source) or source.is_relative_to(target):
        raise ConfigError(f"{target}: annotated shards go into a folder apart from {source}")
    target.mkdir(parents=True, exist_ok=True)
    annotation.cache.parent.mkdir(parents=True, exist_ok=True)
    record = target / RECORD_FILE
    wanted = annotation.settings.content_hash
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8")).get("content_hash")
        if found != wanted:
            raise ConfigError(
                f"{target} holds an annotation with other settings (content {found}, got "
                f"{wanted}); give a new folder with --out; the cache can be kept with --cache"
            )
    dump = annotation.settings.model_dump(mode="json")
    text = json.dumps({"content_hash": wanted, "settings": dump}, indent=1)
    write_text_atomically(record, text + "\n")


def annotate_shard(
    annotation: Annotation, name: Path, on_sample: Callable[[int], None] = lambda _: None
) -> Report:
    """Annotate one shard; runs again from the start after a crash, with the answers it had.

    Args:
        annotation: The annotation it belongs to.
        name: The shard, relative to the source.
        on_sample: Told 1 for each sample that is finished.

    Raises:
        CapReachedError: If the money does not reach; what was answered is kept.
        GenerationError: If the server keeps failing.
        DataError: If the shard is damaged.
    """
    source, target = annotation.read(name), annotation.target / name
    check_shard(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    table = PdfTable(source)
    ledger = Ledger(annotation.cache, annotation.settings.cap_usd)
    try:
        kept, report = asyncio.run(_annotate(annotation, source, table, ledger, on_sample))
    finally:
        ledger.close()
    refs = dict.fromkeys(i.pdf_ref for s in kept for i in s.images if isinstance(i, VectorPage))
    rejects = Counter(read_info(source).rejects)
    rejects.update({f"annotate {why}": n for why, n in report.tally.rejected.items()})
    tally = json.dumps(report.tally.to_dict(), indent=1)
    write_text_atomically(target.with_suffix(TALLY_SUFFIX), tally + "\n")
    write_shard(
        target,
        kept,
        pdfs={ref: table.read(ref) for ref in refs},
        config_hash=annotation.config_hash(name),
        rejects=rejects,
    )
    report.rows = len(kept)
    return report


def stored_tally(folder: Path) -> Tally:
    """The counts of all annotated shards of a folder."""
    tally = Tally()
    for path in sorted(folder.rglob(f"*{TALLY_SUFFIX}")):
        tally.add(Tally.from_dict(json.loads(path.read_text(encoding="utf-8"))))
    return tally


async def _annotate(
    annotation: Annotation,
    source: Path,
    table: PdfTable,
    ledger: Ledger,
    on_sample: Callable[[int], None],
) -> tuple[list[Sample], Report]:
    settings = annotation.settings
    client = Client(ledger, settings.pace)
    report = Report(traffic=client.traffic)
    bench = Bench(settings, client, report.tally)
    drops = annotation.drops()
    remake = _Remaker(annotation.source)
    finished: dict[int, Sample] = {}
    failures: list[BaseException] = []
    waiting = enumerate(_kept(source, drops, report.tally))

    async def work() -> None:
        for index, sample in waiting:
            if failures:
                return
            try:
                done = await _annotate_sample(_subject(sample, table, remake, settings), bench)
            except Exception as error:  # noqa: BLE001 - raised below, when open tries have landed
                failures.append(error)
                return
            if done is not None:
                finished[index] = done
            on_sample(1)

    try:
        await asyncio.gather(*(work() for _ in range(settings.pace.concurrency)))
    finally:
        await client.close()
    if failures:
        raise failures[0]
    return [finished[index] for index in sorted(finished)], report


def _kept(source: Path, drops: Mapping[str, str], tally: Tally) -> Iterator[Sample]:
    for sample in iter_samples(source):
        if sample.id in drops:
            tally.reject("sample", "on a drop list")
            continue
        yield sample


async def _annotate_sample(subject: Subject, bench: Bench) -> Sample | None:
    if subject.states_reasoning is None:
        bench.tally.reject("sample", "its conversation has another form; left as it is")
        return subject.sample
    jobs = bench.settings.jobs
    for name in JOB_ORDER:
        if name in jobs:
            await JOBS[name](subject, bench)
    done = subject.finished(reasons="rationale" in jobs)
    if done is None:
        bench.tally.reject("sample", "no question is left")
    return done


def _subject(
    sample: Sample,
    table: PdfTable,
    remake: Callable[[str], PrintedDocument],
    settings: AnnotateSettings,
) -> Subject:
    refs = {image.pdf_ref for image in sample.images if isinstance(image, VectorPage)}
    pdfs = {ref: table.read(ref) for ref in refs}
    return Subject(sample, pdfs, remake, settings.max_image_side)


class _Remaker:
    """Makes documents of a synthetic set again, if the folder has its plan."""

    def __init__(self, source: Path) -> None:
        self._folder = source if source.is_dir() else source.parent

    def __call__(self, identity: str) -> PrintedDocument:
        if not (self._folder / PLAN_FILE).exists():
            raise DataError(f"{self._folder}: no {PLAN_FILE}")
        plan, maker = _maker(self._folder)
        return maker.make(index_of(plan, self._folder, identity)).document


@cache
def _maker(folder: Path) -> tuple[Plan, SampleMaker]:
    plan = load_plan(folder)
    return plan, SampleMaker(plan.settings, plan.split)
