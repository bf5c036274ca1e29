"""A tiny but complete copy of a published checkpoint folder: sharded pickles and an index."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.parity.cases import LLAVA_FOLDER


def write_published_folder(folder: Path, *, num_shards: int = 3) -> dict[str, torch.Tensor]:
    """Write the folder; returns the tensors by their published names."""
    folder.mkdir(parents=True)
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ):
        shutil.copyfile(LLAVA_FOLDER / name, folder / name)
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.6, "eos_token_id": [257, 265]})
    )
    tensors = load_file(LLAVA_FOLDER / "model.safetensors")
    stored = dict(tensors) | {"vision_tower.vision_model.head.probe": torch.zeros(1, 1, 32)}
    names = sorted(stored)
    weight_map = {}
    for shard in range(num_shards):
        file = f"pytorch_model-{shard + 1:05}-of-{num_shards:05}.bin"
        part = names[shard::num_shards]
        torch.save({name: stored[name] for name in part}, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return tensors


def edit_json(path: Path, **changes) -> None:
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))
