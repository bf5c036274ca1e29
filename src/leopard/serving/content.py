"""From a chat request to a generation request: parts are decoded, documents become pages.

Knows the OpenAI interface and pages; nothing of engines.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message, Part, Role, TextPart
from leopard.schema.pages import Page
from leopard.serving.errors import ApiError
from leopard.serving.pages import Content, PageReader
from leopard.serving.remote import RemoteFetcher
from leopard.serving.schemas import (
    ChatMessage,
    ChatRequest,
    ContentPart,
    FileReference,
    ImageContent,
    TextContent,
)
from leopard.serving.settings import ServingSettings
from leopard.serving.store import FileStore

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A chat request whose documents were read."""

    request: GenerationRequest
    pages: tuple[Page, ...]
    """In prompt order."""


class RequestReader:
    """Decodes chat requests.

    Args:
        settings: Limits.
        store: Uploaded files.
        reader: Draws pages.
        fetcher: Fetches addresses where allowed.
    """

    def __init__(
        self,
        settings: ServingSettings,
        store: FileStore,
        reader: PageReader,
        fetcher: RemoteFetcher,
    ) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self._fetcher = fetcher

    def check(self, body: ChatRequest, *, owner: str) -> None:
        """Refuse what can be refused without decoding.

        Raises:
            ApiError: If there are too many inputs, or a file or address may not be used.
        """
        parts = [part for message in body.messages for part in _inputs(message)]
        if len(parts) > self._settings.max_inputs:
            raise ApiError(
                400,
                f"there are {len(parts)} images and files and the limit is "
                f"{self._settings.max_inputs}; send fewer, or one document of many pages",
                code="too_many_inputs",
            )
        for part in parts:
            if isinstance(part, ImageContent):
                if not _is_data(part.image_url.url):
                    self._fetcher.check(part.image_url.url)
            elif part.file_id is not None:
                self._store.get(part.file_id, owner=owner)
        self.sampling(body)

    def sampling(self, body: ChatRequest) -> SamplingOptions:
        """How tokens are chosen; greedy unless the request says otherwise.

        Raises:
            ApiError: If more tokens are asked for than the server gives.
        """
        settings = self._settings
        wanted = body.max_completion_tokens or body.max_tokens
        if wanted is not None and wanted > settings.max_new_tokens:
            raise ApiError(
                400,
                f"{wanted} new tokens are asked for and the limit is {settings.max_new_tokens}",
                param="max_tokens",
                code="invalid_request",
            )
        default = min(settings.default_new_tokens, settings.max_new_tokens)
        return SamplingOptions(
            max_new_tokens=wanted or default,
            temperature=body.temperature or 0.0,
            top_p=body.top_p or 1.0,
            seed=body.seed or 0,
            stop=body.stop_texts,
        )

    async def read(self, body: ChatRequest, *, owner: str) -> ReadRequest:
        """Decode all parts and read all documents.

        Raises:
            ApiError: If a part is no base64, or a file or address may not be used.
            LeopardError: If a document cannot be read.
        """
        contents = [
            await self._content(part, owner, number)
            for number, part in enumerate(
                (part for message in body.messages for part in _inputs(message)), start=1
            )
        ]
        pages = await self._reader.read(contents, body.pages or "")
        shown = tuple(page for drawn in pages for page in drawn)
        request = GenerationRequest(
            messages=_messages(body.messages, [len(drawn) for drawn in pages]),
            images=tuple(page.image for page in shown),
            sampling=self.sampling(body),
            image_names=tuple(
                f"{content.digest} {page.number} {page.size}"
                for content, drawn in zip(contents, pages, strict=True)
                for page in drawn
            ),
        )
        return ReadRequest(request, shown)

    async def _content(
        self, part: ImageContent | FileReference, owner: str, number: int
    ) -> Content:
        if isinstance(part, ImageContent):
            url, name = part.image_url.url, f"image {number}"
            if not _is_data(url):
                return Content.of(await asyncio.to_thread(self._fetcher.fetch, url), name)
            return await asyncio.to_thread(_decoded, url, name)
        if part.file_id is not None:
            return self._store.get(part.file_id, owner=owner).content
        assert part.file_data is not None
        return await asyncio.to_thread(_decoded, part.file_data, part.filename or f"file {number}")


def _inputs(message: ChatMessage) -> list[ImageContent | FileReference]:
    if isinstance(message.content, str):
        return []
    return [
        part if isinstance(part, ImageContent) else part.file
        for part in message.content
        if not isinstance(part, TextContent)
    ]


def _messages(messages: Sequence[ChatMessage], num_pages: Sequence[int]) -> tuple[Message, ...]:
    """Turns with one image part for each page of each input."""
    counts = iter(num_pages)

    def parts_of(part: ContentPart) -> list[Part]:
        if isinstance(part, TextContent):
            return [TextPart(part.text)]
        return [ImagePart() for _ in range(next(counts))]

    found = []
    for message in messages:
        content = message.content
        if isinstance(content, str):
            parts: list[Part] = [TextPart(content)]
        else:
            parts = [made for part in content for made in parts_of(part)]
        found.append(Message(_ROLES[message.role], tuple(parts)))
    return tuple(found)


def _is_data(url: str) -> bool:
    return url[:5].lower() == "data:"


def _decoded(text: str, name: str) -> Content:
    """Bytes of base64, plain or as a data: address; the media type is not believed."""
    payload = text
    if _is_data(text):
        head, comma, payload = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ApiError(
                400,
                f"{name}: the data: address is not base64; write data:image/png;base64,...",
                code="bad_document",
            )
    try:
        return Content.of(base64.b64decode(payload, validate=True), name)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, f"{name}: it is not base64", code="bad_document") from error
