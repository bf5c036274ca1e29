"""What vLLM must know of the images of one prompt: identity, pixels, and places in the prompt.

The share that an image gets depends on its neighbours, so nothing here is asked of an image alone.
Knows processors; knows nothing of vLLM, so that it can be tested without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from leopard.errors import ConfigError, PlaceholderMismatchError, PromptError
from leopard.processor import LeopardProcessor
from leopard.processor.crops import to_rgb
from leopard.processor.idefics2 import LONGEST_EDGE, LeopardIdefics2Processor, fit_size
from leopard.processor.prompt import RenderedPrompt
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message, count_images

if TYPE_CHECKING:
    from PIL.Image import Image

    from leopard.processor.crops import CropPlan

MOST_WHOLE_IMAGES = 50
"""Most images of a prompt of Leopard-Idefics2, which has no budget of its own (paper 4.2)."""
_LARGE = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageShare:
    """What one image is in its prompt."""

    key: str
    """Tells apart what the same pixels become beside different neighbours."""
    num_visual_tokens: int
    """Positions that it takes in the prompt."""
    num_crops: int
    """Inputs of the vision encoder that it becomes."""
    plan: Any
    """What `PromptImages.pixels` needs to cut it."""


class PromptImages(Protocol):
    """The images of one prompt, for one kind of model."""

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder."""
        ...

    @property
    def image_token(self) -> str:
        """Text of the placeholder."""
        ...

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        ...

    @property
    def max_images(self) -> int:
        """Most images in a prompt."""
        ...

    def shares(self, sizes: Sequence[ImageSize], **changes: Any) -> list[ImageShare]:
        """What images of these sizes become in one prompt.

        Raises:
            LeopardError: If they do not fit one prompt, or a change is unknown.
        """
        ...

    def pixels(
        self, images: Sequence[Image], shares: Sequence[ImageShare]
    ) -> Mapping[str, list[Tensor]]:
        """Inputs of the vision encoder, one tensor per name and image."""
        ...

    def encode(
        self, messages: Sequence[Message], images: Sequence[Image]
    ) -> tuple[list[int], list[Image]]:
        """Token ids of a conversation, expanded, and the images that are shown in it.

        Special tokens in text are plain characters.

        Raises:
            LeopardError: If messages and images do not fit each other or the model.
        """
        ...

    def expand(self, ids: Sequence[int], shares: Sequence[ImageShare]) -> list[int]:
        """Put all placeholders and tags into a prompt that has one placeholder for each image.

        Prompts that are expanded are left as they are.

        Raises:
            PromptError: If placeholders and images do not match.
        """
        ...

    def largest(self) -> ImageSize:
        """Size of an image that takes as many positions as any can."""
        ...


class TiledImages:
    """For `LeopardForConditionalGeneration`, whose images share a budget of crops.

    Args:
        processor: Processor of the checkpoint.
    """

    def __init__(self, processor: LeopardProcessor) -> None:
        self._processor = processor

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder."""
        return self._processor.image_token_id

    @property
    def image_token(self) -> str:
        """Text of the placeholder."""
        return self._processor.image_token

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        return str(self._processor.settings.tokens.turn_end)

    @property
    def max_images(self) -> int:
        """As many as there are crops."""
        return self._processor.settings.max_crops

    def shares(self, sizes: Sequence[ImageSize], **changes: Any) -> list[ImageShare]:
        """Thumbnail and tiles of each image; `max_crops` and `policy` may be changed."""
        _check_names(changes, ("max_crops", "policy"))
        plan = self._processor.plan(sizes, **changes)
        return [
            ImageShare(
                key=f"{image.grid.rows}x{image.grid.cols}" if image.grid else "thumbnail",
                num_visual_tokens=tokens,
                num_crops=image.num_crops,
                plan=replace(plan, images=(image,)),
            )
            for image, tokens in zip(plan.images, plan.visual_tokens_per_image, strict=True)
        ]

    def pixels(
        self, images: Sequence[Image], shares: Sequence[ImageShare]
    ) -> Mapping[str, list[Tensor]]:
        """Of each image `pixel_values`, (num_crops, 3, crop_size, crop_size), and `grids`, (2,)."""
        crops = []
        for image, share in zip(images, shares, strict=True):
            plan: CropPlan = share.plan
            cut = np.concatenate(list(self._processor.iter_pixels([image], plan)))
            crops.append(torch.from_numpy(cut))
        grids = [torch.tensor(share.plan.grids[0]) for share in shares]
        return {"pixel_values": crops, "grids": grids}

    def encode(
        self, messages: Sequence[Message], images: Sequence[Image]
    ) -> tuple[list[int], list[Image]]:
        """As the processor encodes messages; images may be left out as its settings say."""
        prepared = self._processor.prepare(list(messages), list(images))
        return prepared.prompt.input_ids, list(prepared.images)

    def expand(self, ids: Sequence[int], shares: Sequence[ImageShare]) -> list[int]:
        """As the processor encodes a rendered prompt; labels join the text before them."""
        tokens = self._processor.tokens
        if tokens.id(tokens.names.image_start) in ids:
            return _checked(ids, self.image_token_id, shares)
        text = tokens.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        crops = [share.num_crops for share in shares]
        builder = self._processor.prompt_builder
        return builder.encode_rendered(RenderedPrompt(text), crops).input_ids

    def largest(self) -> ImageSize:
        """A square or a strip whose grid uses the budget best."""
        side = self._processor.settings.crop_size
        sizes = [ImageSize(side * width, side * height) for width in _LARGE for height in _LARGE]
        return max(sizes, key=lambda size: self.shares([size])[0].num_visual_tokens)


class WholeImages:
    """For Leopard-Idefics2, whose images are padded to the largest of their prompt.

    A patch at the edge counts as real when any of its pixels is, and only padding completes it, so
    even here an image's visual tokens depend on its neighbours.

    Args:
        processor: Processor of the checkpoint.
    """

    def __init__(self, processor: LeopardIdefics2Processor) -> None:
        self._processor = processor
        convert = processor.tokenizer.convert_tokens_to_ids
        self._image: int = convert(processor.image_token)
        self._boundary: int = convert(str(processor.fake_image_token))
        self._start: list[int] = list(processor.tokenizer("")["input_ids"])

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder."""
        return self._image

    @property
    def image_token(self) -> str:
        """Text of the placeholder."""
        return str(self._processor.image_token)

    @property
    def end_of_turn(self) -> str:
        """Text of the token that ends an answer."""
        return "<end_of_utterance>"

    @property
    def max_images(self) -> int:
        """A number that leaves room for an answer."""
        return MOST_WHOLE_IMAGES

    def shares(self, sizes: Sequence[ImageSize], **changes: Any) -> list[ImageShare]:
        """The canvas that all images are padded to; nothing can be changed."""
        _check_names(changes, ())
        fitted = [fit_size(size) for size in sizes]
        width = max((size.width for size in fitted), default=0)
        height = max((size.height for size in fitted), default=0)
        return [
            ImageShare(
                key=f"{width}x{height}px",
                num_visual_tokens=int(self._processor.image_seq_len),
                num_crops=1,
                plan=ImageSize(width, height),
            )
            for _ in sizes
        ]

    def pixels(
        self, images: Sequence[Image], shares: Sequence[ImageShare]
    ) -> Mapping[str, list[Tensor]]:
        """`pixel_values`, (3, height, width), and `pixel_attention_mask`, (height, width)."""
        values: list[Tensor] = []
        masks: list[Tensor] = []
        for image, share in zip(images, shares, strict=True):
            alone = self._processor.image_processor([[to_rgb(image)]], return_tensors="pt")
            canvas: ImageSize = share.plan
            for name, found in (("pixel_values", values), ("pixel_attention_mask", masks)):
                tensor = alone[name][0, 0]
                right = canvas.width - tensor.shape[-1]
                below = canvas.height - tensor.shape[-2]
                found.append(torch.nn.functional.pad(tensor, (0, right, 0, below)))
        return {"pixel_values": values, "pixel_attention_mask": masks}

    def encode(
        self, messages: Sequence[Message], images: Sequence[Image]
    ) -> tuple[list[int], list[Image]]:
        """As the processor encodes a conversation."""
        if (parts := count_images(messages)) != len(images):
            raise PromptError(
                f"{parts} image parts in the messages but {len(images)} images; give one each"
            )
        text = self._processor.expand(self._processor.render(messages))
        return list(self._processor.tokenizer(text)["input_ids"]), list(images)

    def expand(self, ids: Sequence[int], shares: Sequence[ImageShare]) -> list[int]:
        """Each image between boundary tokens; neighbours share one.

        The chat format of these checkpoints leaves the token that begins a prompt to the tokenizer,
        and servers of chats tell the tokenizer to add none: it is put back here.
        """
        ids = list(ids)
        if ids[: len(self._start)] != self._start:
            ids = self._start + ids
        if ids.count(self._image) != len(shares) or self._boundary in ids:
            return _checked(ids, self._image, shares)
        out: list[int] = []
        following = iter(shares)
        for token in ids:
            if token != self._image:
                out.append(token)
                continue
            if not out or out[-1] != self._boundary:
                out.append(self._boundary)
            out += [self._image] * next(following).num_visual_tokens
            out.append(self._boundary)
        return out

    def largest(self) -> ImageSize:
        """All sizes take the same positions; the largest takes the most memory."""
        return ImageSize(LONGEST_EDGE, LONGEST_EDGE)


def prompt_images(processor: Any) -> PromptImages:
    """The images of prompts for a processor of either kind."""
    if isinstance(processor, LeopardProcessor):
        return TiledImages(processor)
    return WholeImages(processor)


def visual_spans(
    ids: Sequence[int], image_token_id: int, shares: Sequence[ImageShare]
) -> list[tuple[int, list[bool]]]:
    """Where the visual tokens of each image are in an expanded prompt.

    Returns:
        For each image its first position, and which positions from there to its last visual token
        hold one; the others hold tags.

    Raises:
        PlaceholderMismatchError: If placeholders and visual tokens differ in number.
    """
    _checked(ids, image_token_id, shares)
    places = [position for position, token in enumerate(ids) if token == image_token_id]
    spans, start = [], 0
    for share in shares:
        own = places[start : start + share.num_visual_tokens]
        start += share.num_visual_tokens
        inside = ids[own[0] : own[-1] + 1]
        spans.append((own[0], [token == image_token_id for token in inside]))
    return spans


def _checked(ids: Sequence[int], image_token_id: int, shares: Sequence[ImageShare]) -> list[int]:
    wanted = sum(share.num_visual_tokens for share in shares)
    if (found := ids.count(image_token_id)) != wanted:
        raise PlaceholderMismatchError(
            f"{found} placeholders (token {image_token_id}) in the prompt but {len(shares)} images "
            f"of {wanted} visual tokens; give one placeholder for each image, or all"
        )
    return list(ids)


def _check_names(changes: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = sorted(set(changes) - set(known))
    if unknown:
        allowed = f"use {' or '.join(known)}" if known else "this model has none"
        raise ConfigError(f"mm_processor_kwargs {', '.join(unknown)}: unknown; {allowed}")
