"""What every request passes before it is looked at: host, origin, key, size, time; and a log line.

Plain ASGI, so that nothing is buffered. Knows nothing of models.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leopard.serving.errors import ApiError
from leopard.serving.keys import ApiKeys
from leopard.serving.metrics import Metrics
from leopard.serving.settings import ServingSettings

log = logging.getLogger("leopard.serving")

OPEN_PATHS = frozenset({"/", "/health", "/favicon.ico"})
"""Paths that need no key, besides those below /static/: they tell nothing about users."""
_MULTIPART_ROOM = 2**16
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class Guard:
    """The outermost layer of the server.

    Args:
        app: What is guarded.
        settings: Limits and names.
        keys: Keys that open it; none means open.
        metrics: Counts answers.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServingSettings, keys: ApiKeys, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._names = {settings.host, *settings.host_names}
        if settings.is_loopback:
            self._names |= {"localhost", "127.0.0.1", "::1"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._settings.send_timeout_s)
        start = time.monotonic()
        try:
            self._admit(scope)
            body = _Body(receive, self._most_bytes(scope), self._settings.receive_timeout_s)
            body.check_length(scope)
            await self._app(scope, body.receive, answer.send)
        except ApiError as error:
            if not answer.has_begun:
                await error.response()(scope, receive, answer.send)
        except TimeoutError:
            log.info("a client did not read its answer; the connection is dropped")
        finally:
            self._note(scope, answer, time.monotonic() - start)

    def _admit(self, scope: Scope) -> None:
        """Refuse what comes from strange pages or without a key."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if "*" not in self._names and _name_of(f"//{host}") not in self._names:
            raise ApiError(
                403,
                "the Host header is none of this server's names; start it with --host-name for "
                "every name that it is called by",
                code="host_refused",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise ApiError(
                403, "requests from pages of other servers are refused", code="origin_refused"
            )
        scope.setdefault("state", {})["owner"] = self._owner(scope["path"], headers)

    def _owner(self, path: str, headers: Headers) -> str:
        if not len(self._keys):
            return ""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        owner = self._keys.owner(key.strip()) if scheme.lower() == "bearer" else None
        if owner is None and path not in OPEN_PATHS and not path.startswith("/static/"):
            raise ApiError(
                401,
                "an API key is needed: send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
            )
        return owner or ""

    def _most_bytes(self, scope: Scope) -> int:
        if scope["path"] == "/v1/files":
            return self._settings.max_file_bytes + _MULTIPART_ROOM
        return self._settings.max_request_bytes

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        # Only the pattern of the path: the path itself may hold what a user wrote.
        path = getattr(scope.get("route"), "path", "other")
        self._metrics.responses.labels(path, str(answer.status)).inc()
        log.info("%s %s %s %.3f s", scope["method"], path, answer.status, seconds)


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class _Answer:
    """Sends an answer with the usual headers; a client that does not read is given up."""

    def __init__(self, send: Send, timeout_s: float) -> None:
        self._send = send
        self._timeout_s = timeout_s
        self.status = 0

    @property
    def has_begun(self) -> bool:
        """Whether the status was sent."""
        return self.status != 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        async with asyncio.timeout(self._timeout_s):
            await self._send(message)


class _Body:
    """Receives a request's body, up to a number of bytes and seconds."""

    def __init__(self, receive: Receive, most_bytes: int, timeout_s: float) -> None:
        self._receive: Callable[[], Awaitable[Message]] = receive
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._total = 0
        self._is_complete = False

    def check_length(self, scope: Scope) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout(max(self._deadline - time.monotonic(), 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise ApiError(
                408,
                f"the request took more than {self._timeout_s:g} seconds to arrive",
                code="request_timeout",
            ) from error
        self._total += len(message.get("body", b""))
        if self._total > self._most_bytes:
            raise self._too_large()
        self._is_complete = not message.get("more_body", False)
        return message

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"the request has more than {self._most_bytes:,} bytes, which is the limit; upload "
            "documents to /v1/files, or send fewer",
            code="request_too_large",
        )
