"""Checkpoint folders: finding shards, reading tensors without running code, naming what is wrong.

Knows tensor names and shapes; knows nothing of tokenizers or prompts.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import str_to_torch_dtype

from leopard.errors import CheckpointError
from leopard.model.config import LeopardConfig
from leopard.model.idefics2 import LeopardIdefics2Config, LeopardIdefics2ForConditionalGeneration
from leopard.model.leopard import PUBLISHED_NAMES, LeopardForConditionalGeneration

UNUSED_TENSORS = re.compile(r"^model\.vision_encoder\.head\.|rotary_emb\.inv_freq$|\.position_ids$")
"""Tensors that some checkpoints hold and no Leopard model uses."""

_NAMED_AT_MOST = 5

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""Names that are looked up on the hub; anything else is a folder, and never sent anywhere."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One kind of Leopard model: its classes and the names its files may go by."""

    name: str
    """`model_type` in folders that this project writes."""
    published: str
    """`model_type` in published folders."""
    config_class: type[Any]
    model_class: type[Any]


KINDS: tuple[ModelKind, ...] = (
    ModelKind("leopard", "llava", LeopardConfig, LeopardForConditionalGeneration),
    ModelKind(
        "leopard_idefics2",
        "idefics2",
        LeopardIdefics2Config,
        LeopardIdefics2ForConditionalGeneration,
    ),
)


def find_kind(model_type: Any, origin: str) -> ModelKind:
    """The kind of model that a configuration describes.

    Raises:
        CheckpointError: If it is no Leopard model.
    """
    for kind in KINDS:
        if model_type in (kind.name, kind.published):
            return kind
    known = ", ".join(f"{kind.name} ({kind.published})" for kind in KINDS)
    raise CheckpointError(
        f"{origin}: model_type is {model_type!r}; a Leopard checkpoint has one of {known}"
    )


def read_config(folder: Path) -> tuple[ModelKind, Any]:
    """Kind and configuration of a local checkpoint folder.

    Raises:
        CheckpointError: If there is no readable `config.json`, or it is of another kind.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder}: there is no config.json; give the folder of a whole checkpoint"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); download it again") from error
    kind = find_kind(values.get("model_type"), str(path))
    return kind, kind.config_class.from_pretrained(folder)


def canonical_name(name: str) -> str:
    """A tensor's name in our models, from its name in any published checkpoint or in ours."""
    for pattern, replacement in PUBLISHED_NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def published_name(name: str, *, model_type: str = "leopard") -> str:
    """A tensor's name in published checkpoints (transformers 4.43 to 4.57), from its name in ours.

    Args:
        name: Name in our model.
        model_type: `leopard` or `leopard_idefics2`; the latter has the same names in both.
    """
    if model_type != "leopard":
        return name
    for ours, published in (
        ("model.vision_encoder.", "vision_tower.vision_model."),
        ("model.connector.", "multi_modal_projector."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    ):
        if name.startswith(ours):
            return published + name.removeprefix(ours)
    return name


def find_shards(folder: Path) -> list[Path]:
    """Weight files of a checkpoint folder, in order.

    safetensors is preferred over `pytorch_model*.bin`.

    Raises:
        CheckpointError: If there are none, or the index names a file that is not there.
    """
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        index = folder / f"{stem}{suffix}.index.json"
        if index.exists():
            return _indexed_shards(index)
        single = folder / f"{stem}{suffix}"
        if single.exists():
            return [single]
    raise CheckpointError(
        f"{folder}: no weights; a checkpoint has model.safetensors, pytorch_model.bin or their "
        "shards with an index"
    )


def _indexed_shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index}: not a weight index; download it again") from error
    shards = [index.parent / Path(name).name for name in names]
    missing = [shard.name for shard in shards if not shard.exists()]
    if missing:
        raise CheckpointError(
            f"{index.parent}: {len(missing)} of {len(shards)} weight files are missing "
            f"({_some(missing)}); download the rest"
        )
    return shards


def read_layout(folder: Path) -> dict[str, tuple[Shape, torch.dtype]]:
    """Shape and type of all tensors in a folder, by the names in the files, in reading order.

    Raises:
        CheckpointError: If a file cannot be read, or a tensor of the index is in no file.
    """
    shards = find_shards(folder)
    layout: dict[str, tuple[Shape, torch.dtype]] = {}
    for shard in shards:
        layout.update(_shard_layout(shard))
    shard = shards[0]
    index = folder / f"{shard.name.split('-')[0].split('.')[0]}{shard.suffix}.index.json"
    if index.exists():
        promised = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        absent = sorted(set(promised) - set(layout))
        if absent:
            raise CheckpointError(
                f"{folder}: {index.name} promises {len(absent)} tensors that are in no file "
                f"({_some(absent)}); download the folder again"
            )
    return layout


def iter_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a folder, one at a time, memory-mapped; no code in the files is run.

    Raises:
        CheckpointError: If a file is damaged or holds anything but tensors.
    """
    for shard in find_shards(folder):
        yield from _iter_shard(shard)


def _shard_layout(shard: Path) -> dict[str, tuple[Shape, torch.dtype]]:
    """Shapes and types in one file; of safetensors only the header is read."""
    if shard.suffix != ".safetensors":
        return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in _iter_shard(shard)}
    try:
        with safe_open(shard, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: (tuple(part.get_shape()), str_to_torch_dtype[part.get_dtype()])
                for name, part in slices.items()
            }
    except SafetensorError as error:
        raise CheckpointError(f"{shard}: damaged ({error}); download it again") from error


def _iter_shard(shard: Path) -> Iterator[tuple[str, Tensor]]:
    if shard.suffix == ".safetensors":
        try:
            with safe_open(shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    yield name, file.get_tensor(name)
        except SafetensorError as error:
            raise CheckpointError(f"{shard}: damaged ({error}); download it again") from error
        return
    try:
        tensors = torch.load(shard, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{shard}: damaged, or holds more than tensors, which is refused because it could run "
            f"code ({str(error).splitlines()[0]}); get a safetensors copy"
        ) from error
    yield from tensors.items()


def expected_shapes(config: PreTrainedConfig) -> dict[str, Shape]:
    """Names and shapes of all tensors that a model of this configuration has, without tied ones."""
    kind = find_kind(config.model_type, "configuration")
    with torch.device("meta"):
        model = kind.model_class(config)
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    return {
        name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied
    }


def check_shapes(found: Mapping[str, Shape], expected: Mapping[str, Shape], origin: str) -> None:
    """Refuse a set of tensors that is not exactly what the model needs.

    Args:
        found: Shapes by name, in our names; unused tensors may be among them.
        expected: Shapes by name.
        origin: Where the tensors came from, for the message.

    Raises:
        CheckpointError: Naming missing and unexpected tensors and wrong shapes.
    """
    missing = sorted(set(expected) - set(found))
    # A tied head is sometimes stored although it equals the embedding table.
    unexpected = sorted(
        name
        for name in set(found) - set(expected)
        if not UNUSED_TENSORS.search(name) and name != "lm_head.weight"
    )
    wrong = [
        f"{name} is {_by(found[name])} and should be {_by(expected[name])}"
        for name in sorted(set(found) & set(expected))
        if tuple(found[name]) != tuple(expected[name])
    ]
    problems = [
        f"{len(names)} {what} ({_some(names)})"
        for what, names in (
            ("tensors missing", missing),
            ("unexpected tensors", unexpected),
            ("tensors of the wrong shape", wrong),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{origin}: weights do not fit config.json: {'; '.join(problems)}; both must come from "
            "the same checkpoint"
        )


def write_shards(
    folder: Path,
    shapes: Mapping[str, tuple[Shape, torch.dtype]],
    tensors: Iterator[tuple[str, Tensor]],
    *,
    max_shard_bytes: int = 4 * 1024**3,
) -> None:
    """Write tensors as safetensors, in shards with an index when they do not fit one file.

    Args:
        folder: Existing folder.
        shapes: Shape and type of every tensor that will come, by name, in writing order.
        tensors: The tensors, each once, in the same order.
        max_shard_bytes: Most bytes in one file; a larger tensor gets a file of its own.
    """
    plan = _plan_shards(shapes, max_shard_bytes)
    total = len(plan)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(plan, start=1):
        file = "model.safetensors" if total == 1 else f"model-{number:05}-of-{total:05}.safetensors"
        batch = {}
        for _ in names:
            name, tensor = next(tensors)
            batch[name] = tensor.contiguous()
        assert list(batch) == names, "tensors must come in the order of shapes"
        save_file(batch, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(names, file))
    if total > 1:
        size = sum(_num_bytes(*entry) for entry in shapes.values())
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def _plan_shards(
    shapes: Mapping[str, tuple[Shape, torch.dtype]], max_bytes: int
) -> list[list[str]]:
    plan: list[list[str]] = [[]]
    used = 0
    for name, entry in shapes.items():
        size = _num_bytes(*entry)
        if plan[-1] and used + size > max_bytes:
            plan.append([])
            used = 0
        plan[-1].append(name)
        used += size
    return plan


def _num_bytes(shape: Shape, dtype: torch.dtype) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


def checkpoint_config(name_or_folder: str | Path, **hub: Any) -> dict[str, Any]:
    """What the `config.json` of a checkpoint says, as plain values.

    Args:
        name_or_folder: As in `load_model`.
        **hub: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`.

    Raises:
        CheckpointError: If there is no such folder, and no such name in the cache or on the hub.
    """
    origin = str(name_or_folder)
    if not Path(origin).is_dir() and not _HUB_NAME.fullmatch(origin):
        raise CheckpointError(
            f"{origin}: there is no such folder; give a folder with config.json and weights, or a "
            "hub name such as wyu1/Leopard-LLaVA"
        )
    try:
        values, _ = PreTrainedConfig.get_config_dict(origin, **hub)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{origin}: no checkpoint there ({str(error).splitlines()[0]}); give a folder with "
            "config.json and weights, or a hub name that is in the cache or reachable"
        ) from error
    return dict(values)


def load_model(name_or_folder: str | Path, **kwargs: Any) -> PreTrainedModel:
    """Load a Leopard model of any kind from a folder or by its hub name, complete or not at all.

    Args:
        name_or_folder: Local folder, or a name such as `wyu1/Leopard-LLaVA` that is looked up in
            the local cache and, with network, on the hub.
        **kwargs: Passed to transformers: `dtype`, `device_map`, `attn_implementation`, `revision`,
            `cache_dir`, `local_files_only` and so on.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: If the checkpoint is not found, of another kind, or its tensors are not
            exactly those that its configuration asks for.
    """
    origin = str(name_or_folder)
    hub = {
        key: kwargs[key]
        for key in ("revision", "cache_dir", "local_files_only", "token", "subfolder")
        if key in kwargs
    }
    values = checkpoint_config(origin, **hub)
    kind = find_kind(values.get("model_type"), origin)
    if Path(origin).is_dir():
        find_shards(Path(origin))
    try:
        model, info = kind.model_class.from_pretrained(
            origin, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
        )
    except (OSError, SafetensorError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"{origin}: weights cannot be read ({first})") from error
    _check_loading(info, origin)
    return model.eval()  # type: ignore[no-any-return]


def _check_loading(info: Mapping[str, Any], origin: str) -> None:
    missing = dict.fromkeys(info["missing_keys"], (0,))
    unexpected = dict.fromkeys(info["unexpected_keys"], (0,))
    found: dict[str, Shape] = dict(unexpected)
    expected: dict[str, Shape] = dict(missing)
    for name, is_shape, should_shape in info["mismatched_keys"]:
        found[name], expected[name] = tuple(is_shape), tuple(should_shape)
    check_shapes(found, expected, origin)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _by(shape: Shape) -> str:
    return "x".join(str(side) for side in shape) or "a number"
