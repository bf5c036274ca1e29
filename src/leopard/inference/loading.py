"""Finds models, picks device and number type, and puts model and processor together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor
from transformers.utils import logging as transformers_logging

import leopard.model
from leopard.errors import CheckpointError, ConfigError
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.kernels import use_fast_kernels
from leopard.inference.memory import Demand, estimate_memory
from leopard.inference.onnx.loading import take_language_model
from leopard.inference.quantized import FORMS, quantize
from leopard.model import LeopardConfig
from leopard.model.conversion import (
    ConversionReport,
    Format,
    convert_checkpoint,
    read_special_tokens,
)
from leopard.model.weights import (
    checkpoint_config,
    find_kind,
    load_model,
    read_config,
    read_layout,
)
from leopard.processor import LeopardProcessor
from leopard.processor.crops import CropPlan
from leopard.processor.idefics2 import load_idefics2_processor

ENGINES = ("torch", "onnx")
"""What can compute the language model in this process."""
SHIPPED_MODELS = Path(leopard.model.__file__).parent / "shipped"
DEFAULT_MODEL = "leopard-nano"

_HUB_OPTIONS = ("revision", "cache_dir", "local_files_only", "token")

AutoProcessor.register(LeopardConfig, LeopardProcessor, exist_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSettings:
    """Where and how a model is loaded."""

    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`; None picks the best there is."""
    dtype: str | torch.dtype | None = None
    """Such as `float32` or `bfloat16`; None picks what suits the device."""
    device_map: str | Mapping[str, Any] | None = None
    """Spread over several devices as accelerate does; instead of `device`."""
    attention: str | None = None
    """`sdpa`, `eager` or `flex_attention`; None leaves it to transformers."""
    weights: str | None = None
    """`int8` or `int4` for answers on a CPU with quantised weights; None keeps them as they are."""
    engine: str | None = None
    """What computes the language model: `torch`, or `onnx` on a CPU; None picks torch, and onnx for
    quantised weights."""

    @property
    def uses_onnx(self) -> bool:
        """Whether ONNX Runtime computes the language model."""
        return self.engine == "onnx" or (self.engine is None and self.weights is not None)

    def __post_init__(self) -> None:
        if self.engine is not None and self.engine not in ENGINES:
            raise ConfigError(f"engine {self.engine!r} is unknown; use {' or '.join(ENGINES)}")
        if self.engine == "torch" and self.weights == "int4":
            raise ConfigError(
                "weights int4 are computed by the engine onnx alone, and engine torch is asked "
                "for; use engine onnx, or weights int8"
            )
        if self.uses_onnx and self.device_map is not None:
            raise ConfigError(
                "the engine onnx computes on one CPU, and device_map is given; leave it out, or "
                "use engine torch without weights"
            )
        if self.weights is not None and self.weights not in FORMS:
            raise ConfigError(f"weights {self.weights!r} are unknown; use {' or '.join(FORMS)}")
        if self.device is not None and self.device_map is not None:
            raise ConfigError("device and device_map are both given; give one of them")


def resolve_model(name_or_folder: str | Path | None) -> str:
    """Folder or hub name of a model; None and the names of shipped models give shipped folders.

    Raises:
        CheckpointError: If the shipped model is wanted and not there.
    """
    name = str(name_or_folder or DEFAULT_MODEL)
    if Path(name).is_dir():
        return name
    shipped = SHIPPED_MODELS / name
    if (shipped / "config.json").exists():
        return str(shipped)
    if name_or_folder is None:
        raise CheckpointError(
            f"the shipped model {DEFAULT_MODEL} is not in this installation ({shipped}); install "
            "leopard again, or give a model folder or a hub name such as wyu1/Leopard-LLaVA"
        )
    return name


def pick_device(device: str | None = None) -> torch.device:
    """The device to use: the one asked for, or CUDA, MPS, CPU in this order.

    Raises:
        ConfigError: If the device asked for does not exist here.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); "
            "use cpu, cuda or mps"
        ) from error
    return found


def pick_dtype(
    device: torch.device,
    dtype: str | torch.dtype | None = None,
    *,
    stored: torch.dtype | None = None,
) -> torch.dtype:
    """Number type of the weights: the one asked for, or what suits the device.

    CPU: float32, except for weights stored as bfloat16 on a processor that computes with them
    natively. CUDA: bfloat16 where the hardware has it, otherwise float16. MPS: float16.

    Args:
        device: Where the weights will be.
        dtype: What was asked for.
        stored: Type in the checkpoint, where known.

    Raises:
        ConfigError: If the name is of no floating-point type.
    """
    if dtype is None:
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "mps":
            return torch.float16
        return torch.bfloat16 if stored is torch.bfloat16 and has_fast_bfloat16() else torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(f"dtype {dtype!r} is unknown; use float32, bfloat16 or float16")
    return found


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively; on others it takes many times longer."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def load_generator(
    name_or_folder: str | Path | None = None,
    *,
    settings: LoadSettings | None = None,
    options: EngineOptions | None = None,
    processor_settings: Mapping[str, Any] | None = None,
    **hub: Any,
) -> LocalGenerator:
    """Load a model with its processor.

    Args:
        name_or_folder: Folder, hub name, name of a shipped model, or None for the default one.
        settings: Device and number type.
        options: Batch and cache sizes.
        processor_settings: Settings to use instead of the saved ones: `policy`, `max_crops`,
            `on_too_many_images` and so on.
        **hub: `revision`, `cache_dir`, `local_files_only`, `token`.

    Raises:
        CheckpointError: If the model is not found, incomplete or contradicts itself.
        ConfigError: If a setting cannot be met.
    """
    unknown = set(hub) - set(_HUB_OPTIONS)
    if unknown:
        raise ConfigError(
            f"{', '.join(sorted(unknown))}: unknown; use {', '.join(_HUB_OPTIONS)} besides "
            "settings and options"
        )
    settings = settings or LoadSettings()
    origin = resolve_model(name_or_folder)
    device = pick_device(settings.device)
    # Weights that are quantised afterwards are rounded once, from single precision.
    single = settings.weights is not None or settings.uses_onnx
    stored = torch.float32 if single else _stored_dtype(origin, **hub)
    kwargs: dict[str, Any] = {"dtype": pick_dtype(device, settings.dtype, stored=stored), **hub}
    if settings.device_map is not None:
        kwargs["device_map"] = settings.device_map
    if settings.attention is not None:
        kwargs["attn_implementation"] = settings.attention
    with _without_progress_bars():
        model: Any = load_model(origin, **kwargs)
        processor = load_processor(origin, settings=processor_settings, **hub)
    if settings.device_map is None:
        model.to(device)
    decoder = take_language_model(model, settings.weights) if settings.uses_onnx else None
    if settings.weights is not None:
        quantize(model)
    if settings.device_map is None:
        use_fast_kernels(model)
    return LocalGenerator(
        model, processor, name=Path(origin).name, options=options, decoder=decoder
    )


def _stored_dtype(origin: str, **hub: Any) -> torch.dtype | None:
    """Number type that a checkpoint's configuration names."""
    values = checkpoint_config(origin, **hub)
    found = getattr(torch, str(values.get("dtype") or values.get("torch_dtype")), None)
    return found if isinstance(found, torch.dtype) else None


def load_processor(origin: str, *, settings: Mapping[str, Any] | None = None, **hub: Any) -> Any:
    """The processor that belongs to a checkpoint folder or hub name.

    Args:
        origin: Folder or hub name.
        settings: Settings to use instead of the saved ones.
        **hub: As in `load_generator`.

    Raises:
        CheckpointError: If tokenizer or settings are missing or contradict each other.
        ConfigError: If a setting is unknown, or the model takes none.
    """
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    values = checkpoint_config(origin, **hub)
    if find_kind(values.get("model_type"), origin).name == "leopard_idefics2":
        if given:
            raise ConfigError(
                f"{', '.join(given)}: not for Leopard-Idefics2, which shows whole images and has "
                "no crop budget; leave it out"
            )
        return load_idefics2_processor(origin, **hub)
    return LeopardProcessor.from_pretrained(origin, **given, **hub)


def convert_folder(
    source: Path,
    target: Path,
    *,
    to: Format = "leopard",
    image_token_id: int | None = None,
    **how: Any,
) -> ConversionReport:
    """Convert a checkpoint folder and add the processor's settings to it.

    Args:
        source: Checkpoint folder.
        target: Folder to make.
        to: `leopard` or `published`.
        image_token_id: Decides the placeholder when the files contradict each other.
        **how: `max_shard_bytes` and `progress` of `convert_checkpoint`.

    Raises:
        CheckpointError: As `convert_checkpoint`.
    """
    report = convert_checkpoint(source, target, to=to, image_token_id=image_token_id, **how)
    if to == "leopard" and report.model_type == "leopard":
        tokens = {number: token for token, number in read_special_tokens(target).items()}
        image = {} if image_token_id is None else {"image_token": tokens[image_token_id]}
        LeopardProcessor.from_pretrained(target, **image).save_pretrained(target)
    return report


def predict_memory(
    name_or_folder: str | Path,
    plan: CropPlan,
    *,
    dtype: str | None = None,
    text_positions: int = 256,
) -> dict[str, int] | None:
    """Bytes that one answer will take, from files' headers and sizes; nothing is loaded.

    Args:
        name_or_folder: Folder or name of a model that is here.
        plan: How the pages become crops.
        dtype: Number type of the weights; what suits the device by default.
        text_positions: Tokens of question, tags and answer.

    Returns:
        Bytes by part and `total`; None for models without crops.

    Raises:
        CheckpointError: If the model is not a folder here, or incomplete.
    """
    folder = Path(resolve_model(name_or_folder))
    if not folder.is_dir():
        raise CheckpointError(
            f"{name_or_folder}: memory is predicted from a model folder or a shipped model"
        )
    kind, config = read_config(folder)
    if kind.name != "leopard":
        return None
    used = pick_dtype(pick_device(), dtype, stored=_stored_dtype(str(folder)))
    weights = sum(torch.Size(shape).numel() for shape, _ in read_layout(folder).values())
    return estimate_memory(
        config,
        Demand(
            sizes=tuple(image.size for image in plan.images),
            num_crops=plan.num_crops,
            positions=plan.visual_tokens + text_positions,
        ),
        weight_bytes=weights * used.itemsize,
        value_bytes=used.itemsize,
    ).to_dict()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """A model that can be used without network."""

    name: str
    """Name to load it by."""
    folder: Path
    kind: str
    """`leopard` or `leopard_idefics2`."""
    num_parameters: int
    num_bytes: int
    """Bytes of the weights."""
    crop_size: int
    """Side of a crop, or longest side of an image, in pixels."""
    layout: str
    """Image layout of prompts."""
    policy: str
    """Allocation policy."""


def list_models(
    folders: tuple[Path, ...] = (), *, cache_dir: Path | None = None
) -> list[ModelInfo]:
    """Models that are here: shipped, in the given folders (or their subfolders), in the hub cache.

    Folders that hold no Leopard model are passed over.
    """
    found: dict[Path, str] = {}
    for folder in sorted(SHIPPED_MODELS.glob("*/config.json")):
        found[folder.parent] = folder.parent.name
    for root in folders:
        for config in (root / "config.json", *sorted(root.glob("*/config.json"))):
            if config.exists():
                found.setdefault(config.parent, str(config.parent))
    for config in sorted((cache_dir or _hub_cache()).glob("models--*/snapshots/*/config.json")):
        repo = config.parent.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        if "leopard" in repo.lower():
            found.setdefault(config.parent, repo)
    return [info for folder, name in found.items() if (info := _describe(name, folder))]


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _describe(name: str, folder: Path) -> ModelInfo | None:
    try:
        kind, config = read_config(folder)
        layout = read_layout(folder)
    except CheckpointError:
        return None
    numbers = [(torch.Size(shape).numel(), dtype.itemsize) for shape, dtype in layout.values()]
    image_layout, policy = "whole images", "none"
    if kind.name == "leopard":
        image_layout, policy = _input_settings(folder)
    return ModelInfo(
        name=name,
        folder=folder,
        kind=kind.name,
        num_parameters=sum(count for count, _ in numbers),
        num_bytes=sum(count * size for count, size in numbers),
        crop_size=int(config.vision_config.image_size),
        layout=image_layout,
        policy=policy,
    )


def _input_settings(folder: Path) -> tuple[str, str]:
    """Image layout and allocation policy; `unusable` where the folder contradicts itself."""
    try:
        settings = LeopardProcessor.from_pretrained(folder).settings
    except CheckpointError:
        return "unusable", "unusable"
    return settings.layout, settings.policy


class _without_progress_bars:  # noqa: N801 - used as a context manager
    """Silences the bars of transformers while a model loads; the caller shows its own."""

    def __enter__(self) -> None:
        self._shown = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            transformers_logging.enable_progress_bar()
