"""What the README says is so: its commands exist, its example answers, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRINTED = "(916)325-3266"


def test_the_first_forty_lines_show_what_it_is_and_how_to_start() -> None:
    start = "\n".join(README.splitlines()[:40])
    assert "make ask" in start
    assert "make test" in start
    assert "docs/images/inspect.png" in start
    assert "from leopard import Leopard" in start


def test_the_python_example_prints_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() == PRINTED


def test_make_ask_asks_what_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "ask"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = shlex.split(next(line for line in printed.splitlines() if "leopard ask" in line))
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(build_app(), command[1:])
    assert result.exit_code == 0, result.output
    assert PRINTED in result.output


@pytest.mark.parametrize("line", re.findall(r"^\| `leopard ([a-z]+)", README, re.M))
def test_the_commands_of_the_table_have_help(line: str) -> None:
    result = CliRunner().invoke(build_app(), [line, "--help"])
    assert result.exit_code == 0, result.output


def test_links_and_pictures_are_there() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    local = [target for target in targets if not target.startswith("http")]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []
