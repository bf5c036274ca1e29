"""Training examples to batches: padded side by side, or packed end to end.

Takes what `LeopardProcessor.encode_for_training` makes. Knows nothing of text or images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from leopard.errors import ConfigError

IGNORED_LABEL = -100
"""Label of positions that are not learnt (the convention of torch's cross entropy)."""

Example = Mapping[str, Tensor]


def pad_examples(
    examples: Sequence[Example], *, pad_token_id: int, multiple_of: int = 8
) -> dict[str, Tensor]:
    """Put examples side by side, padded on the right.

    Args:
        examples: At least one, as `encode_for_training` makes them.
        pad_token_id: Id at padded positions; it must have an embedding.
        multiple_of: The length is rounded up to a multiple of this.

    Returns:
        `input_ids`, `labels`, `attention_mask`, `loss_mask`: (batch, length); `num_crops`:
        (num_images,); where any example has images `pixel_values`: (num_crops, 3, side, side), and
        `grids`: (num_images, 2), where examples have them.

    Raises:
        ConfigError: If there is no example or `multiple_of` is below 1.
    """
    _check(examples, multiple_of)
    longest = max(len(example["input_ids"]) for example in examples)
    length = -(-longest // multiple_of) * multiple_of
    rows = [_padded(example, length, pad_token_id) for example in examples]
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {**batch, **_images(examples)}


def pack_examples(
    examples: Sequence[Example], *, pad_token_id: int, multiple_of: int = 8
) -> dict[str, Tensor]:
    """Put examples end to end in one row, each with positions of its own.

    The first label of each example is ignored: the token before it is another example's.

    Args:
        examples: At least one, as `encode_for_training` makes them.
        pad_token_id: Id at padded positions.
        multiple_of: The length is rounded up to a multiple of this.

    Returns:
        `input_ids`, `labels`, `position_ids`, `loss_mask`: (1, length), no attention mask: the
        restarting positions part the examples in transformers' attention. Images as
        `pad_examples`.

    Raises:
        ConfigError: If there is no example or `multiple_of` is below 1.
    """
    _check(examples, multiple_of)
    total = sum(len(example["input_ids"]) for example in examples)
    spare = -total % multiple_of
    filler = {
        "input_ids": torch.full((spare,), pad_token_id),
        "labels": torch.full((spare,), IGNORED_LABEL),
        "loss_mask": torch.zeros(spare, dtype=torch.bool),
    }
    rows = [*(_with_own_start(example) for example in examples), filler]
    batch = {name: torch.cat([row[name] for row in rows])[None] for name in filler}
    positions = torch.cat([torch.arange(len(row["input_ids"])) for row in rows])
    return {**batch, "position_ids": positions[None], **_images(examples)}


def group_by_length(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Choose which examples share a packed row (first-fit decreasing).

    Args:
        lengths: Tokens of each example.
        max_length: Most tokens of a row.

    Returns:
        Indices of examples by row; every example once. Indices in a row, and rows by their first
        index, are in order.

    Raises:
        ConfigError: If an example is longer than a row.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if length > max_length:
            raise ConfigError(
                f"example {index} has {length} tokens but a row holds {max_length}; "
                "raise max_length or leave the example out"
            )
        row = next((i for i, left in enumerate(room) if length <= left), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(max_length)
        rows[row].append(index)
        room[row] -= length
    return sorted(sorted(row) for row in rows)


def _check(examples: Sequence[Example], multiple_of: int) -> None:
    if not examples:
        raise ConfigError("a batch needs at least one example, got none")
    if multiple_of < 1:
        raise ConfigError(f"multiple_of is {multiple_of}; it must be 1 or more")


def _padded(example: Example, length: int, pad_token_id: int) -> dict[str, Tensor]:
    spare = length - len(example["input_ids"])
    ones = torch.ones(len(example["input_ids"]), dtype=torch.int64)

    def pad(row: Tensor, value: Any) -> Tensor:
        return torch.nn.functional.pad(row, (0, spare), value=value)

    return {
        "input_ids": pad(example["input_ids"], pad_token_id),
        "labels": pad(example["labels"], IGNORED_LABEL),
        "attention_mask": pad(ones, 0),
        "loss_mask": pad(example["loss_mask"], False),
    }


def _with_own_start(example: Example) -> dict[str, Tensor]:
    labels, mask = example["labels"].clone(), example["loss_mask"].clone()
    labels[:1], mask[:1] = IGNORED_LABEL, False
    return {"input_ids": example["input_ids"], "labels": labels, "loss_mask": mask}


def _images(examples: Sequence[Example]) -> dict[str, Tensor]:
    images = {"num_crops": torch.cat([example["num_crops"] for example in examples])}
    for name in ("pixel_values", "grids"):
        found = [example[name] for example in examples if name in example]
        if found:
            images[name] = torch.cat(found)
    return images
