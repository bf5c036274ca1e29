"""Work apart: a hang or an error of the child fails the test, and nothing is left running."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bounded import apart


def hang(note: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note.write_text(f"{child.pid}")
    child.wait()


def fail() -> None:
    sys.exit(3)


def write(note: Path) -> None:
    note.write_text("done")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_work_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(TimeoutError, match="hang took over 10 seconds"):
        apart(10, hang, note)
    deadline = time.monotonic() + 20
    while is_running(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(note.read_text()))


def test_an_error_is_not_lost() -> None:
    with pytest.raises(AssertionError, match="fail ended with code 3"):
        apart(120, fail)


def test_work_that_ends_is_done(tmp_path: Path) -> None:
    apart(120, write, tmp_path / "note")
    assert (tmp_path / "note").read_text() == "done"
