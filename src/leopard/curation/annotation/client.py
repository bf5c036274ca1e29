"""Asks a model: from the cache if it was asked before, else the server, within the cap.

Every try is reserved at its worst case before it is sent. A refusal by status code costs nothing;
a try whose outcome nobody knows (no answer in time, a dropped connection, a body that is no
answer) counts as spent in full. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from leopard.curation.annotation.ledger import CapReachedError, Ledger, PaidAnswer
from leopard.curation.annotation.pacing import Lanes, pause_after
from leopard.curation.annotation.requests import ChatRequest, cost_of
from leopard.curation.annotation.settings import EndpointSettings, PaceSettings
from leopard.errors import ConfigError, GenerationError

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes after which the same request may succeed."""
CROWDED = frozenset({429, 503, 529})
"""Status codes by which a server says that it has enough."""
REFUSED = frozenset({400, 413, 422})
"""Status codes by which a server refuses this one request, such as one that is too long."""
MANY_REFUSALS = 8
"""Refusals without a single answer after which the settings are to blame, not the requests."""
WAIT_FOR_OTHERS_S = 0.1


class RefusedError(Exception):
    """The server refuses this request, and will again."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that brought no answer."""

    text: str
    passing: bool
    crowded: bool = False
    refused: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Traffic:
    """What went over the wire in this run."""

    sent: int = 0
    """Tries."""
    from_cache: int = 0
    answered: int = 0
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """What went wrong on the way -> tries; all were tried again unless a request gave up."""


class Client:
    """Asks models behind OpenAI-compatible servers. For one event loop.

    Args:
        ledger: Answers and money.
        pace: How fast and how patiently.
        sleep: Waits between tries; replaced in tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        pace: PaceSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.traffic = Traffic()
        self._ledger, self._pace, self._sleep = ledger, pace, sleep
        self._lanes: dict[str, Lanes] = {}
        self._servers: dict[tuple[str, str], Any] = {}
        self._in_flight = 0
        self._landed = asyncio.Condition()
        self._stop: GenerationError | None = None

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()

    async def ask(self, request: ChatRequest) -> PaidAnswer:
        """The answer to a request.

        Raises:
            CapReachedError: If it does not fit under the cap.
            RefusedError: If the server refuses this very request.
            GenerationError: If the server keeps failing, or the settings do not suit it.
        """
        key = request.key
        stored = self._ledger.answer(key)
        if stored is not None:
            self.traffic.from_cache += 1
            return stored
        if self._stop is not None:
            raise self._stop
        lanes = self._lanes.setdefault(request.endpoint.base_url, Lanes(self._pace.concurrency))
        for tries in range(1, self._pace.tries + 1):
            async with lanes.lane():
                outcome = await self._try(request, key)
            if isinstance(outcome, PaidAnswer):
                lanes.went_well()
                self.traffic.answered += 1
                return outcome
            self._note(outcome, lanes)
            if not outcome.passing or tries == self._pace.tries:
                break
            await self._sleep(pause_after(self._pace, tries, outcome.headers))
        self._stop = GenerationError(
            f"{request.endpoint.base_url}: {outcome.text} (tries: {tries}); what was answered is "
            "kept: see to the server and run the command again"
        )
        raise self._stop

    def _note(self, failure: _Failure, lanes: Lanes) -> None:
        self.traffic.failures[failure.text[:80]] += 1
        if failure.crowded:
            lanes.too_many()
        if failure.refused:
            self.traffic.refused += 1
            seen = self.traffic.answered + self.traffic.from_cache
            if seen or self.traffic.refused < MANY_REFUSALS:
                raise RefusedError(failure.text.partition(":")[0])

    async def _try(self, request: ChatRequest, key: str) -> PaidAnswer | _Failure:
        reservation = await self._reserve(request)
        self._in_flight += 1
        self.traffic.sent += 1
        try:
            outcome = await self._send(request)
        finally:
            self._in_flight -= 1
        if isinstance(outcome, PaidAnswer):
            self._ledger.settle(reservation, outcome.nano_usd, "answers", (key, outcome))
            self._check_bound(request, outcome)
        else:
            known = outcome.text.startswith("status")
            self._ledger.settle(reservation, 0 if known else None, "outcome unknown")
        async with self._landed:
            self._landed.notify_all()
        return outcome

    async def _reserve(self, request: ChatRequest) -> int:
        """Reserve the worst case; waits while open tries may still turn out cheaper."""
        patience_s = request.endpoint.timeout_s
        while True:
            if self._stop is not None:
                raise self._stop
            try:
                reservation = self._ledger.reserve(request.most_nano_usd)
            except CapReachedError as error:
                self._stop = error
                raise
            if reservation is not None:
                return reservation
            if self._in_flight:
                async with self._landed:
                    await self._landed.wait()
                continue
            # What other processes have reserved; some may have died on another computer.
            patience_s -= WAIT_FOR_OTHERS_S
            if patience_s <= 0:
                self._stop = CapReachedError("all that the cap leaves is reserved by others")
                raise self._stop
            await asyncio.sleep(WAIT_FOR_OTHERS_S)

    async def _send(self, request: ChatRequest) -> PaidAnswer | _Failure:
        openai = _openai()
        server = self._server(request.endpoint)
        try:
            completion = await server.chat.completions.create(
                **request.body(), timeout=request.endpoint.timeout_s
            )
        except openai.APIStatusError as error:
            status = error.status_code
            text = f"status {status}: {' '.join(str(error.message).split())[:300]}"
            passing, crowded, refused = (status in s for s in (PASSING, CROWDED, REFUSED))
            return _Failure(text, passing, crowded, refused, dict(error.response.headers))
        except openai.APITimeoutError:
            return _Failure("no answer in time", True)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return _Failure(f"connection failed ({type(cause).__name__})", True)
        except (openai.APIError, ValueError):
            return _Failure("the body is no answer", True)
        return _paid(completion, request)

    def _check_bound(self, request: ChatRequest, paid: PaidAnswer) -> None:
        if paid.nano_usd > request.most_nano_usd:
            self._stop = GenerationError(
                f"the server counted {paid.input_tokens} tokens sent and {paid.output_tokens} "
                f"received where at most {request.most_input_tokens} and "
                f"{request.endpoint.max_output_tokens} were reserved, so the cap cannot be held; "
                "raise image_tokens, or set output_limit_field to the name that the server knows"
            )
            raise self._stop

    def _server(self, endpoint: EndpointSettings) -> Any:
        place = endpoint.base_url, endpoint.api_key_env
        if place not in self._servers:
            self._servers[place] = _openai().AsyncOpenAI(
                base_url=endpoint.base_url,
                api_key=os.environ.get(endpoint.api_key_env) or "none",
                # Each try is reserved and counted here, so the library makes one only.
                max_retries=0,
            )
        return self._servers[place]


def _paid(completion: Any, request: ChatRequest) -> PaidAnswer | _Failure:
    """The answer in a response, or why there is none."""
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        return _Failure("the body is no answer", True)
    message, reason = choices[0].message, choices[0].finish_reason or "stop"
    endpoint, usage = request.endpoint, completion.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        sent, received = request.most_input_tokens, endpoint.max_output_tokens
    else:
        sent, received = usage.prompt_tokens, usage.completion_tokens
    return PaidAnswer(
        text=message.content or "",
        finish_reason="refusal" if message.refusal else reason,
        model=completion.model or endpoint.model,
        host=urlsplit(endpoint.base_url).hostname or "",
        input_tokens=sent,
        output_tokens=received,
        nano_usd=cost_of(endpoint, sent, received),
    )


def _openai() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ConfigError(
            "annotation needs the openai package, which is not installed: "
            "pip install 'leopard[annotate]'"
        ) from error
    return openai
