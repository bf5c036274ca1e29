"""A conversion: from a local copy to pixel shards, with what was left out counted by reason.

The same copy, seed and settings give the same shards byte for byte. Knows nothing of any source.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

from pydantic import Field

from leopard.config import Settings
from leopard.curation.converters.assembly import assembled
from leopard.curation.converters.drafts import Draft, pixel_image, whole
from leopard.curation.converters.fields import limited
from leopard.curation.converters.local_copy import LocalCopy, Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError
from leopard.errors import ConfigError, DataError, LeopardError, PromptError
from leopard.schema.files import write_text_atomically
from leopard.schema.rows import canonical_json
from leopard.schema.samples import QuestionAnswer, Sample, Split, conversation
from leopard.schema.shards import (
    read_info,
    remove_stale,
    shard_paths,
    write_shard,
)

CONVERTER_VERSION = 1
MAX_IMAGES = 50
"""Most images of a sample, as in the paper."""


class ConvertSettings(Settings):
    """How to convert."""

    split: Split = "train"
    """Which part of the source; other parts are not read."""
    seed: int = 0
    limit: int | None = Field(default=None, ge=1)
    """Most samples, or None."""
    shard_size: int = Field(default=500, ge=1)
    rationales: bool = True
    """Whether answers state the reasoning of the source first, if it has some."""
    assemble: bool = True
    """Whether single images are put together as the paper does."""


class ConvertList(ConvertSettings):
    """Several sources, converted alike."""

    sources: dict[str, Path] = Field(min_length=1)
    """Name of a source -> folder with its unpacked files."""


@dataclass(slots=True)
class ConvertReport:
    """What a conversion made and left out."""

    num_samples: int = 0
    num_multi_image: int = 0
    num_images: int = 0
    num_questions: int = 0
    rejects: Counter[str] = field(default_factory=Counter)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self.num_samples += 1
        self.num_multi_image += len(sample.images) > 1
        self.num_images += len(sample.images)
        self.num_questions += len(sample.qa)


def convert_samples(
    converter: Converter, copy: LocalCopy, settings: ConvertSettings, rejects: Counter[str]
) -> Iterator[Sample]:
    """Samples of a local copy, one after the other.

    Args:
        converter: The source.
        copy: Its files.
        settings: How to convert; `shard_size` plays no part.
        rejects: Counts what is left out, by reason.

    Raises:
        DataError: If the files that name the records are missing or damaged.
    """
    reading = Reading(
        source=converter.name,
        copy=copy,
        split=settings.split,
        seed=settings.seed,
        rejects=rejects,
    )
    drafts: Iterable[Draft] = _drafts(converter, reading)
    if converter.assemble and settings.assemble:
        parts = ("convert", settings.seed, converter.name)
        drafts = assembled(drafts, converter.assemble, parts)
    made = _samples(drafts, converter, reading, settings)
    yield from made if settings.limit is None else islice(made, settings.limit)


def convert_into(
    converter: Converter,
    source: Path,
    target: Path,
    settings: ConvertSettings,
    on_samples: Callable[[int], None] = lambda _: None,
) -> ConvertReport:
    """Convert a local copy into pixel shards.

    Starts anew where it was stopped, and does nothing where it had come to its end.

    Args:
        converter: The source.
        source: Folder with its unpacked files.
        target: Folder for the shards; it may hold shards of the same conversion only.
        settings: How to convert.
        on_samples: Told how many samples were just written.

    Raises:
        ConfigError: If the folder holds shards of something else.
        DataError: If the files that name the records are missing or damaged, or no record of them
            can become a sample.
    """
    copy = LocalCopy(source, hint=f"{converter.where} Expected: {converter.expects}.")
    config_hash = _config_hash(converter, copy, settings)
    target.mkdir(parents=True, exist_ok=True)
    _check_target(target, config_hash)
    finished = target / f"{converter.name}-report.json"
    earlier = _read_report(finished, config_hash)
    if earlier is not None:
        num_shards = -(-earlier.num_samples // settings.shard_size)
        if all(_shard_path(target, converter, number).exists() for number in range(num_shards)):
            return earlier
    report = ConvertReport()
    samples = convert_samples(converter, copy, settings, report.rejects)
    told: Counter[str] = Counter()
    number = 0
    while chunk := list(islice(samples, settings.shard_size)):
        shard = _shard_path(target, converter, number)
        remove_stale(shard)
        news = report.rejects - told
        told = Counter(report.rejects)
        write_shard(shard, chunk, config_hash=config_hash, rejects=news)
        for sample in chunk:
            report.add(sample)
        on_samples(len(chunk))
        number += 1
    if number == 0:
        reasons = ", ".join(f"{why} ({n})" for why, n in report.rejects.most_common(5))
        raise DataError(
            f"{source}: no record of {converter.title} could be converted: "
            f"{reasons or 'there are no records'}. Expected: {converter.expects}"
        )
    _write_report(finished, report, config_hash)
    return report


def _shard_path(target: Path, converter: Converter, number: int) -> Path:
    return target / f"{converter.name}-{number:05d}.parquet"


def _drafts(converter: Converter, reading: Reading) -> Iterator[Draft]:
    """Drafts of all records; a record that is no use is counted, whatever is wrong with it."""
    for record in _records(converter, reading):
        for draft in _of_record(converter, record, reading):
            kept = limited(draft.qa, converter.max_turns, reading.stream("turns", draft.id))
            reading.reject(
                f"a question over {converter.max_turns} about one image",
                len(draft.qa) - len(kept),
            )
            try:
                pictures = tuple(pixel_image(picture) for picture in draft.pictures)
            except BadRecordError as error:
                reading.reject(str(error), len(kept))
                continue
            qa = tuple(_located(turn, len(pictures)) for turn in kept)
            yield replace(draft, qa=qa, pictures=pictures)


def _records(converter: Converter, reading: Reading) -> Iterator[Record]:
    try:
        yield from converter.records(reading)
    except (KeyError, TypeError, AttributeError, BadRecordError) as error:
        raise DataError(
            f"{reading.copy.path}: the annotation of {converter.title} has another layout "
            f"({type(error).__name__}: {error}). Expected: {converter.expects}"
        ) from error


def _located(turn: QuestionAnswer, num_images: int) -> QuestionAnswer:
    """The turn with its only image as evidence, where the source says no place."""
    if turn.evidence or not turn.answerable or num_images != 1:
        return turn
    return replace(turn, evidence=(whole(0),))


def _of_record(converter: Converter, record: Record, reading: Reading) -> Iterator[Draft]:
    try:
        for draft in converter.drafts(record, reading):
            if not draft.qa:
                raise BadRecordError("no question")
            if not draft.pictures:
                raise BadRecordError("no image")
            if len(draft.pictures) > MAX_IMAGES:
                raise BadRecordError(f"more than {MAX_IMAGES} images")
            yield draft
    except BadRecordError as error:
        reading.reject(str(error), _weight(record))
    except KeyError as error:
        reading.reject(f"a record lacks {error.args[0]!r}", _weight(record))
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError):
        reading.reject("a field has another form than published", _weight(record))


def _weight(record: Record) -> int:
    """Published records that go with it: questions are grouped by picture."""
    questions = record.get("questions") if isinstance(record, Mapping) else None
    return max(1, len(questions)) if isinstance(questions, list) else 1


def _samples(
    drafts: Iterable[Draft], converter: Converter, reading: Reading, settings: ConvertSettings
) -> Iterator[Sample]:
    seen: set[str] = set()
    for draft in drafts:
        try:
            sample = _sample(draft, converter, settings)
        except BadRecordError as error:
            reading.reject(str(error))
            continue
        except (DataError, PromptError) as error:
            reading.reject(f"not a valid sample: {type(error).__name__}")
            continue
        if sample.id in seen:
            reading.reject("an id repeats")
            continue
        seen.add(sample.id)
        yield sample


def _sample(draft: Draft, converter: Converter, settings: ConvertSettings) -> Sample:
    images = tuple(pixel_image(picture) for picture in draft.pictures)  # loaded already
    provenance = {
        "generator": f"convert:{converter.name}",
        "generator_version": CONVERTER_VERSION,
        "source": converter.title,
        "record": draft.id,
        "seed": settings.seed,
        "citation": converter.citation,
        **draft.note,
    }
    return Sample(
        id=f"{converter.name}-{_slug(draft.id)}",
        doc_id=f"{converter.name}-{_slug(draft.doc_id)}",
        domain=converter.domain,
        task=converter.name,
        messages=conversation(len(images), draft.qa, rationales=settings.rationales),
        images=images,
        qa=draft.qa,
        provenance=provenance,
        licence=converter.licence,
        split=draft.split,
    )


def _slug(name: str) -> str:
    """A name as part of an id: no dots, not too long, different names stay different."""
    plain = re.sub(r"[^\w-]+", "-", name, flags=re.ASCII).strip("-")
    if plain == name and len(name) <= 80:
        return name
    return f"{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def _config_hash(converter: Converter, copy: LocalCopy, settings: ConvertSettings) -> str:
    parts = {
        "converter": converter.name,
        "version": CONVERTER_VERSION,
        "files": copy.fingerprint,
        **settings.model_dump(mode="json"),
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]


def _check_target(target: Path, config_hash: str) -> None:
    try:
        shards = shard_paths(target)
    except DataError:
        return
    for shard in shards:
        if _hash_of(shard) != config_hash:
            raise ConfigError(
                f"{target} holds shards of another conversion ({shard.name}); "
                "give a new folder with --out, or delete them"
            )


def _hash_of(shard: Path) -> str:
    try:
        return read_info(shard).config_hash
    except LeopardError:
        return ""


def _write_report(path: Path, report: ConvertReport, config_hash: str) -> None:
    """Keep all counts beside the shards; what came after the last sample is in no sidecar."""
    values = {**asdict(report), "rejects": dict(sorted(report.rejects.items()))}
    write_text_atomically(path, json.dumps({"config_hash": config_hash, **values}, indent=1) + "\n")


def _read_report(path: Path, config_hash: str) -> ConvertReport | None:
    """The report of this conversion if it came to its end."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("config_hash") != config_hash:
            return None
        return ConvertReport(**{**values, "rejects": Counter(values["rejects"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
