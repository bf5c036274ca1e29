"""Any server that speaks the OpenAI chat API (vLLM, SGLang, llama.cpp, our own), as a generator.

Bounded concurrency, retries with growing pauses; images travel as PNG in the order of the prompt.
httpx is imported on first use. Knows nothing of tasks or scores.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leopard.errors import ConfigError, GenerationError
from leopard.schema.generation import Generation, GenerationRequest, Timings, Usage
from leopard.schema.messages import ImagePart
from leopard.schema.pixels import png_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed."""
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """How a server is asked."""

    base_url: str
    """Address up to and with `/v1`."""
    model: str
    """Name of the model, as the server knows it."""
    api_key: str = ""
    """Sent as a bearer token; never logged."""
    concurrency: int = 8
    """Most requests in flight."""
    retries: int = 5
    """Further tries after a failure that may pass."""
    pause_s: float = 1.0
    """Pause before the first further try, in seconds; doubles each time."""
    timeout_s: float = 300.0
    """Longest wait for one answer, in seconds."""

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"server address {self.base_url!r} must begin with http:// or https://"
            )
        if self.concurrency < 1 or self.retries < 0:
            raise ConfigError("concurrency must be at least 1 and retries at least 0")


class OpenAIGenerator:
    """A model behind an OpenAI-compatible server.

    Args:
        options: Address, model and patience.
        sleep: Waits between tries; replaced in tests.
    """

    def __init__(
        self, options: ServerOptions, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._options = options
        self._sleep = sleep
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._client = _httpx().Client(
            base_url=options.base_url.rstrip("/"), headers=headers, timeout=options.timeout_s
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._options.model

    @property
    def fingerprint(self) -> str:
        """Model and address; the weights behind them are the server's secret."""
        return f"{self._options.model}@{self._options.base_url}"

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Ask several at once; answers in request order.

        Raises:
            GenerationError: If one of them fails for good.
        """
        with ThreadPoolExecutor(max_workers=self._options.concurrency) as pool:
            return list(pool.map(self._one, requests))

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """Yield text as the server sends it.

        Raises:
            GenerationError: If the server refuses or the connection breaks.
        """
        httpx = _httpx()
        body = {**self._body(request), "stream": True}
        try:
            with self._client.stream("POST", "/chat/completions", json=body) as response:
                if response.status_code != 200:
                    response.read()
                    raise _refused(response)
                for line in response.iter_lines():
                    data = line.removeprefix("data:").strip()
                    if line.startswith("data:") and data != "[DONE]":
                        yield json.loads(data)["choices"][0]["delta"].get("content") or ""
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        except (ValueError, KeyError, IndexError) as error:
            raise GenerationError(f"the server's stream is not understood: {error}") from error

    def _one(self, request: GenerationRequest) -> Generation:
        start = time.perf_counter()
        row = self._post(self._body(request))
        try:
            choice = row["choices"][0]
            text = choice["message"]["content"] or ""
        except (KeyError, IndexError, TypeError) as error:
            raise GenerationError(
                f"the server's answer holds no message: {str(row)[:200]}"
            ) from error
        used = row.get("usage") or {}
        usage = Usage(
            prompt_tokens=int(used.get("prompt_tokens") or 0),
            visual_tokens=0,
            crops=0,
            completion_tokens=int(used.get("completion_tokens") or 0),
        )
        reason = "length" if choice.get("finish_reason") == "length" else "stop"
        timings = Timings(decode_s=time.perf_counter() - start)
        return Generation(text=text, finish_reason=reason, usage=usage, timings=timings)

    def _post(self, body: dict[str, Any]) -> Any:
        httpx = _httpx()
        for attempt in range(self._options.retries + 1):
            pause = self._options.pause_s * 2**attempt
            try:
                response = self._client.post("/chat/completions", json=body)
            except httpx.HTTPError as error:
                failure = self._unreachable(error)
            else:
                if response.status_code == 200:
                    return _json(response)
                failure = _refused(response)
                if response.status_code not in RETRIED:
                    raise failure
                pause = _asked_pause(response) or pause
            if attempt < self._options.retries:
                self._sleep(min(pause, LONGEST_PAUSE_S))
        raise GenerationError(f"{failure} (after {self._options.retries + 1} tries)")

    def _unreachable(self, error: Exception) -> GenerationError:
        return GenerationError(
            f"{self._options.base_url}: {type(error).__name__} {error}; is the server running?"
        )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        images = iter(request.images)
        messages = []
        for message in request.messages:
            content = [
                {"type": "image_url", "image_url": {"url": _data_uri(next(images))}}
                if isinstance(part, ImagePart)
                else {"type": "text", "text": part.text}
                for part in message.parts
            ]
            messages.append({"role": message.role, "content": content})
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": messages,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
        }
        if sampling.temperature:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body


def _httpx() -> Any:
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise GenerationError(
            "asking a server needs httpx; run: pip install 'leopard[evaluation]'"
        ) from error
    return httpx


def _data_uri(image: Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")


def _json(response: Any) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise GenerationError(f"the server's answer is not JSON: {response.text[:200]}") from error


def _refused(response: Any) -> GenerationError:
    return GenerationError(f"the server answered {response.status_code}: {response.text[:300]}")


def _asked_pause(response: Any) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.replace(".", "", 1).isdigit() else 0.0
