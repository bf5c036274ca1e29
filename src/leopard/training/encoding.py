"""Samples to model inputs through the processor of inference, and what they will take before that.

Knows the processor; knows nothing of files, steps or processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from leopard.errors import BudgetError, PromptError
from leopard.processor.collate import Example, pack_examples, pad_examples
from leopard.schema.messages import Message, count_images
from leopard.training.sources import Record

if TYPE_CHECKING:
    from PIL.Image import Image


TOO_LONG = "over max_length"
TOO_MANY_CROPS = "over the crop budget"
NO_ANSWER = "no answer to learn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a sample takes, known from image sizes and text alone."""

    tokens: int
    """Positions, visual tokens included."""
    crops: int
    learned: int
    """Positions whose token is learnt."""
    num_messages: int
    """Messages of the sample that are kept, from the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a sample is not learnt from."""

    reason: str
    detail: str


@dataclass(slots=True)
class PassInputs:
    """What one forward pass takes."""

    inputs: dict[str, Tensor]
    """`input_ids`, `labels`, and positions or a mask; `pixel_values` where there are images."""
    segments: list[int] | None
    """Lengths of the samples of a packed row; None where samples lie side by side."""
    num_samples: int = 0
    num_crops: int = 0
    learned: int = 0
    """Positions whose token is learnt."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Id and message of samples that were planned and could not be read."""


@dataclass(frozen=True, slots=True)
class SampleEncoder:
    """Measures and encodes samples with one processor."""

    processor: Any
    """A `LeopardProcessor`; other kinds have an encoder derived from this one."""
    max_length: int
    """Most tokens of a sample."""
    overlong: Literal["skip", "drop_turns", "error"]
    layout: Literal["packed", "padded"]
    fill_images: bool = False
    """Whether a pass without images gets a blank crop, so that all processes of a sharded model use
    the same weights. It teaches nothing and is not counted against the budgets."""

    def measure(self, record: Record) -> Measure | Refusal:
        """What a sample takes, shortened by turns where that is the policy.

        Returns:
            A refusal if it has no answer or does not fit.
        """
        ends = [i + 1 for i, m in enumerate(record.messages) if m.role == "assistant"]
        if not ends:
            return Refusal(reason=NO_ANSWER, detail=f"sample {record.id} has no assistant turn")
        refusal = None
        tries = reversed(ends) if self.overlong == "drop_turns" else [len(record.messages)]
        for end in tries:
            found = self._measure(record, end)
            if isinstance(found, Measure):
                return found
            refusal = refusal or found
        assert refusal is not None
        return refusal

    def _measure(self, record: Record, end: int) -> Measure | Refusal:
        messages = record.messages[:end]
        try:
            plan = self.processor.plan(record.sizes[: count_images(messages)])
        except BudgetError as error:
            return Refusal(reason=TOO_MANY_CROPS, detail=f"sample {record.id}: {error}")
        prompt = self.processor.prompt_builder.encode(
            messages, plan.crops_per_image, ending="closed"
        )
        tokens = len(prompt.input_ids)
        if tokens > self.max_length:
            return Refusal(
                reason=TOO_LONG,
                detail=f"sample {record.id} takes {tokens} tokens ({plan.visual_tokens} visual), "
                f"more than data.max_length {self.max_length}",
            )
        learned = sum(prompt.answer_mask[1:])
        return Measure(tokens=tokens, crops=plan.num_crops, learned=learned, num_messages=end)

    def encode(self, messages: Sequence[Message], images: Sequence[Image]) -> dict[str, Any]:
        """One example; see `LeopardProcessor.encode_for_training`.

        Raises:
            LeopardError: If it cannot be encoded.
        """
        example: dict[str, Any] = self.processor.encode_for_training(
            messages, images, self.max_length
        )
        return example

    @property
    def visual_tokens_per_crop(self) -> int:
        """Placeholders of one crop."""
        return int(self.processor.settings.geometry.visual_tokens_per_crop)

    def collate(self, examples: Sequence[Example]) -> PassInputs:
        """Examples of one pass as model inputs; without any, a blank one that teaches nothing."""
        pad = self._pad_id()
        crops = sum(int(example["num_crops"].sum()) for example in examples)
        shown = list(examples)
        if not examples or (self.fill_images and not crops):
            shown.append(self._blank())
        segments = None
        if self.layout == "packed":
            inputs = pack_examples(self._alike(shown), pad_token_id=pad, multiple_of=1)
            segments = [len(example["input_ids"]) for example in shown]
        else:
            inputs = pad_examples(self._alike(shown), pad_token_id=pad)
        del inputs["num_crops"]
        learned = int(inputs.pop("loss_mask")[:, 1:].sum())
        inputs.update(self._more_inputs(shown))
        return PassInputs(inputs, segments, len(examples), crops, learned)

    def _pad_id(self) -> int:
        return int(self.processor.pad_token_id)

    def _alike(self, examples: list[Example]) -> list[Example]:
        """Examples whose pictures can be put into one tensor; crops always can."""
        return examples

    def _more_inputs(self, _: list[Example]) -> dict[str, Tensor]:
        """Inputs that this kind of model takes besides."""
        return {}

    def _blank(self) -> dict[str, Tensor]:
        """One blank crop and no answer."""
        settings = self.processor.settings
        count = settings.geometry.visual_tokens_per_crop
        side = settings.crop_size
        return {
            "input_ids": torch.full((count,), self.processor.image_token_id),
            "labels": torch.full((count,), -100),
            "loss_mask": torch.zeros(count, dtype=torch.bool),
            "num_crops": torch.tensor([1]),
            "pixel_values": torch.zeros(1, 3, side, side),
            "grids": torch.zeros(1, 2, dtype=torch.int64),
        }


def check_prompt(record: Record) -> None:
    """Refuse a record whose image parts and images differ in number.

    Raises:
        PromptError: Naming both numbers.
    """
    parts = count_images(record.messages)
    if parts != len(record.sizes):
        raise PromptError(
            f"sample {record.id} has {parts} image parts in its messages but {len(record.sizes)} "
            "images; every image needs exactly one part"
        )
