"""The last lines of a test run name what was left out: nothing is skipped in silence."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import HAS_VLLM

CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
MODULE = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow
def test_slow_too(): pass

@pytest.mark.vllm
def test_server(): pass

@pytest.mark.skipif(True, reason="no browser on this computer")
def test_page(): pass

@pytest.mark.xfail(reason="known")
def test_wrong(): raise AssertionError

def test_right(): pass
"""
WHOLE = """
import pytest
pytest.importorskip("a_package_that_is_nowhere")
def test_all(): pass
"""


def last_lines(folder: Path, *options: str) -> list[str]:
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_parts.py").write_text(MODULE, encoding="utf-8")
    (folder / "test_whole.py").write_text(WHOLE, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n slow\n gpu\n vllm\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, timeout=300
    )
    assert "1 passed" in done.stdout or "3 passed" in done.stdout
    said = done.stdout.splitlines()
    start = next(n for n, line in enumerate(said) if "not tested here" in line)
    return [" ".join(line.split()) for line in said[start + 1 :]]


def test_every_reason_is_named_with_the_number_of_tests(tmp_path: Path) -> None:
    lines = last_lines(tmp_path, "-m", "not slow and not gpu")
    assert "2 marked slow: `make test-all` runs it" in lines
    assert "1 no browser on this computer (test_parts.py)" in lines
    assert any(
        line.startswith("1 could not import 'a_package_that_is_nowhere'")
        and line.endswith("(whole module test_whole.py)")
        for line in lines
    )
    assert HAS_VLLM or "1 vLLM is not installed; see docs/vllm.md" in lines
    assert not any("known" in line for line in lines)


def test_nothing_is_said_of_what_ran(tmp_path: Path) -> None:
    assert not any("slow" in line for line in last_lines(tmp_path))
