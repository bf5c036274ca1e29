"""`/v1/chat/completions`: from a request to an answer, whole or streamed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Literal

from fastapi import APIRouter, Request, Response

from leopard.errors import LeopardError
from leopard.schema.generation import Generation, Progress
from leopard.serving.admission import Place
from leopard.serving.errors import ApiError, ErrorBody, as_api_error
from leopard.serving.schemas import (
    AnswerMessage,
    ChatChunk,
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    ChatUsage,
    Choice,
    ChunkChoice,
    Delta,
    PromptDetails,
    TextContent,
)
from leopard.serving.service import Service
from leopard.serving.streaming import ClientGoneError, EventStream, unless_gone
from leopard.serving.worker import Job

log = logging.getLogger("leopard.serving")
router = APIRouter()

FinishReason = Literal["stop", "length"]
CLIENT_GONE = 499
"""Status in the log when nobody waits for the answer."""


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {"content": {"text/event-stream": {}}},
        "4XX": {"model": ErrorBody},
        "5XX": {"model": ErrorBody},
    },
    tags=["openai"],
)
async def complete(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation with images and documents; streamed with `stream`."""
    service: Service = request.app.state.service
    chat = Chat(service, body, request.state.owner)
    chat.check()
    try:
        first = await unless_gone(request, chat.open())
        if body.stream:
            # From here on the stream closes the chat.
            return EventStream(chat.events(first), on_end=chat.close)
        done = await unless_gone(request, chat.answer(first))
    except ClientGoneError:
        chat.close("gone")
        return Response(status_code=CLIENT_GONE)
    except BaseException:
        chat.close("error")
        raise
    chat.close()
    return Response(done.model_dump_json(), media_type="application/json")


class Chat:
    """One question on its way through queue, documents and engine.

    Args:
        service: The server's parts.
        body: The question.
        owner: Whose files it may use.
    """

    def __init__(self, service: Service, body: ChatRequest, owner: str) -> None:
        self._service = service
        self._body = body
        self._owner = owner
        self._start = time.monotonic()
        self._deadline = self._start + service.settings.request_timeout_s
        self._place: Place | None = None
        self._job: Job | None = None
        self._is_closed = False
        self._created = int(time.time())
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._num_pages = 0
        self._text: list[str] = []
        self._end = ""
        self._usage: ChatUsage | None = None

    def check(self) -> None:
        """Refuse what can be refused at once.

        Raises:
            ApiError: If the model is unknown or the request is over a limit.
        """
        service = self._service
        service.check_model(self._body.model)
        if not service.worker.is_alive:
            raise ApiError(503, "the engine is not running", retry_after_s=30)
        service.reader.check(self._body, owner=self._owner)

    async def open(self) -> Progress | None:
        """Wait in the queue, read the documents, start the engine.

        Returns:
            The first piece of the answer, or None if it takes its time.

        Raises:
            ApiError: If the request cannot be answered.
        """
        service = self._service
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                self._place = await service.admission.enter()
                read = await service.reader.read(self._body, owner=self._owner)
        except TimeoutError as error:
            raise self._too_late() from error
        except (LeopardError, ApiError) as error:
            raise as_api_error(error) from error
        self._num_pages = len(read.pages)
        self._job = service.worker.submit(read.request)
        first = await self._next(service.settings.keep_alive_s)
        if first is not None and first.error is not None:
            raise as_api_error(first.error) from first.error
        return first

    async def answer(self, first: Progress | None) -> ChatCompletion:
        """The whole answer.

        Raises:
            ApiError: If the engine fails or the time is up.
        """
        progress = first
        while True:
            if progress is not None and progress.error is not None:
                raise as_api_error(progress.error) from progress.error
            if progress is not None and progress.generation is not None:
                return self._completion(progress.generation)
            progress = await self._next(self._service.settings.keep_alive_s)

    async def events(self, first: Progress | None) -> AsyncGenerator[str, None]:
        """The answer as server-sent events; an error is the last of them."""
        yield self._chunk(Delta(role="assistant", content=""))
        progress = first
        try:
            while progress is None or not progress.is_last:
                if progress is None:
                    yield ": still at work\n\n"
                elif progress.text:
                    yield self._chunk(Delta(content=progress.text))
                progress = await self._next(self._service.settings.keep_alive_s)
            if progress.error is not None:
                raise as_api_error(progress.error) from progress.error
        except ApiError as error:
            self._end = "error"
            yield f"data: {json.dumps(error.body)}\n\n"
            return
        assert progress.generation is not None
        for event in self._last_events(progress.text, progress.generation):
            yield event

    def close(self, end: str = "gone") -> None:
        """Give everything back; the engine drops the request if it still has it.

        Args:
            end: How it ended, if it did not end by itself.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._job is not None:
            self._service.worker.cancel(self._job)
        if self._place is not None:
            self._place.leave()
        self._note(self._end or end)

    # --- Pieces ------------------------------------------------------------------------------

    async def _next(self, patience_s: float) -> Progress | None:
        """The next piece, or None after some patience; ApiError when the time is up."""
        assert self._job is not None
        left_s = self._deadline - time.monotonic()
        try:
            async with asyncio.timeout(min(patience_s, left_s)):
                progress = await self._job.news.get()
        except TimeoutError as error:
            if left_s > patience_s:
                return None
            raise self._too_late() from error
        progress = _joined(progress, self._job.news)
        if progress.text:
            if not self._text:
                self._service.metrics.first_text_s.observe(time.monotonic() - self._start)
            self._text.append(progress.text)
        return progress

    def _completion(self, done: Generation) -> ChatCompletion:
        reason = self._finish(done)
        assert self._usage is not None
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._service.model_name,
            choices=[Choice(message=AnswerMessage(content=done.text), finish_reason=reason)],
            usage=self._usage,
        )

    def _last_events(self, text: str, done: Generation) -> Iterator[str]:
        reason = self._finish(done)
        if text:
            yield self._chunk(Delta(content=text))
        yield self._chunk(Delta(), reason)
        options = self._body.stream_options
        if options is not None and options.include_usage:
            yield self._event(self._bare_chunk([], self._usage))
        yield "data: [DONE]\n\n"

    def _finish(self, done: Generation) -> FinishReason:
        usage = done.usage
        self._service.metrics.count_usage(usage)
        self._usage = ChatUsage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details=PromptDetails(
                visual_tokens=usage.visual_tokens, crops=usage.crops
            ),
        )
        self._end = "length" if done.finish_reason == "length" else "stop"
        return "length" if done.finish_reason == "length" else "stop"

    def _chunk(self, delta: Delta, reason: FinishReason | None = None) -> str:
        return self._event(self._bare_chunk([ChunkChoice(delta=delta, finish_reason=reason)]))

    def _bare_chunk(self, choices: list[ChunkChoice], usage: ChatUsage | None = None) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self._created,
            model=self._service.model_name,
            choices=choices,
            usage=usage,
        )

    @staticmethod
    def _event(chunk: ChatChunk) -> str:
        left_out = {"usage"} if chunk.usage is None else set()
        return f"data: {chunk.model_dump_json(exclude=left_out)}\n\n"

    def _too_late(self) -> ApiError:
        self._end = "timeout"
        seconds = self._service.settings.request_timeout_s
        return ApiError(504, f"it took more than the limit of {seconds:g} seconds", code="timeout")

    def _note(self, end: str) -> None:
        """One line in the log; what was asked and answered only if the operator wants it."""
        seconds = time.monotonic() - self._start
        metrics = self._service.metrics
        metrics.chats.labels(end).inc()
        metrics.total_s.observe(seconds)
        log.info(
            "chat %s: %s, %d pages, %s prompt tokens, %s new tokens, %.3f s",
            self._id,
            end,
            self._num_pages,
            self._usage.prompt_tokens if self._usage else "?",
            self._usage.completion_tokens if self._usage else "?",
            seconds,
        )
        if self._service.settings.log_content:
            asked = [_text_of(message) for message in self._body.messages]
            log.info("chat %s: asked %r, answered %r", self._id, asked, "".join(self._text))


def _joined(progress: Progress, news: asyncio.Queue[Progress]) -> Progress:
    """A piece with all that came while its reader was busy."""
    while not progress.is_last and not news.empty():
        more = news.get_nowait()
        progress = replace(more, text=progress.text + more.text)
    return progress


def _text_of(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return " ".join(part.text for part in message.content if isinstance(part, TextContent))
