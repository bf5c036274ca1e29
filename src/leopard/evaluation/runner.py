"""Asks a model every sample of a task and records each answer; a killed run goes on where it was.

Scores depend on the sample and the answer alone: not on batch size, order, workers or resumption.
Knows nothing of reports.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leopard.errors import ConfigError, LeopardError
from leopard.evaluation.answers import PARSER, parse_answer
from leopard.evaluation.cache import AnswerCache
from leopard.evaluation.drawing import RESOLUTIONS, read_images
from leopard.evaluation.encoding import Encoding
from leopard.evaluation.generators.base import Prepared, Responder
from leopard.evaluation.records import Record, RecordLog, read_records, write_manifest
from leopard.evaluation.samples import EvalSample, open_image, sha256
from leopard.evaluation.scoring import sample_fields, score_fields
from leopard.evaluation.task import Task
from leopard.evaluation.views import VIEWS, stable_seed, view
from leopard.processor.prompt import IMAGE_TAG, question_message
from leopard.schema.generation import Generation, GenerationRequest, SamplingOptions
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from PIL.Image import Image

# What a local model raises when it runs out of memory or meets an impossible input.
_FAILURES = (LeopardError, RuntimeError, OSError, MemoryError)
PAGE_REQUEST = "\nThen name the pages that hold the answer, as: Pages: 1, 2"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """What a run does with the samples of a task."""

    preset: str = "direct"
    """Instruction after the question: `direct`, `cot` or `none`."""
    view: str = "full"
    """What of the images is shown; see `leopard.evaluation.views`."""
    resolution: str = "model"
    """How large pages without pixels of their own are drawn: as the `model` wants, where that is
    known, or as the `data` set says."""
    ask_pages: bool = False
    """Whether to ask for the pages that hold the answer, for the evidence score."""
    max_new_tokens: int = 128
    """Most tokens of an answer (128 in the published evaluation)."""
    batch_size: int = 8
    """Samples asked at a time. No score depends on it."""
    limit: int | None = None
    """Only the first so many samples; the run is then "a part of" the benchmark."""
    rank: int = 0
    """Number of this worker, from 0."""
    world: int = 1
    """Number of workers that share the samples."""

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise ConfigError(f"view {self.view!r} is unknown; use one of {', '.join(VIEWS)}")
        if self.resolution not in RESOLUTIONS:
            raise ConfigError(
                f"resolution {self.resolution!r} is unknown; use one of {', '.join(RESOLUTIONS)}"
            )
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"rank {self.rank} of {self.world}: rank counts from 0 to world - 1")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; it must be at least 1")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the scores; all but how the work is shared."""
        values = asdict(self)
        for name in ("batch_size", "rank", "world"):
            values.pop(name)
        return values


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCounts:
    """What a call of `run` did."""

    done_before: int
    asked: int
    failed: int
    """Samples that were asked and could not be answered; they score 0."""
    broken: int
    """Samples that could not be built; they score 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is evaluated."""

    responder: Responder
    encoding: Encoding | None = None
    """How images become crops, for the records; None when the model does it elsewhere."""
    cache: AnswerCache | None = None
    """Answers of earlier runs by content."""


_Numbered = tuple[int, EvalSample]
"""A sample with its place in the task."""
Progress = Callable[[int, int], None]
"""Called with samples done and samples in all of this worker."""


def run(
    task: Task,
    data: Path,
    subject: Subject,
    folder: Path,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
) -> RunCounts:
    """Evaluate a model on a task, or go on with a run that was interrupted.

    Args:
        task: The benchmark.
        data: The user's local copy.
        subject: What answers.
        folder: Folder of the run.
        settings: What is shown and asked.
        progress: Told how far this worker is.

    Returns:
        Counts of this call.

    Raises:
        EvaluationError: If the data is unusable, or the folder holds another run.
    """
    settings = settings or RunSettings()
    samples = load_samples(task, data, settings.limit)
    write_manifest(folder, manifest(task, data, subject, settings, len(samples)))
    with RecordLog(folder, settings.rank, settings.world) as log:
        done = {record["id"] for record in read_records(folder)}
        todo = [
            (index, sample)
            for index, sample in enumerate(samples)
            if sample.id not in done and _is_mine(sample, settings)
        ]
        asked = failed = broken = 0
        for records in _Worker(task, subject, settings).records(todo):
            log.append(*records)
            asked += len(records)
            broken += sum(bool(record["problem"]) for record in records)
            failed += sum(bool(record["error"]) and not record["problem"] for record in records)
            if progress:
                progress(asked, len(todo))
    return RunCounts(done_before=len(done), asked=asked, failed=failed, broken=broken)


def load_samples(task: Task, data: Path, limit: int | None = None) -> list[EvalSample]:
    """Samples of a task in file order, the first `limit` of them."""
    samples: list[EvalSample] = []
    for sample in task.samples(data):
        if limit is not None and len(samples) >= limit:
            break
        samples.append(sample)
    return samples


def _is_mine(sample: EvalSample, settings: RunSettings) -> bool:
    # By document, so that one worker encodes a document once; by hash, so that every worker
    # agrees whatever has been done already.
    return stable_seed(sample.doc_id) % settings.world == settings.rank


def manifest(
    task: Task, data: Path, subject: Subject, settings: RunSettings, num_samples: int
) -> Record:
    """What a run is; `identity` must be the same for it to go on."""
    from leopard import __version__

    responder, encoding = subject.responder, subject.encoding
    return {
        "task": task.name,
        "title": task.title,
        "model": responder.name,
        "split": task.split,
        "num_samples": num_samples,
        "identity": {
            "task": task.name,
            "task_version": task.version,
            "data": data_fingerprint(data),
            "model": responder.name,
            "fingerprint": responder.fingerprint,
            "encoding": None if encoding is None else asdict(encoding),
            "parser": PARSER,
            **settings.identity,
        },
        "made_with": {"leopard": __version__},
        "data_path": str(data),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def data_fingerprint(data: Path) -> str:
    """Hash of names, sizes and times of change of all files under a path."""
    files = [data] if data.is_file() else sorted(f for f in data.rglob("*") if f.is_file())
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        name = file.relative_to(data.parent)
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class _Worker:
    """Prepares batches ahead, asks, scores."""

    def __init__(self, task: Task, subject: Subject, settings: RunSettings) -> None:
        self._task = task
        self._responder = subject.responder
        self._encoding = subject.encoding
        self._cache = subject.cache
        self._settings = settings

    def records(self, todo: Sequence[_Numbered]) -> Iterator[list[Record]]:
        """Records batch by batch; images of the next batch are read while this one is asked."""
        batches = list(_batches(todo, self._settings.batch_size))
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead: Future[list[_Item]] | None = None
            for number, batch in enumerate(batches):
                items = ahead.result() if ahead else self._prepare(batch)
                following = batches[number + 1] if number + 1 < len(batches) else None
                ahead = reader.submit(self._prepare, following) if following else None
                yield self._answer(items)

    def _prepare(self, batch: Sequence[_Numbered]) -> list[_Item]:
        # Equal pictures become one object, so that a model sees that they are the same.
        opened: dict[str, Image] = {}
        return [self._prepare_one(index, sample, opened) for index, sample in batch]

    def _prepare_one(self, index: int, sample: EvalSample, opened: dict[str, Image]) -> _Item:
        shown = view(self._settings.view, sample)
        if sample.problem:
            return _Item(index, sample, None, 0, sample.problem)
        try:
            contents = read_images(shown.images, self._encoding, self._settings.resolution)
            hashes = [sha256(content) for content in contents]
            for image, content, name in zip(shown.images, contents, hashes, strict=True):
                if name not in opened:
                    opened[name] = open_image(content, image.label)
            pictures = tuple(opened[name] for name in hashes)
        except (*_FAILURES, ValueError, KeyError) as error:
            return _Item(index, sample, None, 0, _reason(error))
        sizes = [ImageSize(picture.width, picture.height) for picture in pictures]
        rows, dropped = self._encoding.describe(sizes) if self._encoding else ([{}] * len(sizes), 0)
        images = tuple(
            {
                "label": image.label,
                "sha256": name,
                "width": size.width,
                "height": size.height,
                **row,
            }
            for image, name, size, row in zip(shown.images, hashes, sizes, rows, strict=True)
        )
        request = self._request(shown, pictures, tuple(hashes))
        key = self._key(request, hashes)
        prepared = Prepared(sample=shown, request=request, images=images, key=key)
        return _Item(index, sample, prepared, dropped, "")

    def _request(
        self, sample: EvalSample, pictures: tuple[Image, ...], names: tuple[str, ...]
    ) -> GenerationRequest:
        message = question_message(
            sample.question,
            len(pictures),
            preset=self._settings.preset,
            question_type=sample.question_type,
        )
        if self._settings.ask_pages:
            message = Message(message.role, (*message.parts, TextPart(PAGE_REQUEST)))
        sampling = SamplingOptions(max_new_tokens=self._settings.max_new_tokens)
        return GenerationRequest(
            messages=(message,), images=pictures, sampling=sampling, image_names=names
        )

    def _key(self, request: GenerationRequest, hashes: Sequence[str]) -> str:
        parts = {
            "images": list(hashes),
            "messages": [message.to_dict() for message in request.messages],
            "sampling": asdict(request.sampling),
            "encoding": None if self._encoding is None else asdict(self._encoding),
            "model": [self._responder.name, self._responder.fingerprint],
        }
        return sha256(json.dumps(parts, sort_keys=True).encode())

    def _answer(self, items: Sequence[_Item]) -> list[Record]:
        ready = [item.prepared for item in items if item.prepared is not None]
        answers: dict[str, Generation | str] = {}
        seconds: dict[str, float] = {}
        fresh = []
        for prepared in ready:
            known = self._cache.get(prepared.key) if self._cache else None
            if known is None:
                fresh.append(prepared)
            else:
                answers[prepared.sample.id] = known
        start = time.perf_counter()
        answers.update(self._ask(fresh))
        share = (time.perf_counter() - start) / max(1, len(fresh))
        for prepared in fresh:
            seconds[prepared.sample.id] = share
            answer = answers[prepared.sample.id]
            if self._cache and isinstance(answer, Generation):
                self._cache.put(prepared.key, answer)
        return [
            self._record(item, answers.get(item.sample.id), seconds.get(item.sample.id, 0.0))
            for item in items
        ]

    def _ask(self, batch: Sequence[Prepared]) -> dict[str, Generation | str]:
        """An answer for each sample, or why there is none."""
        if not batch:
            return {}
        try:
            got = self._responder.respond(batch)
        except _FAILURES as error:
            if len(batch) == 1:
                return {batch[0].sample.id: _reason(error)}
            # One bad sample must not take its neighbours along.
            return {name: text for one in batch for name, text in self._ask([one]).items()}
        assert len(got) == len(batch), f"{len(got)} answers to {len(batch)} requests"
        return {prepared.sample.id: text for prepared, text in zip(batch, got, strict=True)}

    def _record(self, item: _Item, got: Generation | str | None, seconds: float) -> Record:
        generation = got if isinstance(got, Generation) else None
        error = item.problem or (got if isinstance(got, str) else "")
        answer = parse_answer(generation.text if generation else "")
        prepared = item.prepared
        record = {
            "index": item.index,
            **sample_fields(item.sample),
            "problem": item.sample.problem,
            "images": list(prepared.images) if prepared else [],
            "num_images": len(item.sample.images),
            "shown_evidence": _pages(prepared.sample.evidence) if prepared else None,
            "dropped_images": item.dropped,
            "prompt": prompt_text(prepared.request) if prepared else "",
            "key": prepared.key if prepared else "",
            "raw": answer.raw,
            "truncated": bool(generation and generation.finish_reason == "length"),
            "usage": asdict(generation.usage) if generation else {},
            "timings": asdict(generation.timings) if generation else {},
            "seconds": round(seconds, 4),
            "error": error,
        }
        return {**record, **score_fields(self._task, item.sample, answer, failed=bool(error))}


@dataclass(frozen=True, slots=True)
class _Item:
    index: int
    sample: EvalSample
    prepared: Prepared | None
    dropped: int
    problem: str


def _reason(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    return text if isinstance(error, LeopardError) else f"{type(error).__name__}: {text}"


def _by_document(todo: Iterable[_Numbered]) -> list[list[_Numbered]]:
    """The samples of each document: its images are encoded and read once."""
    groups: dict[str, list[_Numbered]] = {}
    for item in todo:
        groups.setdefault(item[1].doc_id, []).append(item)
    return list(groups.values())


def _batches(todo: Iterable[_Numbered], size: int) -> Iterator[list[_Numbered]]:
    """Batches of at most `size` samples; documents are not torn where they fit into one."""
    batch: list[_Numbered] = []
    for group in _by_document(todo):
        for start in range(0, len(group), size):
            part = group[start : start + size]
            if len(batch) + len(part) > size:
                yield batch
                batch = []
            batch += part
    if batch:
        yield batch


def _pages(evidence: tuple[int, ...] | None) -> list[int] | None:
    return None if evidence is None else list(evidence)


def prompt_text(request: GenerationRequest) -> str:
    """The conversation as one text, `<image>` where an image stands."""
    return "\n".join(
        "".join(IMAGE_TAG if isinstance(part, ImagePart) else part.text for part in message.parts)
        for message in request.messages
    )
