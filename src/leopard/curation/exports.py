"""Samples in the formats that others read: HF messages, LLaVA, Cauldron, WebDataset, Leopard.

Every format carries the same images and turns; none uses pickle. `imports` reads them back. Knows
nothing of how samples are made.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from leopard.curation.pixels import to_pixels
from leopard.errors import ConfigError, DataError
from leopard.schema.messages import ImagePart, Message
from leopard.schema.samples import PixelImage, Sample
from leopard.schema.shards import PdfTable, iter_samples, shard_paths, write_shard

IMAGE_TAG = "<image>"
SAMPLES_PER_FILE = 500


def export_folder(source: Path, target: Path, style: str, dropped: Collection[str] = ()) -> int:
    """Write the samples of a folder of shards in another format; returns how many.

    Args:
        source: Folder of shards.
        dropped: Ids of samples to leave out.
        target: Folder to write into; must not hold an export yet.
        style: A name in `FORMATS`.

    Raises:
        ConfigError: If the format is unknown or the folder is not empty.
    """
    if style not in FORMATS:
        raise ConfigError(f"export format {style!r} is unknown; use one of {', '.join(FORMATS)}")
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty; give a new folder")
    target.mkdir(parents=True, exist_ok=True)
    kept = (sample for sample in pixel_samples(source) if sample.id not in dropped)
    return FORMATS[style](kept, target)


def pixel_samples(source: Path, ids: Container[str] | None = None) -> Iterator[Sample]:
    """Samples of a folder of shards, with their pages as JPEG images.

    Args:
        source: The shards.
        ids: Samples that are wanted; all by default.
    """
    for shard in shard_paths(source):
        pdfs = PdfTable(shard)
        for sample in iter_samples(shard):
            if ids is None or sample.id in ids:
                yield to_pixels(sample, pdfs)


def turns(sample: Sample) -> Iterator[tuple[str, str]]:
    """Pairs of user and assistant text, image parts as tags.

    Raises:
        DataError: If user and assistant do not take turns.
    """
    messages = [m for m in sample.messages if m.role != "system"]
    for user, assistant in zip(messages[::2], messages[1::2], strict=False):
        if (user.role, assistant.role) != ("user", "assistant"):
            raise DataError(f"sample {sample.id}: user and assistant do not take turns")
        yield tagged(user), tagged(assistant)


def tagged(message: Message) -> str:
    """A message as text with one tag per image."""
    parts = [IMAGE_TAG if isinstance(p, ImagePart) else p.text for p in message.parts]
    return "\n".join(parts)


def _images(sample: Sample) -> list[PixelImage]:
    return [image for image in sample.images if isinstance(image, PixelImage)]


def _chunks(samples: Iterable[Sample]) -> Iterator[tuple[int, list[Sample]]]:
    stream, number = iter(samples), 0
    while chunk := list(islice(stream, SAMPLES_PER_FILE)):
        yield number, chunk
        number += 1


def _write_hf(samples: Iterable[Sample], target: Path) -> int:
    """Parquet with `messages` and embedded `images`, as `datasets` and TRL read it."""
    count = 0
    for number, chunk in _chunks(samples):
        write_shard(target / f"train-{number:05d}.parquet", chunk)
        count += len(chunk)
    return count


def _write_llava(samples: Iterable[Sample], target: Path) -> int:
    """One JSON file and a folder of images."""
    (target / "images").mkdir()
    records = []
    for sample in samples:
        names = []
        for number, image in enumerate(_images(sample)):
            name = f"images/{sample.id}-{number}{_suffix(image)}"
            (target / name).write_bytes(image.data)
            names.append(name)
        talk = []
        for user, assistant in turns(sample):
            talk += [{"from": "human", "value": user}, {"from": "gpt", "value": assistant}]
        records.append({"id": sample.id, "image": names, "conversations": talk})
    path = target / "train.json"
    path.write_text(json.dumps(records, ensure_ascii=False, indent=0), encoding="utf-8")
    return len(records)


def _write_cauldron(samples: Iterable[Sample], target: Path) -> int:
    """Parquet with `images` and `texts` of user, assistant, source."""
    count = 0
    for number, chunk in _chunks(samples):
        rows = [
            {
                "images": [{"bytes": i.data, "path": i.path} for i in _images(sample)],
                "texts": [
                    {"user": user.replace(IMAGE_TAG, "").strip(), "assistant": assistant,
                     "source": sample.task}
                    for user, assistant in turns(sample)
                ],
            }
            for sample in chunk
        ]  # fmt: skip
        _write_rows(target / f"train-{number:05d}.parquet", rows)
        count += len(chunk)
    return count


def _write_leopard(samples: Iterable[Sample], target: Path) -> int:
    """One folder per source with parquet files: id, images, conversations."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    count = 0
    for _, chunk in _chunks(samples):
        for sample in chunk:
            talk = []
            for user, assistant in turns(sample):
                talk += [{"from": "human", "value": user}, {"from": "gpt", "value": assistant}]
            row = {
                "id": sample.id,
                "images": [{"bytes": i.data, "path": i.path} for i in _images(sample)],
                "conversations": talk,
            }
            by_task.setdefault(sample.task, []).append(row)
            count += 1
    for task, rows in by_task.items():
        (target / task).mkdir()
        for number in range(0, len(rows), SAMPLES_PER_FILE):
            name = f"{task}-000000_{number // SAMPLES_PER_FILE}.parquet"
            _write_rows(target / task / name, rows[number : number + SAMPLES_PER_FILE])
    return count


def _write_webdataset(samples: Iterable[Sample], target: Path) -> int:
    """Tar files with `<id>.000.jpg` and `<id>.json`."""
    count = 0
    for number, chunk in _chunks(samples):
        with tarfile.open(target / f"train-{number:05d}.tar", "w") as tar:
            for sample in chunk:
                for i, image in enumerate(_images(sample)):
                    _add(tar, f"{sample.id}.{i:03d}{_suffix(image)}", image.data)
                record = {
                    "id": sample.id,
                    "messages": [message.to_dict() for message in sample.messages],
                    "licence": sample.licence,
                }
                _add(tar, f"{sample.id}.json", json.dumps(record, ensure_ascii=False).encode())
        count += len(chunk)
    return count


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=64)


def _suffix(image: PixelImage) -> str:
    return Path(image.path).suffix or ".jpg"


FORMATS: dict[str, Callable[[Iterable[Sample], Path], int]] = {
    "hf": _write_hf,
    "llava": _write_llava,
    "cauldron": _write_cauldron,
    "webdataset": _write_webdataset,
    "leopard": _write_leopard,
}
