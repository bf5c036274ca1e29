"""Against a real HTTP server on the loopback, with the real openai client."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from leopard.curation.annotation.client import Client, RefusedError
from leopard.curation.annotation.ledger import CapReachedError, Ledger, PaidAnswer
from leopard.curation.annotation.requests import ChatRequest, Picture
from leopard.curation.annotation.settings import AnnotateSettings
from leopard.errors import ConfigError, GenerationError
from tests.curation.annotation.conftest import settings_for
from tests.curation.annotation.server import ChatServer, now_and_then, num_images

SYSTEM = "You compare"


def request(settings: AnnotateSettings, text: str = "q", **parts: Any) -> ChatRequest:
    return ChatRequest(endpoint=settings.annotator, system=SYSTEM, user=text, **parts)


def ask_all(
    settings: AnnotateSettings, ledger: Ledger, requests: list[ChatRequest], sleep: Any = None
) -> tuple[list[PaidAnswer | BaseException], Client]:
    async def run() -> tuple[list[PaidAnswer | BaseException], Client]:
        client = Client(ledger, settings.pace, sleep or asyncio.sleep)
        try:
            jobs: list[Awaitable[PaidAnswer]] = [client.ask(each) for each in requests]
            return list(await asyncio.gather(*jobs, return_exceptions=True)), client
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "cache.sqlite", 50.0)


def test_what_is_asked_travels_and_is_answered(
    server: ChatServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEOPARD_TEST_KEY", "secret")
    settings = settings_for(server.url)
    schema = {"type": "object", "properties": {}}
    pictures = (Picture(b"one", "image/png"), Picture(b"two", "image/jpeg"))
    asked = request(settings, schema=schema, pictures=pictures, seed=3)
    (answer,), _ = ask_all(settings, ledger, [asked])
    assert isinstance(answer, PaidAnswer)
    assert (answer.text, answer.finish_reason, answer.host) == (
        '{"same": true}',
        "stop",
        "127.0.0.1",
    )
    (body,) = server.bodies
    assert num_images(body) == 2
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == (
        "m",
        512,
        0.7,
        3,
    )
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert {k.lower(): v for k, v in server.headers[0].items()}["authorization"] == "Bearer secret"
    assert ledger.money().spent == answer.nano_usd == server.billed_nano
    assert b"secret" not in ledger.path.read_bytes()


def test_the_same_request_is_paid_once(server: ChatServer, ledger: Ledger) -> None:
    settings = settings_for(server.url)
    first, _ = ask_all(settings, ledger, [request(settings)])
    again, client = ask_all(settings, ledger, [request(settings)])
    assert first == again
    assert (len(server.bodies), client.traffic.from_cache) == (1, 1)
    elsewhere = settings_for("http://127.0.0.1:9/v1")
    assert ask_all(elsewhere, ledger, [request(elsewhere)])[0] == first


def test_every_part_of_a_request_is_in_its_key(server: ChatServer) -> None:
    settings = settings_for(server.url)
    warm = settings.annotator.model_copy(update={"temperature": 0.9})
    short = settings.annotator.model_copy(update={"max_output_tokens": 16})
    requests = [
        request(settings),
        request(settings, "other"),
        request(settings, seed=1),
        request(settings, schema={"type": "object"}),
        request(settings, pictures=(Picture(b"a", "image/png"),)),
        request(settings, pictures=(Picture(b"b", "image/png"),)),
        ChatRequest(endpoint=settings.annotator, system="x", user="q"),
        ChatRequest(endpoint=warm, system=SYSTEM, user="q"),
        ChatRequest(endpoint=short, system=SYSTEM, user="q"),
    ]
    assert len({each.key for each in requests}) == len(requests)


def test_faults_that_pass_are_tried_again(server: ChatServer, ledger: Ledger) -> None:
    kinds = ("429", "500", "broken", "drop", "slow", "503")
    server.fault = now_and_then(kinds=kinds)
    settings = settings_for(server.url)
    hasty = settings.annotator.model_copy(update={"timeout_s": 0.5})
    settings = settings.model_copy(update={"annotator": hasty})
    answers, client = ask_all(settings, ledger, [request(settings, f"q{n}") for n in range(120)])
    assert all(isinstance(answer, PaidAnswer) for answer in answers)
    assert all(server.faults[kind] > 0 for kind in kinds)
    assert sum(client.traffic.failures.values()) == len(server.bodies) - 120
    late = client.traffic.failures["no answer in time"]
    assert len(server.answered) == 120
    assert sum(server.answered.values()) <= 120 + late  # what came too late was asked again
    assert ledger.money().reserved == 0
    assert ledger.money().spent >= server.billed_nano


def test_a_server_that_asks_for_patience_gets_it(server: ChatServer, ledger: Ledger) -> None:
    server.fault = lambda body, number: "429" if number == 0 else ""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    settings = settings_for(server.url, pace={"pause_s": 50.0})
    ask_all(settings, ledger, [request(settings)], sleep)
    assert len(pauses) == 1
    assert 0.01 <= pauses[0] <= 0.012  # as Retry-After says, not as the settings do


def test_concurrency_is_bounded_and_shrinks_when_crowded(
    server: ChatServer, ledger: Ledger
) -> None:
    server.slow_s = 0.02
    settings = settings_for(server.url, pace={"concurrency": 4})
    ask_all(settings, ledger, [request(settings, f"q{n}") for n in range(24)])
    assert 2 <= server.most_in_flight <= 4


@pytest.mark.parametrize("faults", [(), ("429", "500", "broken", "drop")])
def test_the_cap_holds_whatever_is_in_flight(
    server: ChatServer, tmp_path: Path, faults: tuple[str, ...]
) -> None:
    """The server's own books are compared, drops and broken answers billed."""
    server.fault = now_and_then(kinds=faults)
    server.slow_s = 0.05
    server.reply = lambda body: "x" * 1600
    settings = settings_for(server.url, pace={"concurrency": 64, "pause_s": 0.001, "tries": 30})
    one = request(settings).most_nano_usd
    cap_usd = 60.5 * one / 1e9
    ledger = Ledger(tmp_path / "cache.sqlite", cap_usd)
    answers, _ = ask_all(settings, ledger, [request(settings, f"q{n:03}") for n in range(300)])
    kept = [answer for answer in answers if isinstance(answer, PaidAnswer)]
    refused = [answer for answer in answers if isinstance(answer, CapReachedError)]
    assert len(kept) + len(refused) == 300
    assert refused
    assert faults or len(kept) > 60  # the worst case is reserved, the true cost is paid
    assert server.billed_nano <= ledger.money().spent <= cap_usd * 1e9
    assert ledger.money().reserved == 0
    assert server.most_in_flight > 8


def test_answers_without_usage_cost_the_worst_case(server: ChatServer, ledger: Ledger) -> None:
    server.sends_usage = False
    settings = settings_for(server.url)
    ask_all(settings, ledger, [request(settings)])
    assert ledger.money().spent == request(settings).most_nano_usd


def test_a_server_that_counts_more_than_was_reserved_stops_the_run(
    server: ChatServer, ledger: Ledger
) -> None:
    settings = settings_for(server.url)
    endpoint = settings.annotator.model_copy(update={"image_tokens": 1})
    asked = ChatRequest(
        endpoint=endpoint, system="You compare", user="q",
        pictures=(Picture(b"x", "image/png"),) * 9,
    )  # fmt: skip
    (answer, later), _ = ask_all(settings, ledger, [asked, request(settings, "later")])
    assert isinstance(answer, GenerationError)
    assert "raise image_tokens" in str(answer)
    (stopped,), _ = ask_all(settings, ledger, [asked])
    assert isinstance(stopped, PaidAnswer), "what was paid is kept"
    assert not isinstance(later, BaseException) or "raise image_tokens" in str(later)


def test_a_request_that_is_refused_leaves_the_others(server: ChatServer, ledger: Ledger) -> None:
    server.fault = lambda body, number: (
        "400" if "long" in body["messages"][1]["content"][0]["text"] else ""
    )
    settings = settings_for(server.url)
    answers, _ = ask_all(
        settings, ledger, [request(settings, text) for text in ("a", "too long", "b")]
    )
    assert [type(answer) for answer in answers] == [PaidAnswer, RefusedError, PaidAnswer]
    assert ledger.money().spent == server.billed_nano


@pytest.mark.parametrize(("status", "number"), [("400", 20), ("401", 1), ("404", 1)])
def test_settings_that_suit_no_request_stop_the_run(
    server: ChatServer, ledger: Ledger, status: str, number: int
) -> None:
    server.fault = lambda body, n: status
    settings = settings_for(server.url)
    answers, _ = ask_all(settings, ledger, [request(settings, f"q{n}") for n in range(number)])
    assert any(isinstance(a, GenerationError) and status in str(a) for a in answers)
    assert ledger.money().spent == 0


def test_a_server_that_is_not_there(ledger: Ledger) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", pace={"tries": 2, "pause_s": 0.0})
    (answer,), _ = ask_all(settings, ledger, [request(settings)])
    assert isinstance(answer, GenerationError)
    assert "connection failed" in str(answer)


def test_the_missing_package_is_named(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "openai":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    settings = settings_for("http://127.0.0.1:9/v1")
    (answer,), _ = ask_all(settings, ledger, [request(settings)])
    assert isinstance(answer, ConfigError)
    assert "pip install 'leopard[annotate]'" in str(answer)
