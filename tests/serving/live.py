"""A real server on a free port of this machine, in a thread."""

import asyncio
import base64
import contextlib
import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL.Image import Image

from leopard.cli._served import tiles_planner
from leopard.documents import LoadOptions
from leopard.inference.fake import FakeGenerator
from leopard.processor.settings import ProcessorSettings
from leopard.serving.app import build_app
from leopard.serving.keys import ApiKeys
from leopard.serving.run import Server, _listen
from leopard.serving.service import ServedModel, Service
from leopard.serving.settings import ServingSettings
from tests.conftest import draw_page


@dataclass
class Live:
    """A running server."""

    url: str
    service: Service
    server: Server
    thread: threading.Thread

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def openai(self, **options: Any) -> Any:
        import openai

        given = {"api_key": "none", "max_retries": 0, "timeout": 60, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", **given)


def fake_model(answers: Any = None, *, settings: dict[str, Any] | None = None, **options: Any):
    """A served model without weights."""
    processor = ProcessorSettings(**(settings or {}))
    return ServedModel(
        generator=FakeGenerator(answers, **options),
        load_options=LoadOptions(max_crops=processor.max_crops, crop_size=processor.crop_size),
        planner=tiles_planner(processor),
    )


@contextlib.contextmanager
def live(model: ServedModel | None = None, *, keys: ApiKeys | None = None, **settings: Any):
    """Serve within a `with` block."""
    chosen = ServingSettings(port=0, **{"shutdown_grace_s": 2, **settings})
    app = build_app(model or fake_model(), chosen, keys)
    ready = threading.Event()
    bound = _listen(chosen)
    server = Server(app, chosen, on_ready=lambda _: ready.set())
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True
    )
    thread.start()
    assert ready.wait(60)
    try:
        yield Live(server.address, app.state.service, server, thread)
    finally:
        server.should_exit = True
        thread.join(60)
        bound.close()
        assert not thread.is_alive()


@dataclass
class Separate:
    """A running `leopard serve`; `lines` fills with what it logs after its first line."""

    process: subprocess.Popen[str]
    name: str
    url: str
    lines: list[str]
    reader: threading.Thread


@contextlib.contextmanager
def in_its_own_process(*args: object, folder: Path | None = None, **environment: str):
    """Run `leopard serve` on a free port within a `with` block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "leopard.cli.main", "serve", "--port", "0", *map(str, args)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    try:
        assert process.stderr is not None
        before = ""
        for line in process.stderr:
            before += line
            found = re.search(r"serving (\S+) at (http://\S+) ", line)
            if found:
                break
        else:
            raise AssertionError(before)
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        reader.start()
        yield Separate(process, found[1], found[2], lines, reader)
    finally:
        process.kill()
        process.wait(10)


def question(text: str = "What?", *parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Body of a chat request."""
    content = [*parts, {"type": "text", "text": text}]
    return {"model": "fake", "messages": [{"role": "user", "content": content}], **fields}


def image_part(seed: int = 1, **size: Any) -> dict[str, Any]:
    """A drawn page as a data: address."""
    return {"type": "image_url", "image_url": {"url": data_url(png(seed, **size))}}


def file_part(file_id: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_id": file_id}}


def png(seed: int = 1, **size: Any) -> bytes:
    return png_of(draw_page(seed, **size))


def png_of(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def pdf(*seeds: int) -> bytes:
    """A PDF file of drawn pages."""
    stream = io.BytesIO()
    first, *rest = [draw_page(seed, (300, 400)) for seed in seeds]
    first.save(stream, format="PDF", save_all=True, append_images=rest)
    return stream.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def upload(client: httpx.Client, data: bytes, name: str = "a.pdf") -> str:
    answer = client.post("/v1/files", files={"file": (name, data)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    """Wait for something another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def events(lines: Iterator[str]) -> list[str]:
    """Data of server-sent events."""
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
