"""What a run will take before anyone pays for it: weights, memory of a device, FLOPs, hours.

Counts from configurations and settings on the meta device; nothing is loaded. Formulas are for
models of the LLaMA kind with a ViT-like encoder, and name what they leave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from leopard.errors import CheckpointError, ConfigError
from leopard.inference.loading import resolve_model
from leopard.model.dummy import build_dummy, preset_config
from leopard.model.weights import find_kind
from leopard.training.feed import StepPlanner
from leopard.training.parts import language_layers, part_modules
from leopard.training.passes import Pick
from leopard.training.settings import PART_NAMES, TrainSettings

_FLOAT32, _BFLOAT16 = 4, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a run is to run on."""

    devices: int = 1
    """Processes, each with a device of its own."""
    tflops: float = 312.0
    """Peak of one device in its arithmetic, in TFLOP/s; 312 is an A100 in bfloat16."""
    utilisation: float = 0.4
    """Share of the peak that training reaches; 0.3 to 0.5 is usual."""
    bfloat16: bool = True
    """Whether the arithmetic is in bfloat16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What an average sample takes, and the fullest pass."""

    tokens_per_sample: float
    crops_per_sample: float
    learned_per_sample: float
    length: float
    """Length of the sample that an average token is in."""
    measured: int
    """Samples that were measured; 0 where the fullest pass was taken for want of data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run takes."""

    weights: dict[str, int]
    """Number of weights by part."""
    trained: dict[str, int]
    """Of these, weights that learn."""
    memory: dict[str, int]
    """Bytes on one device at the fullest pass, by use."""
    flops_per_step: float
    steps: int
    load: Load
    hours: float
    """Hours at the machine's rate."""
    device_hours: float

    @property
    def total_memory(self) -> int:
        """Bytes on one device, kernels' workspace and fragmentation not counted."""
        return sum(self.memory.values())


def read_start_config(settings: TrainSettings, size: str | None = None) -> Any:
    """Configuration of the model that a run starts from.

    Args:
        settings: The run.
        size: Name of a published size, used instead of what lies at `model.start`.

    Raises:
        CheckpointError: If nothing lies there and no size is given.
        ConfigError: If the size is unknown.
    """
    from transformers import PreTrainedConfig

    if size is not None:
        return preset_config(size)
    origin = resolve_model(settings.model.start)
    try:
        values, _ = PreTrainedConfig.get_config_dict(origin, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{origin}: no model here to count; give its published size, such as --size "
            "leopard-llava"
        ) from error
    kind = find_kind(values.get("model_type"), origin)
    return kind.config_class.from_dict(values)


def measure_load(planner: StepPlanner, samples: int = 256) -> Load:
    """What the first samples of a mix take."""
    picks: list[Pick] = []
    step = 0
    while len(picks) < samples:
        picks += planner.plan(step).picks
        step += 1
    tokens = sum(pick.tokens for pick in picks)
    return Load(
        tokens_per_sample=tokens / len(picks),
        crops_per_sample=sum(pick.crops for pick in picks) / len(picks),
        learned_per_sample=sum(pick.learned for pick in picks) / len(picks),
        length=sum(pick.tokens**2 for pick in picks) / tokens,
        measured=len(picks),
    )


def fullest_load(settings: TrainSettings) -> Load:
    """Samples that each fill a whole pass: the most that settings allow."""
    return Load(
        tokens_per_sample=settings.data.max_length,
        crops_per_sample=settings.batch.crops_per_pass,
        learned_per_sample=0.1 * settings.data.max_length,
        length=settings.data.max_length,
        measured=0,
    )


def estimate(
    settings: TrainSettings, config: Any, machine: Machine, load: Load, steps: int
) -> Estimate:
    """Count a run.

    Args:
        settings: The run.
        config: Configuration of its model, see `read_start_config`.
        machine: What it runs on.
        load: What its samples take.
        steps: Optimizer steps.

    Raises:
        ConfigError: If adapters are asked for that the model has no place for.
    """
    model = build_dummy(config, device="meta")
    weights = {name: _count(modules) for name, modules in part_modules(model).items()}
    trained = {name: weights[name] * settings.parts.of(name).train for name in PART_NAMES}
    if settings.model.lora is not None and trained["language_model"]:
        trained["language_model"] = _adapter_weights(model, settings)
    flops = _flops(settings, model, load)
    seconds = steps * flops / (machine.devices * machine.tflops * 1e12 * machine.utilisation)
    return Estimate(
        weights=weights,
        trained=trained,
        memory=_memory(settings, model, machine, (sum(weights.values()), sum(trained.values()))),
        flops_per_step=flops,
        steps=steps,
        load=load,
        hours=seconds / 3600,
        device_hours=seconds / 3600 * machine.devices,
    )


def _count(modules: list[nn.Module]) -> int:
    """Weights of modules, tied ones once."""
    seen = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(seen.values())


def _adapter_weights(model: Any, settings: TrainSettings) -> int:
    lora = settings.model.lora
    assert lora is not None
    adapted = [
        module
        for name, module in language_layers(model).named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in lora.targets
    ]
    if not adapted:
        raise ConfigError(f"model.lora.targets {list(lora.targets)}: no such layers in this model")
    return sum(lora.rank * (linear.in_features + linear.out_features) for linear in adapted)


def _flops(settings: TrainSettings, model: Any, load: Load) -> float:
    """FLOPs of one step: two for each weight of a map and token, and causal attention.

    Backward, a map costs as much again for its inputs' gradients if anything before it learns,
    and as much again for its weights' if they learn; attention costs twice as much as forward,
    as it has two inputs. Recomputing costs another forward.
    """
    learns = {name: settings.parts.of(name).train for name in PART_NAMES}
    samples = settings.batch.samples
    tokens = samples * load.tokens_per_sample
    crops = samples * load.crops_per_sample
    text = model.config.get_text_config()
    layers = language_layers(model)
    again = int(settings.model.gradient_checkpointing)
    updates = int(learns["language_model"] and settings.model.lora is None)
    # Scores and weighted values, each 2 FLOPs a value, over half of all positions.
    attention = 4 * load.length / 2 * text.num_attention_heads * _head_dim(text) * len(layers)
    language = 2 * _maps(layers) * (2 + updates + again) + attention * (3 + again)
    head = 2 * samples * load.learned_per_sample * model.lm_head.weight.numel() * (2 + updates)
    vision = crops * _vision_flops(model)
    connector = part_modules(model)["connector"][0]
    per_crop = _tokens_per_crop(model.config)
    projected = crops * per_crop * 2 * _maps(connector)
    return float(
        tokens * language
        + head
        + projected * (1 + learns["connector"] + learns["vision_encoder"])
        + vision * (3 if learns["vision_encoder"] else 1)
    )


def _maps(module: nn.Module) -> int:
    """Weights of linear maps."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


def _head_dim(text: Any) -> int:
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def _tokens_per_crop(config: Any) -> int:
    """Visual tokens of one crop, or of one whole image in models without tiles."""
    if hasattr(config, "crop_geometry"):
        return int(config.crop_geometry.visual_tokens_per_crop)
    return int(config.perceiver_config.resampler_n_latents)


def _vision_flops(model: Any) -> float:
    """FLOPs of encoding one crop; whole images are counted at their largest size.

    ViT encoders by formula, others by running them on the meta device.
    """
    vision = model.config.vision_config
    encoder = part_modules(model)["vision_encoder"][0]
    if hasattr(vision, "intermediate_size"):
        patches = (vision.image_size // vision.patch_size) ** 2
        attention = 4 * patches**2 * vision.hidden_size * vision.num_hidden_layers
        stem = 2 * patches * 3 * vision.patch_size**2 * vision.hidden_size
        return float(2 * patches * _maps(encoder) + attention + stem)
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    side = vision.image_size
    with torch.no_grad(), counter:
        encoder(pixel_values=torch.zeros(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops())


def _memory(
    settings: TrainSettings, model: Any, machine: Machine, counts: tuple[int, int]
) -> dict[str, int]:
    """Bytes on one device: weights, gradients and AdamW's two moments in float32, sharded."""
    total, trained = counts
    width = _BFLOAT16 if machine.bfloat16 else _FLOAT32
    shards = machine.devices
    layers = language_layers(model)
    one = sum(p.numel() for p in layers[0].parameters())
    rest = total - one * len(layers)
    gathered = 0 if shards == 1 else width * (rest + 2 * one)
    states = 1 if settings.optimizer.name == "muon" else 2
    return {
        "weights": _FLOAT32 * total // shards,
        "gathered weights": gathered,
        "gradients": _FLOAT32 * trained // shards,
        "optimizer": states * _FLOAT32 * trained // shards,
        "activations": _activations(settings, model, width),
        "logits": _logits(settings, model, width),
    }


def _activations(settings: TrainSettings, model: Any, width: int) -> int:
    """Bytes kept for the backward pass at the fullest pass."""
    tokens = settings.batch.tokens_per_pass
    layers = language_layers(model)
    kept = tokens * _layer_values(model.config.get_text_config()) * width
    if settings.model.gradient_checkpointing:
        hidden = tokens * model.config.get_text_config().hidden_size * width
        language = hidden * len(layers) + kept
    else:
        language = kept * len(layers)
    side = model.config.vision_config.image_size
    crops = settings.batch.crops_per_pass
    pixels = crops * 3 * side * side * _FLOAT32
    vision = 0
    if settings.parts.vision_encoder.train:
        vision = crops * _vision_values(model) * width
    return int(language + pixels + vision)


def _layer_values(text: Any) -> int:
    """Values that a LLaMA layer keeps for each token: inputs of norms and maps, and of products."""
    heads, kv_heads = text.num_attention_heads, text.num_key_value_heads
    attention = _head_dim(text) * (3 * heads + 3 * kv_heads)
    return int(6 * text.hidden_size + attention + 4 * text.intermediate_size)


def _vision_values(model: Any) -> int:
    """Values that a ViT encoder keeps for one crop."""
    vision = model.config.vision_config
    inner = int(getattr(vision, "intermediate_size", 4 * vision.hidden_size))
    patches = (vision.image_size // vision.patch_size) ** 2
    return int(patches * vision.num_hidden_layers * (10 * vision.hidden_size + 2 * inner))


def _logits(settings: TrainSettings, model: Any, width: int) -> int:
    """Logits and their softmax at the positions that are learnt, a tenth of a pass."""
    learned = settings.batch.tokens_per_pass // 10
    vocabulary = model.config.get_text_config().vocab_size
    return int(learned * vocabulary * (width + 2 * _FLOAT32))
