"""From published checkpoint folders to ours, and back.

Weights, configuration, generation settings and tokenizer files; every name and shape is checked
before anything is written, and a folder appears whole or not at all. Knows nothing of prompts.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import GenerationConfig

from leopard.errors import CheckpointError
from leopard.model.weights import (
    UNUSED_TENSORS,
    ModelKind,
    Shape,
    canonical_name,
    check_shapes,
    expected_shapes,
    iter_tensors,
    published_name,
    read_config,
    read_layout,
    write_shards,
)

Format = Literal["leopard", "published"]

IMAGE_MARKER = "<|reserved_special_token_195|>"
"""Token that stands for one encoded image in prompts of the published evaluation."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
)

END_OF_TURN = ("<|eot_id|>", "<|end_of_text|>", "<end_of_utterance>", "</s>")
"""Tokens that end an answer, in the tokenizers of published checkpoints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionReport:
    """What a conversion did."""

    model_type: str
    """Kind of model, as in our folders."""
    num_tensors: int
    """Tensors written."""
    num_parameters: int
    """Weights written."""
    skipped: tuple[str, ...]
    """Tensors of the source that no Leopard model uses, by their names there."""
    image_token_id: int
    """Token id of a placeholder."""
    tokenizer_family: str
    """`llama3`, `llama3.1` or `other`."""


@dataclass(frozen=True, slots=True)
class ImageToken:
    """The placeholder of a checkpoint and where its tokenizer comes from."""

    id: int
    family: str


def convert_checkpoint(
    source: Path,
    target: Path,
    *,
    to: Format = "leopard",
    image_token_id: int | None = None,
    max_shard_bytes: int = 4 * 1024**3,
    progress: Callable[[str, int, int], None] | None = None,
) -> ConversionReport:
    """Convert a checkpoint folder.

    Args:
        source: Folder with `config.json`, weights (safetensors or `pytorch_model*.bin`, in shards
            or not, in any naming scheme) and tokenizer files.
        target: Folder to make; must not exist or be empty.
        to: `leopard` for our folders, `published` for the names of transformers 4.43 to 4.57.
        image_token_id: Decides the placeholder when the files contradict each other.
        max_shard_bytes: Most bytes in one weight file.
        progress: Called with a tensor's name, its number counted from 1, and the number of tensors.

    Returns:
        What was written and what was left out.

    Raises:
        CheckpointError: If the source is incomplete or contradicts itself, or the target exists.
    """
    _check_target(target)
    kind, config = read_config(source)
    token = resolve_image_token(source, kind, config.image_token_id, decided=image_token_id)
    config.image_token_id = token.id
    config.architectures = [kind.model_class.__name__]
    layout, skipped = _checked_layout(source, config)
    rename = _renamer(kind, to)
    shapes = {rename(name): entry for name, entry in layout.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        tensors = _renamed_tensors(source, set(layout), rename, progress)
        write_shards(building, shapes, tensors, max_shard_bytes=max_shard_bytes)
        _write_settings(building, source, kind, config, to)
        _publish(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return ConversionReport(
        model_type=kind.name,
        num_tensors=len(shapes),
        num_parameters=sum(torch.Size(shape).numel() for shape, _ in shapes.values()),
        skipped=tuple(skipped),
        image_token_id=token.id,
        tokenizer_family=token.family,
    )


def resolve_image_token(
    folder: Path, kind: ModelKind, configured: int, *, decided: int | None = None
) -> ImageToken:
    """Find the placeholder's id from configuration and tokenizer, which must agree.

    LLaMA-3 and LLaMA-3.1 number their reserved tokens differently: the published marker is 128200
    in the first and 128203 in the second. Nothing is assumed; both are read.

    Args:
        folder: Checkpoint folder with `tokenizer.json`.
        kind: Kind of model.
        configured: The id in `config.json`.
        decided: The user's decision, which wins.

    Raises:
        CheckpointError: If they disagree, naming both, or the tokenizer has no such id.
    """
    tokens = read_special_tokens(folder)
    family = _tokenizer_family(tokens)
    by_id = {number: token for token, number in tokens.items()}
    if decided is not None:
        if decided not in by_id:
            raise CheckpointError(
                f"{folder}: image token {decided} was asked for, but the tokenizer has no special "
                "token with this id"
            )
        return ImageToken(decided, family)
    marker = "<image>" if kind.name == "leopard_idefics2" else IMAGE_MARKER
    expected = tokens.get(marker, configured)
    if expected != configured:
        raise CheckpointError(
            f"{folder}: config.json says image token {configured} "
            f"({by_id.get(configured, 'not a special token')}), but the tokenizer ({family}) has "
            f"the image marker {marker} at {expected}; decide with --image-token {configured} or "
            f"--image-token {expected}"
        )
    return ImageToken(configured, family)


def read_special_tokens(folder: Path) -> dict[str, int]:
    """Ids of a tokenizer's added tokens, by their text.

    Raises:
        CheckpointError: If there is no readable `tokenizer.json`.
    """
    path = folder / "tokenizer.json"
    try:
        added = json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{folder}: there is no readable tokenizer.json; copy the checkpoint's tokenizer files"
        ) from error
    return {token["content"]: int(token["id"]) for token in added}


def _tokenizer_family(tokens: dict[str, int]) -> str:
    begin = tokens.get("<|begin_of_text|>")
    if begin is None or IMAGE_MARKER not in tokens:
        return "other"
    if "<|eom_id|>" in tokens or "<|python_tag|>" in tokens:
        return "llama3.1"
    return "llama3"


def _checked_layout(
    source: Path, config: Any
) -> tuple[dict[str, tuple[Shape, torch.dtype]], list[str]]:
    """Layout of the tensors to keep, by their names in the files, and the names to leave out."""
    layout = read_layout(source)
    expected = expected_shapes(config)
    found: dict[str, Shape] = {}
    for name, (shape, _) in layout.items():
        ours = canonical_name(name)
        if ours in found:
            raise CheckpointError(f"{source}: two tensors are both {ours}; keep one of them")
        found[ours] = shape
    check_shapes(found, expected, str(source))
    skipped = [name for name in layout if canonical_name(name) not in expected]
    assert all(UNUSED_TENSORS.search(canonical_name(name)) or "lm_head" in name for name in skipped)
    return {name: entry for name, entry in layout.items() if name not in skipped}, skipped


def _renamer(kind: ModelKind, to: Format) -> Callable[[str], str]:
    def rename(name: str) -> str:
        ours = canonical_name(name)
        return ours if to == "leopard" else published_name(ours, model_type=kind.name)

    return rename


def _renamed_tensors(
    source: Path,
    keep: set[str],
    rename: Callable[[str], str],
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[tuple[str, Tensor]]:
    number = 0
    for name, tensor in iter_tensors(source):
        if name in keep:
            number += 1
            if progress is not None:
                progress(rename(name), number, len(keep))
            yield rename(name), tensor


def _write_settings(folder: Path, source: Path, kind: ModelKind, config: Any, to: Format) -> None:
    if to == "leopard":
        config.save_pretrained(folder)
    else:
        values = published_config(kind, config)
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    _generation_settings(source, config).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def _generation_settings(source: Path, config: Any) -> GenerationConfig:
    """Stop tokens of source and tokenizer; greedy, because sampling is only done when asked for."""
    settings: dict[str, Any] = {}
    path = source / "generation_config.json"
    if path.exists():
        settings = json.loads(path.read_text(encoding="utf-8"))
    tokens = read_special_tokens(source)
    stops = [tokens[name] for name in END_OF_TURN if name in tokens]
    for known in (settings.get("eos_token_id"), config.text_config.eos_token_id):
        stops.extend(known if isinstance(known, list) else [] if known is None else [known])
    pad = settings.get("pad_token_id", config.text_config.pad_token_id)
    return GenerationConfig(
        bos_token_id=settings.get("bos_token_id", config.text_config.bos_token_id),
        eos_token_id=sorted(set(stops)),
        pad_token_id=pad,
        suppress_tokens=[config.image_token_id],
        do_sample=False,
    )


def published_config(kind: ModelKind, config: Any) -> dict[str, Any]:
    """Configuration in the form that transformers 4.43 to 4.57 read.

    Raises:
        CheckpointError: If the model has parts that the published classes do not have.
    """
    text = _older_rope(config.text_config.to_dict())
    if kind.name == "leopard_idefics2":
        values = config.to_dict()
        values.update(model_type=kind.published, text_config=text)
        values["architectures"] = ["Idefics2ForConditionalGeneration"]
        return dict(values)
    vision = config.vision_config.to_dict()
    if vision["model_type"] != "siglip_vision_model" or config.shuffle_factor != 2:
        raise CheckpointError(
            f"the published form has a SigLIP encoder and shuffle factor 2; this model has "
            f"{vision['model_type']} and {config.shuffle_factor} and can only be kept as it is"
        )
    vision.pop("vision_use_head", None)
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": kind.published,
        "ignore_index": -100,
        "image_token_index": config.image_token_id,
        "projector_hidden_act": config.projector_hidden_act,
        "multimodal_projector_bias": config.projector_bias,
        "text_config": text,
        "vision_config": vision,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": config.tie_word_embeddings,
    }


def _older_rope(text: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings under the keys that were used before transformers 5."""
    rope = dict(text.pop("rope_parameters", None) or {})
    if "rope_theta" in rope:
        text["rope_theta"] = rope.pop("rope_theta")
    if rope.get("rope_type", "default") != "default":
        text["rope_scaling"] = rope
    return text


def _check_target(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target}: already exists; give a new folder or remove it first")


def _publish(building: Path, target: Path) -> None:
    """Give a finished folder its name in one step."""
    building.chmod(0o755)
    if target.exists():
        target.rmdir()
    building.rename(target)
