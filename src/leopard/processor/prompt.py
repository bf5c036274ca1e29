"""The chat format and the image layouts: messages to token ids with placeholders expanded.

This is the only module that knows either. Inference and training go through it alike. Knows
nothing of pixels or torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Literal

from leopard.errors import ConfigError, PromptError
from leopard.processor.tokens import SpecialTokens
from leopard.schema.messages import ImagePart, Message, Part, Role, TextPart, count_images

IMAGE_TAG = "<image>"
"""Marks the place of an image in plain user text."""

_TABLE_RESIDUE = "\r\n\t\t\r\n\t\t"
"""Read as one blank, as the published script does with text taken from web tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLayout:
    """The order of crops and tags inside an image, and of images inside a message."""

    name: str
    thumbnail_last: bool
    """Whether the thumbnail follows the tiles instead of leading them."""
    tags_tiles: bool
    """Whether a numbered tag follows each tile."""
    images_first: bool
    """Whether images move to the front of their message."""
    splits_header: bool
    """Whether the header of a turn is tokenised apart from its text."""


LAYOUTS: dict[str, ImageLayout] = {
    layout.name: layout
    for layout in (
        ImageLayout(
            name="published-inference",
            thumbnail_last=False,
            tags_tiles=False,
            images_first=False,
            splits_header=False,
        ),
        ImageLayout(
            name="released-training",
            thumbnail_last=True,
            tags_tiles=True,
            images_first=True,
            splits_header=True,
        ),
    )
}
"""Layouts by name; the released inference and training code differ in theirs."""

DEFAULT_LAYOUT = "published-inference"


def find_layout(name: str) -> ImageLayout:
    """Look a layout up.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in LAYOUTS:
        raise ConfigError(f"image layout {name!r} is unknown; use one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


# --- Questions -------------------------------------------------------------------------------

_CHOICE = "multiple-choice"
_INSTRUCTIONS: dict[str, tuple[str, str]] = {
    # preset: (multiple choice, any other question), the published wording
    "direct": (
        "Answer with the option's letter from the given choices directly.",
        "Answer the question using a single word or phrase.",
    ),
    "cot": (
        "First think step by step. Then answer with the letter of the correct option.",
        "First think step by step. Then answer with a single word or phrase.",
    ),
    "none": ("", ""),
}
INSTRUCTION_PRESETS = tuple(_INSTRUCTIONS)


def instruction_for(preset: str, question_type: str = "open-ended") -> str:
    """The published instruction that follows a question.

    Args:
        preset: `direct` for a bare answer, `cot` for reasoning first, `none` for no instruction.
        question_type: `multiple-choice`, or anything else for free answers.

    Raises:
        ConfigError: If the preset is unknown.
    """
    if preset not in _INSTRUCTIONS:
        raise ConfigError(
            f"instruction preset {preset!r} is unknown; use one of {', '.join(_INSTRUCTIONS)}"
        )
    choice, other = _INSTRUCTIONS[preset]
    return choice if question_type == _CHOICE else other


def question_message(
    question: str, num_images: int, *, preset: str = "direct", question_type: str = "open-ended"
) -> Message:
    """A user turn as the published evaluation words it: question, newline, instruction.

    Args:
        question: Plain text; `<image>` tags mark the places of images.
        num_images: Number of images; see `message_from_text` on tags that do not match it.
        preset: See `instruction_for`. The newline stays even where the instruction is empty.
        question_type: See `instruction_for`.
    """
    instruction = instruction_for(preset, question_type)
    message = message_from_text(question, num_images)
    return replace(message, parts=(*message.parts, TextPart("\n" + instruction)))


def message_from_text(text: str, num_images: int, role: Role = "user") -> Message:
    """Read plain text with `<image>` tags; exactly `num_images` images come out.

    Missing images are put in front, followed by one blank; surplus tags are deleted from the end
    (what the published code means to do; its own loop miscounts).

    Args:
        text: Plain text with any number of tags.
        num_images: Images that the text must hold.
        role: Whose turn it is.
    """
    chunks = text.split(IMAGE_TAG)
    missing = num_images - (len(chunks) - 1)
    parts: list[Part] = [ImagePart()] * max(missing, 0)
    if missing > 0:
        chunks[0] = " " + chunks[0]
    for index, chunk in enumerate(chunks):
        if 0 < index <= num_images:
            parts.append(ImagePart())
        parts.append(TextPart(chunk))
    return Message(role, tuple(part for part in parts if part != TextPart("")))


def keep_images(messages: Iterable[Message], kept: Sequence[int]) -> tuple[Message, ...]:
    """Take the image parts that are not in `kept` (indices over the conversation) out."""
    chosen = set(kept)
    seen = iter(range(1 << 62))
    return tuple(
        replace(
            message,
            parts=tuple(
                part
                for part in message.parts
                if not isinstance(part, ImagePart) or next(seen) in chosen
            ),
        )
        for message in messages
    )


def keep_rendered_images(prompt: str, image_token: str, kept: Sequence[int]) -> str:
    """Take the placeholders that are not in `kept` out of a rendered prompt."""
    first, *chunks = prompt.split(image_token)
    chosen = set(kept)
    places = (image_token if index in chosen else "" for index in range(len(chunks)))
    return first + "".join(place + chunk for place, chunk in zip(places, chunks, strict=True))


# --- Rendered prompts ------------------------------------------------------------------------

WORD_JOINER = "\u2060"
"""Invisible character that keeps user text from being read as a special token in a string."""


class RenderedPrompt(str):
    """A prompt string that this package made: its special tokens are real ones.

    Ordinary strings are text of users, in which special tokens are only characters.
    """

    __slots__ = ()


# --- Pieces of a prompt ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Text:
    """Plain text; neighbours are tokenised together unless a `_Break` parts them."""

    text: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class _Special:
    token: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class _Image:
    index: int


@dataclass(frozen=True, slots=True)
class _Break:
    """Parts two texts that are tokenised apart."""


_Piece = _Text | _Special | _Image | _Break


Ending = Literal["closed", "answer", "continued"]
"""How a prompt ends: with the last turn closed, with an assistant turn opened for the answer, or
with the last turn left open so that the model goes on in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids, every placeholder in its place."""

    input_ids: list[int]
    """Token ids, images expanded."""
    answer_mask: list[bool]
    """True at tokens the model should have written: assistant text and its end of turn."""
    image_spans: list[tuple[int, int]]
    """First and one past last position of each image's visual tokens and tags."""

    @property
    def labels(self) -> list[int]:
        """Token ids where the model is trained, -100 elsewhere; unshifted."""
        return [
            token if is_answer else -100
            for token, is_answer in zip(self.input_ids, self.answer_mask, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class PromptBuilder:
    """Turns conversations into token ids in one chat format and one image layout."""

    tokens: SpecialTokens
    """Special tokens of the checkpoint."""
    layout: ImageLayout
    """Order of crops and tags."""
    visual_tokens_per_crop: int
    """Placeholders for each crop."""

    def encode(
        self,
        messages: Sequence[Message],
        crops_per_image: Sequence[int],
        *,
        ending: Ending = "answer",
    ) -> EncodedPrompt:
        """Encode a conversation.

        Args:
            messages: Turns in order; at most one system turn, the first.
            crops_per_image: Thumbnail and tiles of each image, in prompt order.
            ending: How the prompt ends.

        Raises:
            PromptError: If the image parts and the images differ in number, or roles are wrong.
            CheckpointError: If the tokenizer lacks a token that the layout needs.
        """
        check_messages(messages, len(crops_per_image))
        prompt = EncodedPrompt(input_ids=[], answer_mask=[], image_spans=[])
        for piece in _merged(self._pieces(messages, ending)):
            if isinstance(piece, _Image):
                start = len(prompt.input_ids)
                self._add_image(prompt, piece.index, crops_per_image[piece.index])
                prompt.image_spans.append((start, len(prompt.input_ids)))
            elif isinstance(piece, _Special):
                _add(prompt, [self.tokens.id(piece.token)], piece.is_answer)
            elif isinstance(piece, _Text):
                _add(prompt, self.tokens.encode_text(piece.text), piece.is_answer)
        return prompt

    def text(
        self,
        messages: Sequence[Message],
        crops_per_image: Sequence[int],
        *,
        ending: Ending = "answer",
    ) -> str:
        """The prompt as people read it, with one placeholder for each crop.

        Not for encoding: special tokens that a user typed look like real ones here.
        """
        check_messages(messages, len(crops_per_image))
        texts: list[str] = []
        for piece in self._pieces(messages, ending):
            if isinstance(piece, _Image):
                texts += self._image_tokens(crops_per_image[piece.index], 1)
            elif isinstance(piece, _Special):
                texts.append(piece.token)
            elif isinstance(piece, _Text):
                texts.append(piece.text)
        return "".join(texts)

    def render(self, messages: Sequence[Message], *, ending: Ending = "answer") -> RenderedPrompt:
        """The prompt as a string for serving engines, one placeholder for each image.

        Special tokens that a user typed are broken by an invisible word joiner.

        Raises:
            PromptError: If roles are wrong.
        """
        check_messages(messages, count_images(messages))
        texts: list[str] = []
        for piece in self._pieces(messages, ending):
            if isinstance(piece, _Image):
                # Engines replace the placeholder by the whole image, its label included.
                texts[-1] = self.tokens.image
            elif isinstance(piece, _Special):
                texts.append(piece.token)
            elif isinstance(piece, _Text):
                texts.append(WORD_JOINER.join(self.tokens.split_specials(piece.text)))
        return RenderedPrompt("".join(texts))

    def encode_rendered(self, prompt: str, crops_per_image: Sequence[int]) -> EncodedPrompt:
        """Encode a string in which special tokens are real and placeholders stand for images.

        Args:
            prompt: What `render` or the chat template of the checkpoint made.
            crops_per_image: Thumbnail and tiles of each image, in prompt order.

        Raises:
            PromptError: If placeholders and images differ in number.
        """
        *chunks, rest = prompt.split(self.tokens.image)
        if len(chunks) != len(crops_per_image):
            raise PromptError(
                f"{len(chunks)} placeholders {self.tokens.image} in the rendered prompt but "
                f"{len(crops_per_image)} images; every image needs exactly one"
            )
        encoded = EncodedPrompt(input_ids=[], answer_mask=[], image_spans=[])
        if not prompt.startswith(self.tokens.names.bos):
            _add(encoded, [self.tokens.id(self.tokens.names.bos)], False)
        encode = self.tokens.tokenizer.encode
        for index, chunk in enumerate(chunks):
            _add(encoded, encode(chunk + image_label(index), add_special_tokens=False), False)
            start = len(encoded.input_ids)
            self._add_image(encoded, index, crops_per_image[index])
            encoded.image_spans.append((start, len(encoded.input_ids)))
        _add(encoded, encode(rest, add_special_tokens=False), False)
        return encoded

    def chat_template(self) -> str:
        """The chat format as a Jinja template for serving engines; the same text as `render`."""
        names = self.tokens.names
        values = {
            "bos": names.bos,
            "header_start": names.header_start,
            "header_end": names.header_end,
            "turn_end": names.turn_end,
            "image": self.tokens.image,
            "joiner": WORD_JOINER,
            "images_first": self.layout.images_first,
        }
        lines = [f"{{%- set {name} = {json.dumps(value)} -%}}" for name, value in values.items()]
        body = resources.files("leopard.processor").joinpath("chat_template.jinja")
        return "\n".join([*lines, body.read_text(encoding="utf-8")])

    def _pieces(self, messages: Sequence[Message], ending: Ending) -> Iterator[_Piece]:
        yield _Special(self.tokens.names.bos)
        images = 0
        for index, message in enumerate(messages):
            yield from self._header(message.role)
            yield from self._turn(message, images)
            images += message.num_images
            if ending != "continued" or index < len(messages) - 1:
                yield _Special(self.tokens.names.turn_end, message.role == "assistant")
        if ending == "answer":
            yield from self._header("assistant")

    def _header(self, role: str) -> Iterator[_Piece]:
        yield _Special(self.tokens.names.header_start)
        yield _Text(role)
        yield _Special(self.tokens.names.header_end)
        yield _Text("\n\n")
        if self.layout.splits_header:
            yield _Break()

    def _turn(self, message: Message, first_image: int) -> Iterator[_Piece]:
        is_answer = message.role == "assistant"
        parts = message.parts
        if self.layout.images_first:
            parts = tuple(sorted(parts, key=lambda part: isinstance(part, TextPart)))
        image = first_image
        for part in parts:
            if isinstance(part, ImagePart):
                yield _Text(image_label(image))
                yield _Image(image)
                image += 1
            else:
                text = part.text if is_answer else part.text.replace(_TABLE_RESIDUE, " ")
                yield _Text(text, is_answer)

    def _image_tokens(self, crops: int, per_crop: int) -> Iterator[str]:
        """Tokens of one image after its label, each crop as `per_crop` placeholders."""
        placeholders = [self.tokens.image] * per_crop
        yield self.tokens.names.image_start
        for crop in range(crops):
            yield from placeholders
            if self.layout.tags_tiles and crop < crops - 1:
                yield self.tokens.tile_tag(crop)
        yield self.tokens.names.image_end

    def _add_image(self, prompt: EncodedPrompt, index: int, crops: int) -> None:
        assert crops >= 1, f"image {index} has no crop"
        ids = {token: self.tokens.id(token) for token in self._image_tokens(crops, 1)}
        tokens = self._image_tokens(crops, self.visual_tokens_per_crop)
        _add(prompt, [ids[token] for token in tokens], False)


def image_label(index: int) -> str:
    """The text before an image, counted from 0 here and from 1 in the text."""
    return f"image {index + 1}: "


def check_messages(messages: Sequence[Message], num_images: int) -> None:
    """Check that a conversation can be encoded.

    Raises:
        PromptError: If it is empty, a system turn is not the first, or the number of image parts
            is not that of the images.
    """
    if not messages:
        raise PromptError("the conversation has no message; give at least one user turn")
    if any(message.role == "system" for message in messages[1:]):
        raise PromptError("a system turn is not the first message; put it in front")
    placed = count_images(messages)
    if placed != num_images:
        raise PromptError(
            f"{placed} image parts in the messages but {num_images} images; every image needs "
            "exactly one part, in the same order"
        )


def _add(prompt: EncodedPrompt, ids: list[int], is_answer: bool) -> None:
    prompt.input_ids.extend(ids)
    prompt.answer_mask.extend([is_answer] * len(ids))


def _merged(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """Join neighbouring texts, so that the tokenizer sees them as one; drop breaks."""
    waiting: _Text | None = None
    for piece in pieces:
        if isinstance(piece, _Text) and waiting and waiting.is_answer == piece.is_answer:
            waiting = _Text(waiting.text + piece.text, piece.is_answer)
            continue
        if waiting:
            yield waiting
        waiting = piece if isinstance(piece, _Text) else None
        if waiting is None and not isinstance(piece, _Break):
            yield piece
    if waiting:
        yield waiting
