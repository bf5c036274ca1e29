"""Real vLLM servers of this machine, asked with the openai client: ours, and plain vLLM."""

import contextlib
import os
import socket
import subprocess
import sys

import httpx
import pytest

from leopard.inference.text_stream import TextStream
from tests.inference.vllm.models import DECKS, FOLDERS, built, local_tokens
from tests.serving.live import data_url, in_its_own_process, png_of, wait_until

pytestmark = pytest.mark.vllm

QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request, tmp_path_factory):
    return built(request.param, tmp_path_factory.mktemp("vllm") / request.param)


@contextlib.contextmanager
def plain_vllm(folder):
    """`vllm serve FOLDER`, as its users start it; the plugin is found by itself."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--port", port]
    options = ["--dtype", "float32", "--enforce-eager", "--max-model-len", 2048]
    options += ["--served-model-name", folder.name, "--host", "127.0.0.1"]
    options += ["--kv-cache-memory-bytes", 2**28, "--limit-mm-per-prompt", '{"image": 12}']
    log = folder.parent / "vllm.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *map(str, [*command, *options])],
            stdout=out,
            stderr=out,
            env={**os.environ, **QUIET},
        )
    url = f"http://127.0.0.1:{port}"

    def answers():
        assert process.poll() is None, log.read_text()[-5000:]
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/health").status_code == 200
        return False

    try:
        wait_until(answers, 500)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)


def ask(client, model, images, **options):
    parts = [{"type": "image_url", "image_url": {"url": data_url(png_of(i))}} for i in images]
    content = [*parts, {"type": "text", "text": "What is shown?"}]
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], max_tokens=12, **options
    )


def openai_client(url):
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)


def local_answers(folder):
    """What the local runtime answers: all that was written, and as an answer without edges."""
    from leopard.inference.loading import load_processor

    tokenizer = load_processor(str(folder)).tokenizer
    tokens = local_tokens(folder)
    written = {name: tokenizer.decode(tokens[name], skip_special_tokens=True) for name in DECKS}
    return written, {name: _answer(tokenizer, tokens[name]) for name in DECKS}


def _answer(tokenizer, ids):
    stream = TextStream(tokenizer)
    for token in ids:
        stream.push(token)
    stream.finish()
    return stream.text


def test_leopard_serve_answers_with_vllm_what_the_local_runtime_answers(folder):
    _, wanted = local_answers(folder)
    started = in_its_own_process(
        "--model", folder, "--engine", "vllm", "--batch-size", 4, HOME=str(folder.parent), **QUIET
    )
    with started as server, openai_client(server.url) as client:
        assert [model.id for model in client.models.list()] == [folder.name]
        for name, deck in DECKS.items():
            done = ask(client, folder.name, deck)
            assert done.choices[0].message.content == wanted[name]
            assert (done.usage.prompt_tokens_details.visual_tokens > 0) == bool(deck)
        stream = ask(client, folder.name, DECKS["alone"], stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(pieces) == wanted["alone"]


def test_plain_vllm_answers_what_the_local_runtime_answers(folder):
    wanted, _ = local_answers(folder)
    with plain_vllm(folder) as url, openai_client(url) as client:
        for name, deck in DECKS.items():
            # Without an image the plugin does not see the prompt, so vLLM must begin it.
            begin = {"add_special_tokens": folder.name == "whole" and not deck}
            done = ask(client, folder.name, deck, temperature=0, extra_body=begin)
            # vLLM leaves the bytes of an unfinished last character out.
            text = done.choices[0].message.content
            assert text.rstrip("\ufffd") == wanted[name].rstrip("\ufffd"), name
            assert text.rstrip("\ufffd"), name
