"""A generator without a model, for tests, demonstrations and trying servers out.

Loads no torch. It is honest about what it is: its answers never come from pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from leopard.schema.generation import Generation, GenerationRequest, Timings, Usage
from leopard.schema.messages import ImagePart, TextPart

Answerer = Callable[[GenerationRequest], str]


class FakeGenerator:
    """Answers by rule.

    Args:
        answers: A function of the request, a table from the last question to its answer, or one
            text for everything. Without it the answer repeats the question and counts the images.
        name: Name in logs and answers.
    """

    def __init__(
        self, answers: Answerer | Mapping[str, str] | str | None = None, *, name: str = "fake"
    ) -> None:
        self._answers = answers
        self._name = name
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
        rest = self._generation(request).text
        while rest:
            word, space, rest = rest.partition(" ")
            yield word + space

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
