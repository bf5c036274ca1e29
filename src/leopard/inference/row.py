"""One request on its way to an answer. Knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from leopard.errors import GenerationError
from leopard.inference.encoders import PreparedRequest, Visuals
from leopard.inference.sampling import Sampler
from leopard.inference.text_stream import TextStream
from leopard.schema.generation import Generation, GenerationRequest, Timings, Usage


@dataclass(slots=True)
class Row:
    """One request, what was computed of it, and what was answered so far."""

    request: GenerationRequest
    prepared: PreparedRequest
    visuals: Visuals | None
    sampler: Sampler
    stream: TextStream
    timings: Timings
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = ""
    fresh: str = ""
    """Text that became certain in the last step."""
    error: GenerationError | None = None
    """What ended the answer before its time."""

    @property
    def input_ids(self) -> list[int]:
        """Token ids of the prompt, images expanded."""
        return self.prepared.input_ids

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete."""
        return bool(self.finish_reason) or self.error is not None

    def generation(self) -> Generation:
        """The finished answer.

        Raises:
            GenerationError: If the model could not give one.
        """
        if self.error is not None:
            raise self.error
        visual = 0
        if self.visuals is not None:
            visual = self.visuals.tokens.shape[0] * self.visuals.tokens.shape[1]
        return Generation(
            text=self.stream.text,
            finish_reason=self.finish_reason,
            usage=Usage(
                prompt_tokens=len(self.input_ids),
                visual_tokens=visual,
                crops=self.prepared.num_crops,
                completion_tokens=len(self.tokens),
            ),
            timings=self.timings,
        )


@dataclass(slots=True)
class VisualMemo:
    """Visual tokens of one document, kept for its next question."""

    visuals: Visuals | None = None
    layout: Any = None
    scope: str = ""
