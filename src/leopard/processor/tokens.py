"""Special tokens of the chat format: their names, and their ids in a given tokenizer.

Every id comes from the files of a checkpoint, none is written down here: the LLaMA-3 and
LLaMA-3.1 tokenizers give one name different ids. Knows nothing of messages or images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from leopard.config import Settings
from leopard.errors import CheckpointError, PromptError

DEFAULT_IMAGE_TOKEN = "<|reserved_special_token_195|>"
"""Marker of the published inference script (LLaVA variant)."""


class TokenNames(Settings):
    """Texts of the special tokens; the defaults are those of the published models."""

    bos: str = "<|begin_of_text|>"
    """Opens the prompt, once."""
    header_start: str = "<|start_header_id|>"
    """Opens the header of a turn."""
    header_end: str = "<|end_header_id|>"
    """Closes the header of a turn."""
    turn_end: str = "<|eot_id|>"
    """Closes a turn."""
    image: str | None = None
    """Placeholder, one for each visual token; None means: as the checkpoint says."""
    image_start: str = "<|reserved_special_token_20|>"
    """Opens an image."""
    image_end: str = "<|reserved_special_token_21|>"
    """Closes an image."""
    tile_tag: str = "<|reserved_special_token_{number}|>"
    """Follows tile `number - first_tile_tag` in layouts that tag tiles."""
    first_tile_tag: int = 22
    """Number in the tag of the first tile."""


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens resolved in one tokenizer."""

    tokenizer: Any
    """A fast tokenizer of transformers."""
    names: TokenNames
    """Texts of the tokens; `image` is set."""
    embedding_rows: int | None = None
    """Rows of the model's embedding table; None when unknown. Ids beyond it are never made."""

    def id(self, token: str) -> int:
        """Id of a special token.

        Raises:
            CheckpointError: If the tokenizer has no such token, or its id has no embedding.
        """
        found = self._ids.get(token)
        if found is None:
            raise CheckpointError(
                f"the tokenizer has no token {token!r}, which the chat format needs; "
                "use the tokenizer of the checkpoint or name its token in the processor settings"
            )
        if self.embedding_rows is not None and found >= self.embedding_rows:
            raise CheckpointError(
                f"token {token!r} has id {found} but the embedding table has "
                f"{self.embedding_rows} rows; tokenizer and model are not of one checkpoint"
            )
        return found

    def tile_tag(self, tile: int) -> str:
        """Text of the tag that follows a tile, counted from 0."""
        return self.names.tile_tag.format(number=self.names.first_tile_tag + tile)

    @property
    def image(self) -> str:
        """Text of the placeholder."""
        assert self.names.image is not None
        return self.names.image

    @property
    def image_id(self) -> int:
        """Id of the placeholder."""
        return self.id(self.image)

    @cached_property
    def pad_id(self) -> int:
        """Id to pad with: the tokenizer's own, or the end of turn where that has no embedding."""
        own = self.tokenizer.pad_token_id
        has_row = own is not None and own < (self.embedding_rows or own + 1)
        return int(own) if has_row else self.id(self.names.turn_end)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {str(token): index for index, token in self.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _forbidden(self) -> dict[int, str]:
        """Tokens that user text must never turn into."""
        rows = self.embedding_rows
        return {
            index: str(token)
            for index, token in self.tokenizer.added_tokens_decoder.items()
            if token.special or (rows is not None and index >= rows)
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        texts = sorted(self._forbidden.values(), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts))) if texts else None

    def split_specials(self, text: str) -> list[str]:
        """Cut text so that no part holds a special token whole; the parts join to the text."""
        parts = []
        while self._pattern and (match := self._pattern.search(text)):
            middle = match.start() + 1
            parts.append(text[:middle])
            text = text[middle:]
        return [*parts, text]

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text. Special tokens written in it stay the characters they are.

        Raises:
            PromptError: If the tokenizer still makes a special token out of it.
        """
        ids: list[int] = []
        for part in self.split_specials(text):
            if part:
                ids += self.tokenizer.encode(part, add_special_tokens=False)
        if bad := [index for index in set(ids) if index in self._forbidden]:
            raise PromptError(
                f"the tokenizer turns plain text into {self._forbidden[bad[0]]!r}; it normalises "
                "text into special tokens and cannot be used with untrusted text"
            )
        return ids


def resolve_tokens(
    tokenizer: Any,
    names: TokenNames | None = None,
    *,
    config_image_id: int | None = None,
    embedding_rows: int | None = None,
) -> SpecialTokens:
    """Find the special tokens of a checkpoint.

    The placeholder is settled by its name and by the id in the model's configuration; where only
    one is there, the other follows from the tokenizer.

    Args:
        tokenizer: A fast tokenizer of transformers.
        names: Texts of the tokens; those of the published models by default.
        config_image_id: `image_token_id` or `image_token_index` of the model's configuration.
        embedding_rows: Rows of the model's embedding table.

    Raises:
        CheckpointError: If a token is missing or the two say different ids.
    """
    names = names or TokenNames()
    found = SpecialTokens(tokenizer, names, embedding_rows)
    image = names.image or DEFAULT_IMAGE_TOKEN
    own_id = found._ids.get(image)
    if names.image is None and own_id is None and config_image_id is not None:
        image = str(tokenizer.convert_ids_to_tokens(config_image_id))
        own_id = found._ids.get(image)
    if config_image_id is not None and own_id is not None and own_id != config_image_id:
        raise CheckpointError(
            f"the model's configuration says image token id {config_image_id} "
            f"({tokenizer.convert_ids_to_tokens(config_image_id)!r} in the tokenizer) but the "
            f"placeholder {image!r} has id {own_id}; configuration and tokenizer must come from "
            "one checkpoint, or name the right placeholder with image_token"
        )
    tokens = SpecialTokens(tokenizer, names.model_copy(update={"image": image}), embedding_rows)
    needed = (names.bos, names.header_start, names.header_end, names.turn_end)
    for token in (*needed, image, names.image_start, names.image_end):
        tokens.id(token)
    return tokens
