"""Generators without a model, for tests and for trying commands out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from leopard.schema.generation import Generation, GenerationRequest, Timings, Usage
from leopard.schema.messages import TextPart

Script = Callable[[GenerationRequest], str]


def question_text(request: GenerationRequest) -> str:
    """All text of a request."""
    return "".join(
        part.text
        for message in request.messages
        for part in message.parts
        if isinstance(part, TextPart)
    )


class ScriptedGenerator:
    """Answers by a function of the request.

    Args:
        script: Gives the answer; may raise to fail.
        name: Name of the "model".
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self._script = script
        self.name = name
        self.calls: list[int] = []
        """Sizes of the batches asked so far."""

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Scripted answers, in request order."""
        self.calls.append(len(requests))
        return [self._one(request) for request in requests]

    def stream(self, request: GenerationRequest) -> Iterator[str]:
        """The scripted answer, word by word."""
        for word in self._script(request).split(" "):
            yield f"{word} "

    def _one(self, request: GenerationRequest) -> Generation:
        text = self._script(request)
        usage = Usage(
            prompt_tokens=len(question_text(request).split()),
            visual_tokens=0,
            crops=len(request.images),
            completion_tokens=len(text.split()),
        )
        return Generation(text=text, finish_reason="stop", usage=usage, timings=Timings())
