"""Samples from the formats that others write; the counterpart of `exports`.

Tolerant of column names, strict about content: a record whose images and tags do not match is
counted by reason, never guessed at. Knows nothing of what samples are for.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import PIL.Image

from leopard.errors import ConfigError, DataError, LeopardError
from leopard.schema.messages import ImagePart, Message, Part, TextPart, count_images
from leopard.schema.samples import PixelImage, Sample
from leopard.schema.shards import iter_rows, iter_samples, shard_paths, write_shard

TALK_COLUMNS = ("conversations", "conversation", "texts", "text", "messages", "qa")
IMAGE_COLUMNS = ("images", "image", "input_image", "jpgs")
ID_COLUMNS = ("id", "question_id", "sample_id", "uid")
_TAG = re.compile(r"<image(?:-?\d+)?>|<\|image\|>")


@dataclass(slots=True)
class ImportReport:
    """What an import took and left out."""

    num_samples: int = 0
    rejects: Counter[str] = field(default_factory=Counter)


class BadRecordError(Exception):
    """A record that cannot become a sample; the message is the reason."""


def import_samples(
    source: Path, style: str, rejects: Counter[str], task: str = "imported"
) -> Iterator[Sample]:
    """Samples of a local copy in one of the export formats.

    Args:
        source: File or folder.
        style: A name in `READERS`.
        rejects: Counts what was left out, by reason.
        task: Task of samples that do not name theirs.

    Raises:
        ConfigError: If the format is unknown.
    """
    if style not in READERS:
        raise ConfigError(f"import format {style!r} is unknown; use one of {', '.join(READERS)}")
    if style == "hf":
        yield from iter_samples(source)
        return
    for number, (record, where) in enumerate(READERS[style](source)):
        try:
            yield _sample(record, where, number, task)
        except BadRecordError as error:
            rejects[str(error)] += 1
        except (AttributeError, KeyError, LeopardError, TypeError, ValueError):
            rejects["a field has a form that is not known"] += 1


def import_into(source: Path, style: str, target: Path, shard_size: int = 500) -> ImportReport:
    """Import a local copy into pixel shards; see `import_samples`."""
    target.mkdir(parents=True, exist_ok=True)
    report = ImportReport()
    samples = import_samples(source, style, report.rejects)
    number = 0
    while chunk := list(islice(samples, shard_size)):
        write_shard(target / f"shard-{number:05d}.parquet", chunk, rejects=report.rejects)
        report.num_samples += len(chunk)
        number += 1
    return report


def _sample(record: Mapping[str, Any], where: str, number: int, task: str) -> Sample:
    images = [_image(item) for item in _listed(_first(record, IMAGE_COLUMNS))]
    messages = _messages(_listed(_first(record, TALK_COLUMNS)))
    if not messages:
        raise BadRecordError("no conversation")
    placed = count_images(messages)
    if placed == 0 and images:
        first = messages[0]
        messages[0] = Message(first.role, ((ImagePart(),) * len(images)) + first.parts)
    elif placed != len(images):
        raise BadRecordError("images and image tags differ in number")
    found = _first(record, ID_COLUMNS)
    identity = str(found if found is not None else f"{where}-{number}").replace(".", "_")
    return Sample(
        id=identity,
        doc_id=identity,
        domain="mixed",
        task=str(record.get("task") or task),
        messages=tuple(messages),
        images=tuple(images),
        provenance={"imported_from": where},
        licence=str(record.get("licence") or "LicenseRef-unknown"),
    )


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str) and value[:1] in "[{":
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadRecordError("a column holds broken JSON") from error
    return list(value) if isinstance(value, list | tuple) else [value]


def _messages(turns: list[Any]) -> list[Message]:
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise BadRecordError("a turn is not a record")
        if "role" in turn:
            messages.append(_from_role(turn))
        elif "from" in turn:
            role = {"human": "user", "user": "user", "system": "system"}.get(turn["from"])
            messages.append(_message(role or "assistant", str(turn["value"])))
        elif "user" in turn:
            messages.append(_message("user", str(turn["user"])))
            messages.append(_message("assistant", str(turn["assistant"])))
        elif "question" in turn:
            messages.append(_message("user", str(turn["question"])))
            messages.append(_message("assistant", str(turn["answer"])))
        else:
            raise BadRecordError(f"a turn has unknown keys {sorted(turn)}")
    return messages


def _from_role(turn: Mapping[str, Any]) -> Message:
    if isinstance(turn.get("content"), str):
        return _message(str(turn["role"]), turn["content"])
    return Message.from_dict(turn)


def _message(role: str, text: str) -> Message:
    """A message from text with image tags."""
    parts: list[Part] = []
    position = 0
    for hit in _TAG.finditer(text):
        parts += _text(text[position : hit.start()])
        parts.append(ImagePart())
        position = hit.end()
    parts += _text(text[position:])
    if role not in ("system", "user", "assistant"):
        raise BadRecordError(f"role {role!r} is unknown")
    return Message(role, tuple(parts) or (TextPart(""),))  # type: ignore[arg-type]


def _text(text: str) -> list[Part]:
    clean = text.strip("\n")
    return [TextPart(clean)] if clean.strip() else []


def _image(item: Any) -> PixelImage:
    path = ""
    if isinstance(item, Mapping):
        path, item = str(item.get("path") or ""), item.get("bytes")
    if not isinstance(item, bytes):
        raise BadRecordError("an image is missing")
    try:
        with PIL.Image.open(BytesIO(item)) as image:
            return PixelImage(data=item, width=image.width, height=image.height, path=path)
    except (OSError, PIL.Image.DecompressionBombError) as error:
        raise BadRecordError("an image cannot be read") from error


def _read_llava(source: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    files = [source] if source.is_file() else sorted(source.glob("*.json"))
    for file in files:
        for record in json.loads(file.read_text(encoding="utf-8")):
            names = _listed(record.get("image"))
            root = file.parent.resolve()
            paths = [(root / str(name)).resolve() for name in names]
            inside = all(path.is_relative_to(root) and path.is_file() for path in paths)
            data = [{"bytes": p.read_bytes() if inside else None, "path": p.name} for p in paths]
            yield {**record, "image": None, "images": data}, file.stem


def _read_parquet(source: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    for file in shard_paths(source):
        for row in iter_rows(file):
            yield {**row, "task": row.get("task") or file.parent.name}, file.stem


def _read_webdataset(source: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    files = [source] if source.is_file() else sorted(source.glob("*.tar"))
    if not files:
        raise DataError(f"{source}: no tar file here")
    for file in files:
        group: dict[str, bytes] = {}
        last = ""
        with tarfile.open(file) as tar:
            for entry in tar:
                key, _, suffix = Path(entry.name).name.partition(".")
                content = tar.extractfile(entry)
                if content is None:
                    continue
                if last and key != last:
                    yield _from_group(group), file.stem
                    group = {}
                group[suffix], last = content.read(), key
        if group:
            yield _from_group(group), file.stem


def _from_group(group: Mapping[str, bytes]) -> Mapping[str, Any]:
    images = [{"bytes": group[s], "path": s} for s in sorted(group) if s != "json"]
    try:
        record = json.loads(group.get("json", b"{}"))
    except ValueError:
        record = {}
    return {**record, "images": images}


READERS: dict[str, Callable[[Path], Iterator[tuple[Mapping[str, Any], str]]]] = {
    "hf": _read_parquet,
    "llava": _read_llava,
    "cauldron": _read_parquet,
    "webdataset": _read_webdataset,
    "leopard": _read_parquet,
}
