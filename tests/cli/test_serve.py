import contextlib
import importlib.util
import json
import logging
import signal
import socket

import httpx
import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.serving.keys import hash_key
from tests.serving.live import in_its_own_process


def serve(*args):
    return CliRunner().invoke(build_app(), ["serve", *map(str, args)])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--host", "0.0.0.0", "--model", "fake"), "there are no API keys"),
        (("--host", "192.168.1.5", "--model", "fake"), "there are no API keys"),
        (("--set", "max_queues=3"), "max_queues"),
        (("--set", "max_queue=-1"), "max_queue"),
        (("--port", "70000"), "port"),
        (("--key-file", "gone.txt"), "gone.txt"),
        (("--model", "fake", "--policy", "nonsense"), "nonsense"),
        (("--config", "gone.toml"), "gone.toml"),
        (("--engine", "nonsense"), "use torch, onnx, vllm"),
        (("--tensor-parallel", "2"), "give --engine vllm"),
        (("--engine", "vllm", "--device", "cpu"), "leave it out"),
    ],
)
def test_wrong_use_is_one_line(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEOPARD_API_KEY", raising=False)
    result = serve(*args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_port_in_use_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = serve("--model", "fake", "--port", port)
    assert result.exit_code == 2
    assert f"127.0.0.1:{port} cannot be listened on" in result.stderr
    assert logging.getLogger("leopard.serving").handlers == []


def test_missing_extra_is_said_with_the_command(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else real(name)
    )
    result = serve("--model", "fake")
    assert result.exit_code == 2
    assert "serving needs uvicorn; run: pip install 'leopard[serve]'" in result.stderr


def test_keys_are_printed_once_and_kept_as_hashes(tmp_path):
    path = tmp_path / "keys.txt"

    def make(name):
        return CliRunner().invoke(build_app(), ["serve-key", str(path), name])

    key = make("ada").stdout.strip()
    assert key.startswith("lp-")
    assert path.read_text() == f"ada {hash_key(key)}\n"
    assert make("bob").stdout.strip() != key
    assert "take another name" in make("ada").stderr
    assert len(path.read_text().splitlines()) == 2


@pytest.fixture
def run(tmp_path):
    """Starts `leopard serve` and gives its address."""
    with contextlib.ExitStack() as servers:

        def start(*args, **environment):
            server = in_its_own_process(*args, folder=tmp_path, **environment)
            found = servers.enter_context(server)
            return found.process, found.name, found.url, found.lines, found.reader

        yield start


def test_model_is_served_with_its_pages_and_ends_gracefully(run, tiny_model_folder, tmp_path):
    from tests.serving.live import pdf, question, upload

    settings = tmp_path / "server.toml"
    settings.write_text("max_queue = 3\nmax_new_tokens = 7\n")
    process, name, url, lines, reader = run(
        "--model", tiny_model_folder, "--config", settings, "--set", "default_new_tokens=5"
    )
    assert name == "tiny"
    with httpx.Client(base_url=url, timeout=60) as client:
        file_id = upload(client, pdf(1, 2))
        part = {"type": "file", "file": {"file_id": file_id}}
        view = client.get("/v1/pages", params={"file": file_id}).json()
        body = {**question("What?", part), "model": "tiny"}
        usage = client.post("/v1/chat/completions", json=body).json()["usage"]
        assert usage["completion_tokens"] == 5
        assert usage["prompt_tokens_details"]["visual_tokens"] == view["visual_tokens"] > 0
        assert usage["prompt_tokens_details"]["crops"] == view["crops"] <= view["max_crops"] == 12
        over = client.post("/v1/chat/completions", json={**body, "max_tokens": 8})
        assert over.status_code == 400
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, -signal.SIGTERM)
    reader.join(5)
    assert not any("Traceback" in line for line in lines)
    assert any("POST /v1/chat/completions 200" in line for line in lines)


def test_missing_vllm_is_said_with_the_command(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "vllm" else real(name)
    )
    result = serve("--engine", "vllm")
    assert result.exit_code == 2
    assert "pip install 'leopard[vllm]'" in result.stderr


def test_interrupt_ends_without_a_traceback(run):
    process, _, url, lines, reader = run("--model", "fake")
    assert httpx.get(f"{url}/health").json()["status"] == "ok"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in (0, 130, -signal.SIGINT)
    reader.join(5)
    assert not any("Traceback" in line for line in lines), lines


def test_key_of_the_environment_is_asked_for(run):
    _, _, url, _, _ = run("--model", "fake", LEOPARD_API_KEY="lp-env")
    assert httpx.get(f"{url}/v1/models").status_code == 401
    answer = httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer lp-env"})
    assert [model["id"] for model in json.loads(answer.text)["data"]] == ["fake"]


def test_idefics2_pages_have_visual_tokens_but_no_tiles():
    from leopard.cli._served import planner_of
    from leopard.inference.loading import load_processor
    from leopard.schema.geometry import ImageSize
    from tests.parity.cases import VECTORS

    processor = load_processor(str(VECTORS / "leopard_idefics2_tiny"))
    plan = planner_of(processor)([ImageSize(10, 20)] * 2)
    assert plan.crops is None
    assert list(plan.kept) == [0, 1]
    assert plan.tokens_per_page == 64
