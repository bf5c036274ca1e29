"""The commands of the page on evaluation run, in the order of the page."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.evaluation.views import VIEWS
from tests.evaluation.fixtures.builders import build

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_commands_of_the_page_run(tmp_path, monkeypatch, tiny_model_folder):
    from leopard.inference import loading

    build("receipts", tmp_path / "receipts")
    monkeypatch.chdir(tmp_path)
    # The shipped model stands behind the default; a tiny one is quicker.
    monkeypatch.setattr(loading, "resolve_model", lambda name: str(name or tiny_model_folder))
    assert len(commands()) > 10
    for line in commands():
        words = shlex.split(line)
        assert words[0] == "leopard"
        # Random weights never end an answer by themselves.
        short = ["--max-new-tokens", "2"] if words[2] == "run" else []
        result = CliRunner().invoke(build_app(), [*words[1:], *short])
        assert result.exit_code == 0, (line, result.output)
    assert (tmp_path / "runs/nano/report.html").exists()
    assert (tmp_path / "runs/leaderboard.html").exists()


def test_page_names_every_view():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)) >= set(VIEWS)
