"""Chat messages made of text and image parts in reading order.

Knows nothing of prompts or tokens: `leopard.processor.prompt` is the only place that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leopard.errors import PromptError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A run of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """The place of one image. Images are numbered over the whole conversation, in this order."""


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def num_images(self) -> int:
        """Number of image parts."""
        return sum(isinstance(part, ImagePart) for part in self.parts)

    @classmethod
    def of(cls, role: Role, *parts: str | Part) -> Message:
        """Build a message; plain strings become text parts."""
        return cls(role, tuple(TextPart(p) if isinstance(p, str) else p for p in parts))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Message:
        """Read the shape used by transformers, TRL and the OpenAI API.

        `content` is a string or a list of parts with a `type` of `text`, `image` or `image_url`;
        the pictures themselves travel apart, in the same order.

        Raises:
            PromptError: On an unknown role or part type.
        """
        role = record.get("role")
        if role not in ROLES:
            raise PromptError(f"message role {role!r} is unknown; use one of {', '.join(ROLES)}")
        content = record.get("content")
        if isinstance(content, str):
            return cls(role, (TextPart(content),))
        if not isinstance(content, Iterable):
            raise PromptError(
                f"message content must be a string or a list of parts, got {content!r}"
            )
        return cls(role, tuple(_part_from_dict(part) for part in content))

    def to_dict(self) -> dict[str, Any]:
        """The same message as a plain `{role, content: [{type, text}]}` record."""
        content: list[dict[str, str]] = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
            for part in self.parts
        ]
        return {"role": self.role, "content": content}


def _part_from_dict(part: Any) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part["text"], str):
        return TextPart(part["text"])
    if kind in ("image", "image_url"):
        return ImagePart()
    raise PromptError(
        f"message part {part!r} is not understood; use {{'type': 'text', 'text': ...}} "
        "or {'type': 'image'}"
    )


def count_images(messages: Iterable[Message]) -> int:
    """Number of image parts in a conversation."""
    return sum(message.num_images for message in messages)
