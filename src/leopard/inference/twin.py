"""An untrained twin of a model: the same shape and processor, random weights. For comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from leopard.inference.loading import load_processor, resolve_model
from leopard.model.weights import read_config

MARK = "twin.json"


def write_untrained_twin(origin: str | Path | None, folder: Path, *, seed: int = 0) -> Path:
    """Write a model of the same shape with the weights that a training would begin with.

    A twin that is there already, of the same configuration and seed, is left as it is.

    Args:
        origin: Folder or name of a model on this computer; None is the shipped one.
        folder: Where the twin is written.
        seed: Of the random weights.

    Returns:
        The folder.

    Raises:
        CheckpointError: If the model is not found or contradicts itself.
    """
    source = Path(resolve_model(origin))
    kind, config = read_config(source)
    mark = json.dumps({"seed": seed, "config": config.to_dict()}, default=str, sort_keys=True)
    if (folder / MARK).exists() and (folder / MARK).read_text(encoding="utf-8") == mark:
        return folder
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = kind.model_class(config)
    model.save_pretrained(folder)
    load_processor(str(source)).save_pretrained(folder)
    # Written last: a folder with this file is whole.
    (folder / MARK).write_text(mark, encoding="utf-8")
    return folder
