"""Reads what callers hand to a processor: strings or messages, images in many forms.

Everything becomes a list of `Conversation`. Knows nothing of tokens, crops or torch, and never
goes to the network.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from leopard.errors import DocumentFormatError, PromptError
from leopard.processor.prompt import RenderedPrompt, message_from_text
from leopard.schema.messages import Message, TextPart, count_images
from leopard.schema.pixels import DECODER_ERRORS, IMAGE_FORMATS, decoding

_IMAGE_KEYS = ("image", "url", "path", "base64", "image_url")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """One prompt with its images."""

    messages: tuple[Message, ...]
    """Turns; empty where `rendered` is given, or where there are only images."""
    images: tuple[PIL.Image.Image, ...]
    """Images in prompt order."""
    rendered: RenderedPrompt | None = None
    """The prompt as a string whose special tokens are real."""

    @property
    def asked(self) -> str:
        """What the user wrote, turns joined by line breaks; all of a rendered prompt."""
        if self.rendered is not None:
            return str(self.rendered)
        turns = (message for message in self.messages if message.role == "user")
        parts = (part.text for turn in turns for part in turn.parts if isinstance(part, TextPart))
        return "\n".join(parts)


def read_conversations(text: Any, images: Any, *, rendered: bool = False) -> list[Conversation]:
    """Read one prompt or a batch.

    Args:
        text: A string, a list of messages (`Message` or dictionaries), or a list of either; None
            for images alone.
        images: None; one image; a list of images, shared over a batch by the image parts of its
            prompts; or one list of images for each prompt. Images may also be in the messages.
        rendered: Whether strings are rendered prompts; `RenderedPrompt`s always are.

    Raises:
        PromptError: If images cannot be matched to prompts, or something is of no known form.
    """
    prompts = _as_batch(text)
    own_images = [_images_inside(prompt) for prompt in prompts]
    if any(own_images):
        if images is not None and _flat(images):
            raise PromptError(
                "images are both in the messages and in the images argument; use one of the two"
            )
        groups = own_images
    else:
        groups = _share_images(prompts, images)
    return [
        _conversation(prompt, tuple(map(read_image, group)), rendered)
        for prompt, group in zip(prompts, groups, strict=True)
    ]


def read_image(image: Any) -> PIL.Image.Image:
    """Read an image given as a Pillow image, an array, a local file, or a `data:` URL.

    Args:
        image: Arrays are (height, width), or (height, width, channel) of bytes.

    Raises:
        DocumentFormatError: If a file or `data:` URL is no image that Pillow reads.
        PromptError: If it is of another form; addresses of the network are never fetched.
    """
    if isinstance(image, PIL.Image.Image):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
        return PIL.Image.fromarray(image)
    if isinstance(image, Mapping):
        return read_image(image.get("url"))
    if isinstance(image, Path):
        return _open(image, str(image))
    if isinstance(image, str) and image.startswith("data:"):
        return _open(io.BytesIO(_decode(image)), "data: URL")
    if isinstance(image, str) and "://" not in image:
        return _open(Path(image), image)
    raise PromptError(
        f"image {str(image)[:80]!r} is not understood; give a Pillow image, a uint8 array, a local "
        "file or a data: URL (network addresses are not fetched here)"
    )


def _open(file: Path | io.BytesIO, name: str) -> PIL.Image.Image:
    try:
        with decoding(), PIL.Image.open(file, formats=IMAGE_FORMATS) as opened:
            opened.load()
            return opened
    except (*DECODER_ERRORS, PIL.Image.DecompressionBombError) as error:
        raise DocumentFormatError(
            f"cannot be read as an image ({error})",
            source=name,
            remedy="give a PNG, JPEG, WebP, GIF, BMP or TIFF file",
        ) from error


def _decode(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise DocumentFormatError(
            f"is not valid base64 ({error})", source="data: URL", remedy="encode the file again"
        ) from error


def _as_batch(text: Any) -> list[Any]:
    """A list of prompts, each a string, a sequence of messages, or None."""
    if text is None or isinstance(text, str):
        return [text]
    if isinstance(text, Message | Mapping):
        return [[text]]
    if isinstance(text, Sequence) and text:
        return [list(text)] if isinstance(text[0], Message | Mapping) else list(text)
    raise PromptError(f"prompt {text!r} is not understood; give a string or a list of messages")


def _images_inside(prompt: Any) -> list[Any]:
    """Images that message dictionaries carry themselves."""
    found = []
    for message in prompt if isinstance(prompt, Sequence) and not isinstance(prompt, str) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, Sequence) else ():
            if isinstance(part, Mapping) and part.get("type") in ("image", "image_url"):
                found += [part[key] for key in _IMAGE_KEYS if part.get(key) is not None][:1]
    return found


def _share_images(prompts: Sequence[Any], images: Any) -> list[list[Any]]:
    if len(prompts) == 1:
        return [_flat(images)]
    if images is None:
        return [[] for _ in prompts]
    if isinstance(images, Sequence) and len(images) == len(prompts) and _is_nested(images):
        return [_flat(group) for group in images]
    flat = _flat(images)
    places = [_count_places(prompt) for prompt in prompts]
    if sum(places) != len(flat) or _is_nested(images):
        raise PromptError(
            f"{len(flat)} images for {len(prompts)} prompts that hold {sum(places)} image parts; "
            "give one list of images for each prompt"
        )
    source = iter(flat)
    return [[next(source) for _ in range(count)] for count in places]


def _is_nested(images: Any) -> bool:
    return isinstance(images, Sequence) and any(
        group is None or (isinstance(group, Sequence) and not isinstance(group, str))
        for group in images
    )


def _flat(images: Any) -> list[Any]:
    if images is None:
        return []
    if isinstance(images, str) or not isinstance(images, Sequence):
        return [images]
    return [image for group in images for image in _flat(group)]


def _count_places(prompt: Any) -> int:
    if isinstance(prompt, str):
        return prompt.count("<image>")
    return count_images(_messages(prompt))


def _messages(prompt: Sequence[Any]) -> tuple[Message, ...]:
    return tuple(m if isinstance(m, Message) else Message.from_dict(m) for m in prompt)


def _conversation(prompt: Any, images: tuple[PIL.Image.Image, ...], rendered: bool) -> Conversation:
    if isinstance(prompt, RenderedPrompt) or (rendered and isinstance(prompt, str)):
        return Conversation(messages=(), images=images, rendered=RenderedPrompt(prompt))
    if isinstance(prompt, str):
        return Conversation(messages=(message_from_text(prompt, len(images)),), images=images)
    return Conversation(messages=_messages(prompt or ()), images=images)
