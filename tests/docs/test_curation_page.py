"""The commands of docs/curation.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from leopard.cli.curate import register
from leopard.schema.shards import iter_samples
from tests.curation.annotation.server import ChatServer
from tests.curation.converters.fixtures import BUILDERS

pytest.importorskip("typst")
PAGE = Path(__file__).parents[2] / "docs" / "curation.md"
CONFIG = Path(__file__).parents[2] / "configs" / "convert.toml"


def app() -> typer.Typer:
    import_module("leopard.cli.curate_annotate")  # adds its verb
    parent = typer.Typer()
    register(parent)
    parent.callback()(lambda: None)
    return parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def test_every_command_and_the_python_example_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    server = ChatServer()
    (settings,) = blocks("toml")
    (tmp_path / "annotate.toml").write_text(
        re.sub(r"http://127\.0\.0\.1:\d+/v1", server.url, settings)
    )
    commands = [
        shlex.split(line)
        for block in blocks("bash")
        for line in block.splitlines()
        if line.startswith("leopard ")
    ]
    assert len(commands) >= 10
    for command in commands:
        result = CliRunner().invoke(app(), command[1:])
        assert result.exit_code == 0, (command, result.output, result.exception)
    server.close()
    notes = [s.provenance.get("annotated", []) for s in iter_samples("data/smoke-llm")]
    assert {note["job"] for each in notes for note in each} == {"paraphrase", "questions", "judge"}
    assert len(list(iter_samples("data/smoke"))) == 12
    assert len(list(iter_samples("data/again"))) == 12
    for path in ("smoke.html", "audit.html", "card/card.md", "sample-7/smoke-15-0-7.pdf"):
        assert (tmp_path / path).stat().st_size > 500
    (example,) = blocks("python")
    exec(compile(example, "docs/curation.md", "exec"), {})
    assert capsys.readouterr().out.count("smoke-15-0-") == 12


def test_the_conversions_run_on_local_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, folder in (("docvqa", "DocVQA"), ("chartqa", "ChartQA"), ("slidevqa", "SlideVQA")):
        BUILDERS[name](tmp_path / "data/sources" / folder)
    BUILDERS["chartqa"](tmp_path / "ChartQA")
    (tmp_path / "configs").mkdir()
    shutil.copy(CONFIG, tmp_path / "configs")
    commands = [line.split() for block in blocks("console") for line in block.splitlines()]
    assert [command[:3] for command in commands] == [["leopard", "curate", "convert"]] * 2
    for command in commands:
        arguments = [part.replace("~", str(tmp_path)) for part in command[1:]]
        result = CliRunner().invoke(app(), arguments)
        assert result.exit_code == 0, (command, result.output, result.exception)
    report = json.loads(Path("data/converted/chartqa/chartqa-report.json").read_text())
    assert report["rejects"] == {"query is missing": 1}
    assert len(list(iter_samples("data/converted/docvqa"))) == 3


def test_every_verb_explains_itself_with_an_example() -> None:
    group = app().registered_groups[0].typer_instance
    assert group is not None
    verbs = [(c.name or c.callback.__name__) for c in group.registered_commands if c.callback]
    assert len(verbs) >= 13
    for verb in verbs:
        text = CliRunner().invoke(app(), ["curate", verb, "--help"]).output
        assert "Example" in text, verb


def test_wrong_use_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from leopard.errors import ConfigError

    for arguments, message in (
        (["--out", "x"], "either --preset"),
        (["--out", "x", "--preset", "smoke", "--split", "dev"], "use one of train, val, test"),
        (
            ["--out", "x", "--preset", "smoke", "--executor", "dask", "--samples", "1"],
            "use one of local, ray, rank",
        ),
        (["--out", "x", "--preset", "smoke", "--set", "max_pages=0"], "max_pages"),
    ):
        result = CliRunner().invoke(app(), ["curate", "synth", *arguments])
        assert isinstance(result.exception, ConfigError)
        assert message in str(result.exception)
