"""Load on a real server of this machine: many clients, some leave, some read slowly.

Every client asks about a picture of its own number and checks that the answer is about it, so that
nothing can be lost or crossed unseen. The model is the fake one: the server is measured, not the
engine. Prints rates, waits and the server's memory over time; ends with 1 if anything went wrong.

    python benchmarks/bench_server.py --seconds 600
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import httpx
from PIL import Image

PICTURES = 64
"""Different pictures; each is a width that the answer must repeat."""
WORDS = 24
MOST_GROWTH = 1.2
"""Memory at the end over memory after the first fifth, at most."""


@dataclass
class Tally:
    """What became of all questions."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    first_text_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, and the server's resident memory."""
    cpu_s: float = 0.0
    """Seconds of processor time that the server took."""

    def fault(self, text: str) -> None:
        """Note what must not happen."""
        self.ends["fault"] += 1
        self.faults.append(text)


def picture_url(number: int) -> str:
    """A picture whose width is its number."""
    stream = io.BytesIO()
    shade = (number * 37 % 256, number * 91 % 256, 120)
    Image.new("RGB", (100 + number, 80), shade).save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


URLS = [picture_url(number) for number in range(PICTURES)]


class Client:
    """Asks, checks, and behaves in one of several ways.

    Args:
        http: Connections.
        number: Which client it is.
        tally: Where the results go.
        end: When to stop, by the monotonic clock.
    """

    def __init__(self, http: httpx.AsyncClient, number: int, tally: Tally, end: float) -> None:
        self._http = http
        self._rng = random.Random(number)
        self._number = number
        self._tally = tally
        self._end = end

    async def run(self) -> None:
        """Ask until the time is up."""
        asked = 0
        while time.monotonic() < self._end:
            asked += 1
            mark = f"client-{self._number}-question-{asked}"
            picture = self._rng.randrange(PICTURES)
            body = self._body(mark, picture)
            manner = self._rng.choices(("stream", "whole", "leave", "slow"), weights=(5, 3, 1, 1))[
                0
            ]
            try:
                await getattr(self, f"_{manner}")(body, self._expected(mark, picture))
            except httpx.HTTPError as error:
                self._tally.fault(f"{mark}: {type(error).__name__} {error}")

    def _body(self, mark: str, picture: int) -> dict[str, object]:
        content = [
            {"type": "image_url", "image_url": {"url": URLS[picture]}},
            {"type": "text", "text": mark},
        ]
        return {"model": "load", "messages": [{"role": "user", "content": content}]}

    @staticmethod
    def _expected(mark: str, picture: int) -> str:
        return answer_to(mark, 100 + picture)

    async def _whole(self, body: dict[str, object], expected: str) -> None:
        start = time.monotonic()
        answer = await self._http.post("/v1/chat/completions", json=body)
        if await self._was_refused(answer):
            return
        self._check(answer.json()["choices"][0]["message"]["content"], expected, start, "whole")

    async def _stream(self, body: dict[str, object], expected: str) -> None:
        await self._read(body, expected, pause_s=0.0, manner="stream")

    async def _slow(self, body: dict[str, object], expected: str) -> None:
        await self._read(body, expected, pause_s=0.05, manner="slow")

    async def _leave(self, body: dict[str, object], _: str) -> None:
        async with self._streamed(body) as answer:
            if await self._was_refused(answer):
                return
            pieces = 0
            async for line in answer.aiter_lines():
                pieces += line.startswith("data:")
                if pieces == 4:
                    break
        self._tally.ends["left"] += 1

    async def _read(
        self, body: dict[str, object], expected: str, *, pause_s: float, manner: str
    ) -> None:
        start, first, text = time.monotonic(), None, ""
        async with self._streamed(body) as answer:
            if await self._was_refused(answer):
                return
            async for line in answer.aiter_lines():
                data = line.removeprefix("data: ")
                if data == line or data == "[DONE]":
                    continue
                chunk = json.loads(data)
                if "error" in chunk:
                    self._tally.fault(chunk["error"]["message"])
                    return
                piece = chunk["choices"][0]["delta"].get("content") or ""
                if piece and first is None:
                    first = time.monotonic()
                    self._tally.first_text_s.append(first - start)
                text += piece
                if pause_s:
                    await asyncio.sleep(pause_s)
        self._check(text, expected, start, manner)

    def _streamed(self, body: dict[str, object]) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream("POST", "/v1/chat/completions", json={**body, "stream": True})

    async def _was_refused(self, answer: httpx.Response) -> bool:
        if answer.status_code == 200:
            return False
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            await answer.aread()
            self._tally.fault(f"status {answer.status_code}: {answer.text[:200]}")
            return True
        self._tally.ends["refused"] += 1
        await asyncio.sleep(self._rng.uniform(0.2, 1.0))
        return True

    def _check(self, text: str, expected: str, start: float, manner: str) -> None:
        if text != expected:
            self._tally.fault(f"got {text[:80]!r}, expected {expected[:80]!r}")
            return
        self._tally.total_s.append(time.monotonic() - start)
        self._tally.ends[manner] += 1


def answer_to(mark: str, width: int) -> str:
    """What the fake model says: the question's mark and the picture's width, many times."""
    return " ".join([f"{mark} {width}"] * (WORDS // 2))


def serve() -> None:
    """The server's process: prints its address, serves until told to stop."""
    from leopard.cli._served import tiles_planner
    from leopard.documents import LoadOptions
    from leopard.inference.fake import FakeGenerator, last_question
    from leopard.processor.settings import ProcessorSettings
    from leopard.schema.generation import GenerationRequest
    from leopard.serving.app import build_app
    from leopard.serving.run import serve as run_server
    from leopard.serving.service import ServedModel
    from leopard.serving.settings import ServingSettings

    def answer(request: GenerationRequest) -> str:
        model.generator.requests.clear()  # type: ignore[attr-defined]
        return answer_to(last_question(request), request.images[0].width)

    model = ServedModel(
        generator=FakeGenerator(answer, name="load", capacity=32, step_s=0.002),
        load_options=LoadOptions(),
        planner=tiles_planner(ProcessorSettings()),
    )
    settings = ServingSettings(port=0, max_queue=128)
    run_server(build_app(model, settings), settings, on_ready=lambda url: print(url, flush=True))


async def load(url: str, tally: Tally, *, clients: int, seconds: float) -> None:
    """Let all clients ask, and look at the server's memory meanwhile."""
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients + 4, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        watching = asyncio.create_task(watch(http, tally, seconds))
        await asyncio.gather(*(Client(http, n, tally, end).run() for n in range(clients)))
        await watching
        for _ in range(100):
            health = (await http.get("/health")).json()
            if not health["running"] and not health["waiting"]:
                break
            await asyncio.sleep(0.1)
        else:
            tally.fault(f"work is left over: {health}")


async def watch(http: httpx.AsyncClient, tally: Tally, seconds: float) -> None:
    """Note the server's memory twenty times."""
    start = time.monotonic()
    for number in range(1, 21):
        await asyncio.sleep(max(start + seconds * number / 20 - time.monotonic(), 0))
        text = (await http.get("/metrics")).text
        memory = value(text, "process_resident_memory_bytes") / 2**20
        tally.memory_mb.append((time.monotonic() - start, memory))
        tally.cpu_s = value(text, "process_cpu_seconds_total")


def value(text: str, name: str) -> float:
    """One value of Prometheus' text format."""
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def report(tally: Tally, seconds: float) -> bool:
    """Print what happened; returns whether all was well."""
    answered = len(tally.total_s)
    print(f"answered {answered} ({answered / seconds:.0f} per second): {dict(tally.ends)}")
    for name, values in (("first text", tally.first_text_s), ("whole answer", tally.total_s)):
        if len(values) > 1:
            cuts = statistics.quantiles(values, n=100)
            print(f"{name}: median {cuts[49]:.3f} s, 95 % {cuts[94]:.3f} s, 99 % {cuts[98]:.3f} s")
    print(f"server: {1000 * tally.cpu_s / max(answered, 1):.1f} ms of processor time per answer")
    memory = [mb for _, mb in tally.memory_mb]
    growth = memory[-1] / memory[len(memory) // 5]
    shown = " ".join(f"{at:.0f}s:{mb:.0f}" for at, mb in tally.memory_mb[:: len(memory) // 10 or 1])
    print(f"memory MB {shown}, growth {growth:.2f} (limit {MOST_GROWTH})")
    for fault in tally.faults[:10]:
        print(f"FAULT {fault}")
    good = not tally.faults and growth <= MOST_GROWTH and answered > 0
    print("nothing lost, nothing crossed" if good else "FAILED")
    return good


def main() -> int:
    """Run the load; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            tally = Tally()
            asyncio.run(load(url, tally, clients=given.clients, seconds=given.seconds))
        finally:
            server.terminate()
        status = server.wait(30)
    # uvicorn ends itself by the signal that it was told to stop with.
    if status not in (0, -signal.SIGTERM):
        tally.fault(f"the server ended with {status}")
    return 0 if report(tally, given.seconds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
