"""A generator without a model, for tests, demonstrations and trying servers out.

Loads no torch. It is honest about what it is: its answers never come from pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from leopard.errors import LeopardError
from leopard.schema.generation import (
    Generation,
    GenerationRequest,
    Progress,
    Timings,
    Usage,
)
from leopard.schema.messages import ImagePart, TextPart

Answerer = Callable[[GenerationRequest], str]


class FakeGenerator:
    """Answers by rule.

    Args:
        answers: A function of the request, a table from the last question to its answer, or one
            text for everything. Without it the answer repeats the question and counts the images.
        name: Name in logs and answers.
        capacity: Most requests of a running batch.
        step_s: Seconds that a step of a running batch takes.
    """

    def __init__(
        self,
        answers: Answerer | Mapping[str, str] | str | None = None,
        *,
        name: str = "fake",
        capacity: int = 8,
        step_s: float = 0.0,
    ) -> None:
        self._answers = answers
        self._name = name
        self.capacity = capacity
        self.step_s = step_s
        self.requests: list[GenerationRequest] = []

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._name

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer several conversations, in order."""
        return [self._generation(request) for request in requests]

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """Answer one conversation word by word."""
        yield from _words(self._generation(request).text)

    def open_batch(self) -> FakeBatch:
        """A running batch, which writes one word of each answer per step."""
        return FakeBatch(self)

    def _generation(self, request: GenerationRequest) -> Generation:
        self.requests.append(request)
        words = self._answer(request).split(" ")
        limit = request.sampling.max_new_tokens
        return Generation(
            text=" ".join(words[:limit]),
            finish_reason="length" if len(words) > limit else "stop",
            usage=Usage(
                prompt_tokens=sum(_num_words(request)) + len(request.images),
                visual_tokens=len(request.images),
                crops=len(request.images),
                completion_tokens=min(len(words), limit),
            ),
            timings=Timings(),
        )

    def _answer(self, request: GenerationRequest) -> str:
        question = last_question(request)
        if self._answers is None:
            return f"[{self._name}] {question} ({len(request.images)} images)"
        if isinstance(self._answers, str):
            return self._answers
        if isinstance(self._answers, Mapping):
            return self._answers.get(question, "")
        return self._answers(request)


class FakeBatch:
    """See `leopard.schema.generation.RunningBatch`."""

    def __init__(self, generator: FakeGenerator) -> None:
        self._generator = generator
        self._waiting: dict[str, GenerationRequest] = {}
        self._answers: dict[str, tuple[Iterator[str], Generation]] = {}

    @property
    def capacity(self) -> int:
        """Most requests at a time."""
        return self._generator.capacity

    def __len__(self) -> int:
        return len(self._waiting) + len(self._answers)

    def join(self, key: str, request: GenerationRequest) -> None:
        """Add a request."""
        assert key not in self._waiting, f"{key} is in the batch"
        assert key not in self._answers, f"{key} is in the batch"
        assert len(self) < self.capacity, "the batch is full"
        self._waiting[key] = request

    def leave(self, key: str) -> None:
        """Give a request up; unknown names are ignored."""
        self._waiting.pop(key, None)
        self._answers.pop(key, None)

    def step(self) -> list[Progress]:
        """One word of each answer."""
        time.sleep(self._generator.step_s)
        found: list[Progress] = []
        for key, request in self._waiting.items():
            try:
                done = self._generator.generate([request])[0]
            except LeopardError as error:
                found.append(Progress(key=key, error=error))
            else:
                self._answers[key] = (_words(done.text), done)
        self._waiting.clear()
        for key, (words, done) in list(self._answers.items()):
            word = next(words, None)
            if word is None:
                del self._answers[key]
                found.append(Progress(key=key, generation=done))
            else:
                found.append(Progress(key=key, text=word))
        return found


def _words(text: str) -> Iterator[str]:
    """Pieces of a text that join to it."""
    while text:
        word, space, text = text.partition(" ")
        yield word + space


def last_question(request: GenerationRequest) -> str:
    """Text of the last turn of the user, images left out."""
    for message in reversed(request.messages):
        if message.role == "user":
            parts = [part.text for part in message.parts if not isinstance(part, ImagePart)]
            return "".join(parts).strip()
    return ""


def _num_words(request: GenerationRequest) -> list[int]:
    return [
        len(part.text.split())
        for message in request.messages
        for part in message.parts
        if isinstance(part, TextPart)
    ]
