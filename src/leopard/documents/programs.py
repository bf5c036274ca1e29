"""Helper programs: found on the PATH, run with a time limit, ended with all their children."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leopard.errors import HelperMissingError

_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper program and how people get it."""

    title: str
    """Name for people."""
    commands: tuple[str, ...]
    """Names on the PATH, or absolute paths; the first that exists is used."""
    install: str
    """Command that installs it."""

    def find(self) -> str | None:
        """Path of the program, or None."""
        return next((found for name in self.commands if (found := shutil.which(name))), None)

    def require(self, *, source: str, reading: str) -> str:
        """Path of the program.

        Args:
            source: The file that needs it.
            reading: What it reads, in the plural, for the message.

        Raises:
            HelperMissingError: With the install command.
        """
        found = self.find()
        if found is None:
            raise HelperMissingError(
                f"{reading} are read through {self.title}, which is not installed",
                source=source,
                remedy=f"install it with: {self.install}",
            )
        return found


LIBREOFFICE = Helper(
    title="LibreOffice",
    commands=("soffice", "libreoffice", "/Applications/LibreOffice.app/Contents/MacOS/soffice"),
    install="sudo apt-get install libreoffice-impress libreoffice-writer libreoffice-calc",
)
CHROMIUM = Helper(
    title="Chromium",
    commands=(
        *("chromium", "chromium-browser", "chromium-headless-shell", "chrome-headless-shell"),
        *("google-chrome", "google-chrome-stable", "google-chrome-beta"),
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
    install="sudo apt-get install chromium",
)


@contextmanager
def ended_at_exit(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process and its whole group at the end of the block, however it is left.

    The process must have been started with `start_new_session=True`.
    """
    try:
        yield
    finally:
        # Children outlive a leader that has ended, so the group is signalled in any case.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)


def run_helper(
    command: Sequence[str], *, folder: Path, timeout_s: float, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a helper program to its end.

    Args:
        command: Program and arguments.
        folder: Working folder.
        timeout_s: Seconds after which the program and its children are killed.
        env: Environment variables that differ from ours.

    Returns:
        Exit code and the last 2,000 characters of what it wrote.

    Raises:
        subprocess.TimeoutExpired: After `timeout_s`.
        OSError: If the program cannot be started.
    """
    # A file, not a pipe: children that keep a pipe open would hold us up after the program's end.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with ended_at_exit(process):
            code = process.wait(timeout=timeout_s)
        output.seek(max(0, output.seek(0, os.SEEK_END) - 2000))
        return code, output.read().decode("utf-8", "replace")
