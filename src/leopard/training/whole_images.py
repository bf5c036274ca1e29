"""Samples of Leopard-Idefics2, which sees whole images: a crop of a plan is an image here.

Images of one pass are padded to the largest of them. Knows the processor of that model only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from leopard.processor.collate import Example
from leopard.schema.messages import Message, count_images
from leopard.training.encoding import TOO_LONG, TOO_MANY_CROPS, Measure, Refusal, SampleEncoder
from leopard.training.sources import Record

if TYPE_CHECKING:
    from PIL.Image import Image

PATCH = 14
"""Side of a patch of the encoder, in pixels."""
_BLANK_SIDE = 2 * PATCH
"""Side of the picture in a pass without images, in pixels."""


@dataclass(frozen=True, slots=True)
class WholeImageEncoder(SampleEncoder):
    """Measures and encodes samples with a `LeopardIdefics2Processor`, packed rows only."""

    max_images: int = 12
    """Most images of a sample (12 in the published runs)."""

    @property
    def visual_tokens_per_crop(self) -> int:
        """Placeholders of one image."""
        return int(self.processor.image_seq_len)

    def _measure(self, record: Record, end: int) -> Measure | Refusal:
        messages = record.messages[:end]
        images = count_images(messages)
        if images > self.max_images:
            detail = f"sample {record.id} has {images} images, more than {self.max_images}"
            return Refusal(reason=TOO_MANY_CROPS, detail=detail)
        ids, mask = self.processor.encode_turns(messages)
        if len(ids) > self.max_length:
            detail = (
                f"sample {record.id} takes {len(ids)} tokens ({images} images), more than "
                f"data.max_length {self.max_length}"
            )
            return Refusal(reason=TOO_LONG, detail=detail)
        return Measure(tokens=len(ids), crops=images, learned=sum(mask[1:]), num_messages=end)

    def encode(self, messages: Sequence[Message], images: Sequence[Image]) -> dict[str, Any]:
        """One example; pixels at the right and bottom that fill no patch are cut off.

        The encoder leaves them out as well, but would not once other images of the pass make the
        tensor wider: an image must look the same whatever stands beside it.
        """
        example = self.processor.encode_for_training(messages, images, self.max_length)
        for name in ("pixel_values", "pixel_attention_mask"):
            if name in example:
                height, width = (side // PATCH * PATCH for side in example[name].shape[-2:])
                example[name] = example[name][..., :height, :width]
        return dict(example)

    def _pad_id(self) -> int:
        return int(self.processor.tokenizer.pad_token_id or 0)

    def _alike(self, examples: list[Example]) -> list[Example]:
        sizes = [e["pixel_values"].shape[-2:] for e in examples if "pixel_values" in e]
        if not sizes:
            return examples
        height, width = (max(size[side] for size in sizes) for side in (0, 1))
        return [
            {**e, "pixel_values": _padded(e["pixel_values"], height, width)}
            if "pixel_values" in e
            else e
            for e in examples
        ]

    def _more_inputs(self, examples: list[Example]) -> dict[str, Tensor]:
        """Pixels and their mask with a batch dimension, as the model takes them."""
        shown = [e for e in self._alike(examples) if "pixel_values" in e]
        if not shown:
            return {}
        pixels = torch.cat([e["pixel_values"] for e in shown])
        height, width = pixels.shape[-2:]
        masks = [_padded(e["pixel_attention_mask"], height, width) for e in shown]
        return {"pixel_values": pixels[None], "pixel_attention_mask": torch.cat(masks)[None]}

    def _blank(self) -> dict[str, Any]:
        count, image_id = self.visual_tokens_per_crop, self.processor.image_token_id
        return {
            "input_ids": torch.full((count,), image_id),
            "labels": torch.full((count,), -100),
            "loss_mask": torch.zeros(count, dtype=torch.bool),
            "num_crops": torch.tensor([1]),
            # Pictures of zeros would be taken for padding.
            "pixel_values": torch.ones(1, 3, _BLANK_SIDE, _BLANK_SIDE),
            "pixel_attention_mask": torch.ones(1, _BLANK_SIDE, _BLANK_SIDE, dtype=torch.int64),
        }


def _padded(pictures: Tensor, height: int, width: int) -> Tensor:
    """Pictures with zeros at the right and the bottom."""
    return pad(pictures, (0, width - pictures.shape[-1], 0, height - pictures.shape[-2]))
