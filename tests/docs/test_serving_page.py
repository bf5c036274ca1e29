"""The commands and examples of docs/serving.md do what the page says."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leopard.serving.settings import ServingSettings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SAID = "http://127.0.0.1:8000"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def commands(name):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(f"{name} ")]


@contextlib.contextmanager
def started(command, tmp_path, **environment):
    """A `leopard serve` command of the page with the fake model on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "leopard.cli.main", *command[1:], "--model", "fake", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        line = process.stderr.readline()
        found = re.search(r"serving fake at (http://\S+) ", line)
        assert found, line + process.stderr.read()
        # The log must be read, or the server would wait for room in the pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[1]
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def server(tmp_path):
    plain = commands("leopard")[0]
    assert plain == ["leopard", "serve"]
    with started(plain, tmp_path) as url:
        assert url.startswith("http://127.0.0.1:")
        yield url


def test_python_examples_run(server, monkeypatch):
    monkeypatch.chdir(ROOT)
    code = "\n".join(blocks("python")).replace(SAID, server)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/serving.md", "exec"), {})
    lines = out.getvalue().splitlines()
    assert lines[0] == "[fake] Which picture shows a question? (2 images)"
    assert lines[1] == "2 visual tokens"
    assert lines[2] == "[fake] What is the invoice date? (2 images)"
    assert lines[3] == "[fake] Who is the advertiser? (2 images)"


def test_curl_commands_run(server):
    assert len(commands("curl")) >= 5
    for command in commands("curl"):
        given = [part.replace(SAID, server) for part in command]
        done = subprocess.run([*given, "--fail"], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, command
        assert done.stdout, command


def test_keys_are_made_and_asked_for(tmp_path):
    import httpx

    make, serve = commands("leopard")[1:]
    done = subprocess.run(
        [sys.executable, "-m", "leopard.cli.main", *make[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    key = done.stdout.strip()
    with started(serve, tmp_path) as url:
        url = url.replace("0.0.0.0", "127.0.0.1") + "/v1/models"
        named = {"Host": "leopard.example.org"}
        assert httpx.get(url, headers=named).status_code == 401
        with_key = {**named, "Authorization": f"Bearer {key}"}
        assert httpx.get(url, headers=with_key).status_code == 200
        assert httpx.get(url, headers={**with_key, "Host": "evil.example"}).status_code == 403


def test_load_of_the_page_is_survived():
    (command,) = commands("python")
    assert command[1:] == ["benchmarks/bench_server.py", "--seconds", "30", "--clients", "200"]
    shorter = [sys.executable, command[1], "--seconds", "4", "--clients", "30"]
    done = subprocess.run(shorter, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "nothing lost, nothing crossed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_settings_are_all_settings_with_their_defaults():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \| ", TEXT, re.M)
    shown = {}
    for name, value in rows:
        shown[name] = {"true": True, "false": False, "none": ()}.get(value, value)
    defaults = ServingSettings().model_dump()
    assert list(shown) == list(defaults)
    for name, default in defaults.items():
        if isinstance(default, bool | tuple | str):
            assert shown[name] == default, name
        else:
            assert float(shown[name]) == float(default), name


def test_statuses_are_those_of_the_code():
    section = TEXT.split("## Errors")[1].split("## ")[0]
    shown = {int(status) for status in re.findall(r"^\| (\d{3}) \|", section, re.M)}
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/leopard/serving").glob("*.py")
    )
    raised = {int(status) for status in re.findall(r"ApiError\(\s*(\d{3})", source)}
    assert shown == raised | {400}


def test_options_that_the_page_names_exist(monkeypatch):
    from typer.testing import CliRunner

    from leopard.cli.main import build_app

    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(build_app(), ["serve", "--help"]).output
    for option in set(re.findall(r"--[a-z][a-z-]+", TEXT)) - {"--seconds", "--clients"}:
        assert option in text, option
