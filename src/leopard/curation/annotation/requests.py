"""Requests to a model: their wire form, their name in the cache, and the most they can cost.

Knows nothing of servers or money spent.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from leopard.curation.annotation.settings import EndpointSettings
from leopard.schema.rows import canonical_json

NANO_PER_USD = 1_000_000_000
TOKENS_OF_FORM = 64
"""Allowance for what a server adds to a request: roles, separators, a start."""
TOKENS_OF_PART = 16


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image, as it is sent."""

    data: bytes
    mime: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def uri(self) -> str:
        """The image as a data URI."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One question to a model: a system text, then a user turn of text and images."""

    endpoint: EndpointSettings
    system: str
    user: str
    pictures: tuple[Picture, ...] = ()
    """Shown before the user text."""
    schema: dict[str, Any] | None = None
    """JSON schema of the answer, or None for prose."""
    schema_name: str = "answer"
    seed: int = 0
    """Asked again, a request has another seed: another request, another answer."""

    @property
    def key(self) -> str:
        """SHA-256 of the whole request, in hex, with hashes in place of image bytes.

        The address is no part of it: the same model may move to another port.
        """
        plain = self._body([picture.sha256 for picture in self.pictures])
        return hashlib.sha256(canonical_json(plain).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """Arguments of the chat completion call."""
        return self._body([picture.uri for picture in self.pictures])

    @property
    def most_input_tokens(self) -> int:
        """No tokeniser of bytes makes more tokens of it: one per byte, images as agreed."""
        texts = [self.system, self.user]
        if self.schema is not None:
            texts.append(canonical_json(self.schema))
        parts = len(texts) + len(self.pictures)
        return (
            sum(len(text.encode()) for text in texts)
            + self.endpoint.image_tokens * len(self.pictures)
            + TOKENS_OF_PART * parts
            + TOKENS_OF_FORM
        )

    @property
    def most_nano_usd(self) -> int:
        """The most that one try can cost, in billionths of a US dollar."""
        return cost_of(self.endpoint, self.most_input_tokens, self.endpoint.max_output_tokens)

    def _body(self, pictures: list[str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": url}} for url in pictures
        ]
        content.append({"type": "text", "text": self.user})
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [
                {"role": "system", "content": self.system},
                {"role": "user", "content": content},
            ],
            "seed": self.seed,
            self.endpoint.output_limit_field: self.endpoint.max_output_tokens,
        }
        if self.endpoint.temperature is not None:
            body["temperature"] = self.endpoint.temperature
        if self.schema is not None:
            body |= _response_format(self.endpoint.json_mode, self.schema, self.schema_name)
        return body


def cost_of(endpoint: EndpointSettings, input_tokens: int, output_tokens: int) -> int:
    """Price of so many tokens, rounded up, in billionths of a US dollar."""
    per_token = NANO_PER_USD // 1_000_000
    return ceil(
        per_token
        * (
            input_tokens * endpoint.input_usd_per_million
            + output_tokens * endpoint.output_usd_per_million
        )
    )


def _response_format(
    mode: Literal["schema", "object", "prompt"], schema: dict[str, Any], name: str
) -> dict[str, Any]:
    if mode == "prompt":
        return {}
    if mode == "object":
        return {"response_format": {"type": "json_object"}}
    wanted = {"name": name, "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}
