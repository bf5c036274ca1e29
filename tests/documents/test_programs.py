import os
import subprocess
import time
from pathlib import Path

import pytest

from leopard.documents.programs import CHROMIUM, LIBREOFFICE, Helper, run_helper
from leopard.errors import HelperMissingError


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def _script(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("helper", [LIBREOFFICE, CHROMIUM])
def test_missing_program_gives_one_sentence_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, helper: Helper
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = Helper(helper.title, tuple(c for c in helper.commands if "/" not in c), helper.install)
    assert absent.find() is None
    with pytest.raises(HelperMissingError, match=r"^a\.docx: office files .*apt-get install") as e:
        absent.require(source="a.docx", reading="office files")
    assert "\n" not in str(e.value)


def test_first_program_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _script(tmp_path, "second", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    helper = Helper("X", ("first", "second", "third"), "install x")
    assert helper.require(source="a", reading="x") == str(tmp_path / "second")


def test_exit_code_and_both_outputs_are_returned(tmp_path: Path) -> None:
    code, output = run_helper(
        ["/bin/sh", "-c", "echo out; echo $EXTRA >&2; pwd; exit 3"],
        folder=tmp_path,
        timeout_s=20,
        env={"EXTRA": "err"},
    )
    assert code == 3
    assert output.split() == ["out", "err", os.path.realpath(tmp_path)]


def test_long_output_keeps_its_end(tmp_path: Path) -> None:
    _, output = run_helper(
        ["/bin/sh", "-c", "yes x | head -c 9000; echo the end"], folder=tmp_path, timeout_s=20
    )
    assert len(output) == 2000
    assert output.endswith("the end\n")


def test_timeout_kills_the_program_and_its_children(tmp_path: Path) -> None:
    script = _script(tmp_path, "slow", "sleep 60 & echo $! > child; wait")
    with pytest.raises(subprocess.TimeoutExpired):
        run_helper([str(script)], folder=tmp_path, timeout_s=1)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _is_running(child):
            break
        time.sleep(0.05)
    assert not _is_running(child)


def test_children_left_behind_neither_delay_nor_survive(tmp_path: Path) -> None:
    script = _script(tmp_path, "leaver", "sleep 60 & echo $! > child; exit 0")
    code, _ = run_helper([str(script)], folder=tmp_path, timeout_s=30)
    assert code == 0
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _is_running(child):
            break
        time.sleep(0.05)
    assert not _is_running(child)


def test_program_that_cannot_start_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        run_helper([str(tmp_path / "none")], folder=tmp_path, timeout_s=5)
