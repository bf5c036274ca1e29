"""The page on the runtime: its example and commands run, its names exist."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.inference.disk_store import MAX_BYTES, VARIABLE
from leopard.inference.engine import EngineOptions
from leopard.inference.loading import LoadSettings
from leopard.inference.quantized import FORMS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
PRINTED = "(916)325-3266"


def test_the_example_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    monkeypatch.chdir(ROOT)
    exec(compile(block, "runtime.md", "exec"), {})
    assert capsys.readouterr().out.startswith(PRINTED)


def test_the_commands_do_what_they_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    commands = re.findall(
        r"^leopard (.*)$", "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.S)), re.M
    )
    assert [line.split()[0] for line in commands] == ["index", "ask", "inspect", "ask", "ask"]
    printed = []
    for line in commands:
        words = shlex.split(line.replace("/tmp/leopard-index", str(tmp_path / "index")))
        result = CliRunner().invoke(build_app(), words)
        assert result.exit_code == 0, result.output
        printed.append(result.output)
    assert "entries" in printed[0].lower()
    assert PRINTED in printed[1]
    assert "Memory of an answer" in printed[2]
    assert PRINTED in printed[3]
    assert PRINTED in printed[4]
    assert list(tmp_path.glob("index/prefix/*/*.safetensors"))


def test_settings_and_forms_exist() -> None:
    options = {field.name for field in fields(EngineOptions)}
    assert {"vision_cache_bytes", "prefix_cache_bytes", "memory_bytes"} <= options
    settings = {field.name for field in fields(LoadSettings)}
    assert {"device", "dtype", "device_map", "weights", "engine"} <= settings
    assert re.findall(r"^\| `(int\d)`", TEXT, re.M) == list(FORMS)
    assert VARIABLE in TEXT
    assert f"{MAX_BYTES // 2**30} GiB" in TEXT
