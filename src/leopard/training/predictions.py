"""Answers of the model in training to a few of its samples, kept to be read by people.

Goes through the generator of inference. Knows nothing of steps or optimizers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leopard.errors import LeopardError
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import Message, TextPart
from leopard.training.encoding import Measure, SampleEncoder
from leopard.training.parts import set_modes
from leopard.training.settings import TrainSettings
from leopard.training.sources import Source

PREDICTIONS_FILE = "predictions.jsonl"


class Predictor:
    """Asks the model the first question of the first samples of each source in turn.

    Args:
        model: The model in training, in one process.
        encoder: Measures samples, and has the processor.
        sources: Parts of the mix.
        settings: The run.
    """

    def __init__(
        self, model: Any, encoder: SampleEncoder, sources: Sequence[Source], settings: TrainSettings
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._settings = settings
        self._rows = list(self._choose(sources))

    def write(self, step: int) -> None:
        """Answer and add a line for each sample to `predictions.jsonl`."""
        report = self._settings.report
        sampling = SamplingOptions(max_new_tokens=report.max_new_tokens)
        lines = []
        with self._as_in_inference() as generator:
            for source, row in self._rows:
                record = source.record(row)
                question, answer = _first_turn(record.messages)
                shown = sum(message.num_images for message in question)
                images = tuple(source.images(row)[:shown])
                request = GenerationRequest(messages=question, images=images, sampling=sampling)
                (made,) = generator.generate([request])
                values = {"step": step, "sample": record.id, "question": _text(question[-1]),
                          "answer": answer, "prediction": made.text}  # fmt: skip
                lines.append(json.dumps(values, ensure_ascii=False) + "\n")
        path = Path(self._settings.out) / PREDICTIONS_FILE
        with path.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def _choose(self, sources: Sequence[Source]) -> Iterator[tuple[Source, int]]:
        wanted = self._settings.report.num_predictions
        longest = max(sum(map(len, source.groups)) for source in sources)
        for row in range(longest):
            for source in sources:
                if wanted and row < sum(map(len, source.groups)) and self._fits(source, row):
                    wanted -= 1
                    yield source, row

    def _fits(self, source: Source, row: int) -> bool:
        try:
            return isinstance(self._encoder.measure(source.record(row)), Measure)
        except LeopardError:  # the planner counts it, or stops the run
            return False

    @contextmanager
    def _as_in_inference(self) -> Iterator[LocalGenerator]:
        config = self._model.config.get_text_config()
        attention = config._attn_implementation
        options = EngineOptions(vision_cache_bytes=0, prefix_cache_bytes=0)
        try:
            config._attn_implementation = "sdpa"
            yield LocalGenerator(self._model, self._encoder.processor, options=options)
        finally:
            config._attn_implementation = attention
            set_modes(self._model, self._settings)


def _first_turn(messages: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    """Messages up to the first answer, and the answer."""
    end = next(i for i, message in enumerate(messages) if message.role == "assistant")
    return tuple(messages[:end]), _text(messages[end])


def _text(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))
