"""Files that readers see whole or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def temporary_name(path: Path) -> Path:
    """Where a file is written before it is published; names the computer and the process."""
    return path.with_name(f"{path.name}.tmp.{socket.gethostname()}.{os.getpid()}")


def publish(pending: Path, path: Path) -> None:
    """Make a finished file visible under its name, so that it survives a power cut."""
    with pending.open("rb+") as file:
        os.fsync(file.fileno())
    pending.replace(path)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file that readers see whole or not at all."""
    pending = temporary_name(path)
    try:
        pending.write_text(text, encoding="utf-8")
        publish(pending, path)
    finally:
        pending.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether a process of this computer lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
