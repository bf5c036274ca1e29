"""What answers samples: a model behind the `Generator` protocol, or a rule.

Knows nothing of scores or logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from leopard.evaluation.samples import EvalSample
from leopard.schema.generation import Generation, GenerationRequest, Generator, Timings, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A sample that is ready to be asked."""

    sample: EvalSample
    request: GenerationRequest
    images: tuple[dict[str, Any], ...]
    """Label, SHA-256, size and encoding of each image, for the record."""
    key: str
    """SHA-256 of all that decides the answer."""


class Responder(Protocol):
    """Answers prepared samples."""

    @property
    def name(self) -> str:
        """Name of the model or rule."""
        ...

    @property
    def fingerprint(self) -> str:
        """What decides its answers besides the request: weights and processor settings."""
        ...

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """Answers in the order of the batch.

        Raises:
            LeopardError: If one of them cannot be answered; the runner then asks one by one.
        """
        ...


class ModelResponder:
    """A model behind the `Generator` protocol.

    Args:
        generator: The model.
        fingerprint: Hash of its weights and processor settings.
    """

    def __init__(self, generator: Generator, fingerprint: str = "") -> None:
        self._generator = generator
        self.fingerprint = fingerprint

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._generator.name

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """Answers in the order of the batch."""
        return self._generator.generate([prepared.request for prepared in batch])


def rule_generation(text: str) -> Generation:
    """An answer that no model took part in."""
    usage = Usage(prompt_tokens=0, visual_tokens=0, crops=0, completion_tokens=0)
    return Generation(text=text, finish_reason="stop", usage=usage, timings=Timings())
