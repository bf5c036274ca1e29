"""The log of a run: one JSON line for each sample, appended so that a crash loses nothing.

A run is a folder: `run.json` (what was run on what) and one record file for each worker. A record
is durable once `append` returns; a line cut by a crash is removed when the file is opened again.
Knows nothing of models or scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from leopard.errors import DataError, EvaluationError
from leopard.schema.files import write_text_atomically
from leopard.schema.line_log import LineLog, line_of, lock, read_lines

Record = dict[str, Any]
MANIFEST = "run.json"
MERGED = "records.jsonl"


def worker_file(folder: Path, rank: int, world: int) -> Path:
    """Record file of one worker; a run of one worker has one as well."""
    return folder / f"records.{rank}of{world}.jsonl"


def record_files(folder: Path) -> list[Path]:
    """All record files of a run, the merged one first."""
    files = sorted(folder.glob("records*.jsonl"))
    return sorted(files, key=lambda file: file.name != MERGED)


class RecordLog(LineLog):
    """Appends records of one worker; refuses to be opened twice at the same time.

    Args:
        folder: Folder of the run; made when it is not there.
        rank: Number of this worker, from 0.
        world: Number of workers.

    Raises:
        EvaluationError: If another process is writing to this run with the same rank, or with
            another number of workers.
    """

    in_use = EvaluationError

    def __init__(self, folder: Path, rank: int = 0, world: int = 1) -> None:
        _refuse_other_worlds(folder, world)
        super().__init__(worker_file(folder, rank, world))


def _refuse_other_worlds(folder: Path, world: int) -> None:
    """Ranks of different world sizes share the samples differently: never at the same time."""
    for path in folder.glob("records.*of*.jsonl"):
        if path.name.endswith(f"of{world}.jsonl"):
            continue
        with path.open("rb") as file:
            if not lock(file.fileno()):
                raise EvaluationError(
                    f"{path}: a worker of another array size is still writing this run; wait for "
                    "its end or stop it"
                )


def read_file(path: Path) -> Iterator[Record]:
    """Whole records of one file; a half-written last line is not one.

    Raises:
        EvaluationError: If another line is not a record.
    """
    try:
        yield from read_lines(path)
    except DataError as error:
        raise EvaluationError(str(error)) from error


def read_records(folder: Path) -> list[Record]:
    """All records of a run by their place in the task; each sample exactly once.

    A file of merged records wins over what workers left behind.

    Raises:
        EvaluationError: If the folder is no run, or two workers scored the same sample.
    """
    read_manifest(folder)
    merged = _by_id(folder / MERGED) if (folder / MERGED).exists() else {}
    found: dict[str, Record] = {}
    for path in record_files(folder):
        if path.name == MERGED:
            continue
        for name, record in _by_id(path).items():
            if name in found:
                raise EvaluationError(f"{path}: sample {name!r} is recorded by two workers")
            found[name] = record
    return sorted((found | merged).values(), key=lambda record: int(record["index"]))


def _by_id(path: Path) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in read_file(path):
        if record["id"] in found:
            raise EvaluationError(f"{path}: sample {record['id']!r} is recorded twice")
        found[record["id"]] = record
    return found


def write_merged(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Replace all record files of a run by one; readers see the old or the new, never a mixture.

    Raises:
        EvaluationError: If a worker is still writing.
    """
    _refuse_other_worlds(folder, world=-1)
    write_text_atomically(folder / MERGED, "".join(map(line_of, records)))
    for path in record_files(folder):
        if path.name != MERGED:
            path.unlink()


def read_manifest(folder: Path) -> Record:
    """What `run.json` says.

    Raises:
        EvaluationError: If the folder is no run.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{folder}: not the folder of a run ({MANIFEST} cannot be read: {error}); give the "
            "folder that `leopard evaluate run --out` named"
        ) from error
    assert isinstance(manifest, dict)
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `run.json`, or check that a run that goes on is the same run.

    Raises:
        EvaluationError: If the folder holds a run with other settings; the message names them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MANIFEST
    wanted = json.loads(json.dumps(manifest))
    if path.exists():
        old = read_manifest(folder)
        identity, known = wanted["identity"], old.get("identity", {})
        other = sorted(k for k in {*identity, *known} if identity.get(k) != known.get(k))
        if other:
            listed = "; ".join(f"{k}: was {known.get(k)!r}, is {identity.get(k)!r}" for k in other)
            raise EvaluationError(
                f"{folder}: holds a run with other settings ({listed}); choose another --out, or "
                "the old settings to go on"
            )
        return
    write_text_atomically(path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
