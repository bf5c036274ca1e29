"""Reads what a checkpoint folder, or a name on the hub, says about its inputs.

Knows nothing of images or prompts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.utils import cached_file

from leopard.errors import CheckpointError

SETTINGS_FILE = "processor_config.json"
PROCESSOR_CLASS = "LeopardProcessor"


def read_json(name: str, file: str, hub: dict[str, Any]) -> dict[str, Any]:
    """A JSON file of a checkpoint, or nothing when there is none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = cached_file(
        name,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=True,
        **hub,
    )
    if path is None:
        return {}
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}); get it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds no JSON object; get it again")
    return values


def stored_settings(name: str, hub: dict[str, Any]) -> dict[str, Any]:
    """Settings that a processor saved, or nothing.

    Raises:
        CheckpointError: If the file is of another processor.
    """
    values = read_json(name, SETTINGS_FILE, hub)
    kind = values.pop("processor_class", PROCESSOR_CLASS)
    if kind != PROCESSOR_CLASS:
        raise CheckpointError(
            f"{name}/{SETTINGS_FILE} is of a {kind}, not a LeopardProcessor; load it with the "
            "class it names"
        )
    return values


def load_tokenizer(name: str, hub: dict[str, Any]) -> Any:
    """The tokenizer of a checkpoint.

    Raises:
        CheckpointError: If there is none.
    """
    try:
        return AutoTokenizer.from_pretrained(name, **hub)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name} has no tokenizer that can be loaded ({error}); a Leopard folder needs "
            "tokenizer.json and tokenizer_config.json"
        ) from error


def image_id_of(config: Mapping[str, Any], name: str) -> int | None:
    """Image token id of a model configuration, under its old or new name.

    Raises:
        CheckpointError: If the two names hold different ids.
    """
    found = {key: config[key] for key in ("image_token_id", "image_token_index") if key in config}
    if len(set(found.values())) > 1:
        raise CheckpointError(
            f"{name}/config.json says image_token_id {found['image_token_id']} and "
            f"image_token_index {found['image_token_index']}; keep the one that the tokenizer uses"
        )
    return next(iter(found.values()), None)


def settings_from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a model configuration settles about its inputs."""
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    values = {
        "crop_size": vision.get("image_size"),
        "patch_size": vision.get("patch_size"),
        "shuffle_factor": config.get("shuffle_factor"),
        "context_length": text.get("max_position_embeddings"),
        "embedding_rows": text.get("vocab_size"),
    }
    return {key: value for key, value in values.items() if value is not None}
