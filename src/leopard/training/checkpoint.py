"""Checkpoints of a run: written whole or not at all, checked before use, for any process count.

Tensors go through torch.distributed.checkpoint into safetensors files, each process its own shard;
beside them lie the small state as JSON and a list of all files with their SHA-256. A checkpoint
exists when its folder has its final name. Knows nothing of models or data.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from leopard.errors import CheckpointError, TrainingError
from leopard.schema.files import write_text_atomically
from leopard.training.world import World

STATE_FILE = "state.json"
MANIFEST_FILE = "manifest.json"
_NAME = "step-{:08}"
_PENDING = ".pending-"


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that is whole, and those newer ones that are not."""

    folder: Path
    state: dict[str, Any]
    damaged: list[str] = field(default_factory=list)
    """What is wrong with each newer checkpoint."""


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Where they lie, one folder each; seen by all processes.
        world: The processes.
        keep: Newest ones that are kept.
    """

    def __init__(self, folder: Path, world: World, *, keep: int = 2) -> None:
        self.folder = folder
        self.world = world
        self.keep = keep

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint; all processes must call this.

        Args:
            step: Steps that are done.
            tensors: By name; sharded ones are written by the processes that hold them.
            state: Small values, the same on all processes.

        Raises:
            TrainingError: If the disk is full or cannot be written; older checkpoints stay.
        """
        final = self.folder / _NAME.format(step)
        pending = self.folder / (_PENDING + final.name)
        with disk_errors(self.folder):
            if self.world.is_main:
                self._start(pending, tensors)
        self.world.barrier()
        with disk_errors(self.folder):
            _save_tensors(tensors, pending, self.world)
            if self.world.is_main:
                write_text_atomically(pending / STATE_FILE, json.dumps(dict(state), indent=1))
        self.world.barrier()
        with disk_errors(self.folder):
            digests = self._digests(pending)
            if self.world.is_main:
                write_text_atomically(pending / MANIFEST_FILE, json.dumps(digests, indent=1))
                shutil.rmtree(final, ignore_errors=True)
                pending.rename(final)
                self._prune()
        self.world.barrier()
        return final

    def newest(self) -> Found | None:
        """The newest checkpoint that is whole; all processes must call this and get the same.

        Raises:
            CheckpointError: If there are checkpoints and all are damaged.
        """
        damaged: list[str] = []
        folders = sorted(self.folder.glob("step-*"), reverse=True)
        for folder in folders:
            problem = self._problem(folder)
            if problem is None:
                state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
                return Found(folder, state, damaged)
            damaged.append(f"{folder.name}: {problem}")
        if damaged:
            raise CheckpointError(
                f"{self.folder}: no checkpoint is whole ({'; '.join(damaged)}); copy one back from "
                "elsewhere, or delete the folder to begin again"
            )
        return None

    def load(self, folder: Path, tensors: dict[str, Tensor]) -> None:
        """Fill tensors in place from a checkpoint of any number of processes.

        Raises:
            CheckpointError: If it does not hold these tensors.
        """
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
        from torch.distributed.checkpoint.state_dict_loader import load

        reader = HuggingFaceStorageReader(str(folder))
        try:
            with _single_process_is_meant():
                load(tensors, storage_reader=reader, no_dist=self.world.size == 1)
        except (CheckpointException, RuntimeError, ValueError, KeyError, OSError) as error:
            raise CheckpointError(
                f"{folder}: does not fit this model ({_last_line(error)}); it is of another run"
            ) from error

    def _start(self, pending: Path, tensors: Mapping[str, Tensor]) -> None:
        for left in self.folder.glob(f"{_PENDING}*"):
            shutil.rmtree(left)
        pending.mkdir(parents=True)
        needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{free} bytes are free and {needed} are needed")

    def _digests(self, folder: Path) -> dict[str, str]:
        """SHA-256 of all files; the processes share the work."""
        files = sorted(path for path in folder.iterdir() if path.name != MANIFEST_FILE)
        mine = {path.name: _sha256(path) for path in files[self.world.rank :: self.world.size]}
        return dict(sorted((k, v) for part in self.world.gather(mine) for k, v in part.items()))

    def _problem(self, folder: Path) -> str | None:
        """What is wrong with a checkpoint, or None."""
        try:
            wanted = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
            found = self._digests(folder)
        except (OSError, ValueError) as error:
            return f"unfinished ({type(error).__name__})"
        wrong = sorted(name for name in wanted if found.get(name) != wanted[name])
        return f"{', '.join(wrong)} damaged or missing" if wrong else None

    def _prune(self) -> None:
        for old in sorted(self.folder.glob("step-*"), reverse=True)[self.keep :]:
            shutil.rmtree(old)


def _save_tensors(tensors: Mapping[str, Tensor], folder: Path, world: World) -> None:
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        with _single_process_is_meant():
            save(dict(tensors), storage_writer=writer, no_dist=world.size == 1)
    except CheckpointException as error:
        causes = [cause for cause, _ in error.failures.values()]
        raise OSError(_errno(causes), "; ".join(map(_last_line, causes))) from error


@contextmanager
def _single_process_is_meant() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns errors of writing into a clear word.

    Raises:
        TrainingError: If the disk is full or cannot be written.
    """
    try:
        yield
    except Exception as error:
        # safetensors reports errors of the system in words of its own.
        if not isinstance(error, OSError) and "os error" not in str(error):
            raise
        full = getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error)
        what = "the disk is full" if full else "writing failed"
        raise TrainingError(
            f"{folder}: {what} ({_last_line(error)}); the last checkpoint is untouched. Make room "
            "and run the same command again to go on"
        ) from error


def _errno(errors: list[BaseException]) -> int:
    for error in errors:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if "os error 28" in str(error):
            return errno.ENOSPC
    return errno.EIO


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that readers see whole or not at all, in place of one of that name.

    Args:
        target: The folder.
        fill: Writes the files into a folder that it is given.

    Raises:
        TrainingError: If the disk is full or cannot be written.
    """
    pending = target.with_name(f".pending-{target.name}-{os.getpid()}")
    with disk_errors(target.parent):
        shutil.rmtree(pending, ignore_errors=True)
        pending.mkdir(parents=True)
        try:
            fill(pending)
            shutil.rmtree(target, ignore_errors=True)
            pending.rename(target)
        finally:
            shutil.rmtree(pending, ignore_errors=True)
