"""What a training run is told: model, data, what is trained how, batches, schedule, checkpoints.

One trainer runs every stage; a stage is a set of these values (`configs/*.toml`). Values only:
knows nothing of torch.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from leopard.config import Settings, build, merge, parse_override
from leopard.errors import ConfigError
from leopard.schema.rows import canonical_json

PART_NAMES = ("vision_encoder", "connector", "language_model")
"""The parts of a model that are trained or frozen on their own."""


class LoraSettings(Settings):
    """Low-rank adapters on the language model (Hu et al. 2021), through PEFT."""

    rank: int = Field(default=16, ge=1)
    """Rank of each update matrix."""
    alpha: float = Field(default=32.0, gt=0)
    """Updates are scaled by `alpha / rank`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip
    """Names of the linear layers of the language model that get adapters."""


class ModelSettings(Settings):
    """Where the weights start."""

    start: str = "leopard-nano"
    """Folder, hub name, or name of a shipped model."""
    fresh: bool = False
    """Take only the sizes from `start` and begin with random weights."""
    device: str | None = None
    """`cpu`, `cuda` or `mps`; None picks the best there is."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic; weights and optimizer stay float32. auto: bfloat16 where CUDA has it."""
    attention: Literal["segments", "sdpa", "eager", "flash_attention_2", "flex_attention"] = (
        "segments"
    )
    """`segments` attends sample by sample through torch's fused kernel; works everywhere."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: a third more time, much less memory."""
    batch_norm: Literal["fixed", "updated"] = "fixed"
    """Whether running statistics of batch norms move; `updated` needs a single process."""
    lora: LoraSettings | None = None
    max_crops: int | None = Field(default=None, ge=1)
    """Crop budget of a sample, instead of the one saved with the model."""
    policy: str | None = None
    """Allocation policy, instead of the saved one."""


class PartSettings(Settings):
    """How one part of the model learns."""

    train: bool = True
    lr: float | None = Field(default=None, ge=0)
    """Peak learning rate of this part; None takes `optimizer.lr`."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Weight decay of this part; None takes `optimizer.weight_decay`."""


class PartsSettings(Settings):
    """How each part of the model learns."""

    vision_encoder: PartSettings = PartSettings(train=False)
    connector: PartSettings = PartSettings()
    language_model: PartSettings = PartSettings()

    def of(self, name: str) -> PartSettings:
        """Settings of a part by its name."""
        part = getattr(self, name)
        assert isinstance(part, PartSettings)
        return part


class OptimizerSettings(Settings):
    """Update rule and schedule of the learning rate."""

    name: Literal["adamw", "muon"] = "adamw"
    """`muon` takes matrices and kernels, AdamW the rest: embeddings, head, norms, biases."""
    lr: float = Field(default=1e-5, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled; norms and biases have none."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Of Muon."""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient of all trained weights; None never clips."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.03, ge=0)
    """Below 1 a share of all steps, from 1 a number of steps."""
    min_lr: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""


class SourceSettings(Settings):
    """One part of the mix."""

    path: Path
    """Shard, folder of shards, or a `.jsonl` list of files with questions (docs/training.md)."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the mix relative to the other sources; None: its number of samples."""
    split: str | None = None
    """Only samples of this split; None takes all."""


class DataSettings(Settings):
    """What is learnt from, and what happens to samples that do not fit."""

    sources: tuple[SourceSettings, ...] = ()
    max_length: int = Field(default=4096, ge=8)
    """Most tokens of a sample, visual tokens included."""
    overlong: Literal["skip", "drop_turns", "error"] = "skip"
    """Samples over `max_length` or over the crop budget: left out (as the published code does),
    shortened by whole question-answer turns from the end, or refused. Each is counted."""
    bad_samples: Literal["skip", "error"] = "error"
    """Samples that cannot be read: left out and counted, or the run stops."""
    shuffle: bool = True
    shuffle_window: int = Field(default=1024, ge=1)
    """Rows that are mixed with one another; row groups are mixed over the whole source."""
    num_workers: int = Field(default=0, ge=0)
    """Processes that draw pages and cut crops; 0 draws between steps."""
    prefetch: int = Field(default=2, ge=1)
    """Passes that each worker keeps ready."""


class BatchSettings(Settings):
    """How much goes into one step, and into one forward pass."""

    samples: int = Field(default=128, ge=1)
    """Samples of one optimizer step, over all processes."""
    layout: Literal["packed", "padded"] = "packed"
    """`packed`: samples end to end without seeing one another; `padded`: alike lengths together."""
    tokens_per_pass: int = Field(default=16384, ge=8)
    """Most tokens of one forward pass, padding included. Bounds memory of the language model."""
    crops_per_pass: int = Field(default=50, ge=1)
    """Most crops of one forward pass. Bounds memory of the vision encoder."""


class CheckpointSettings(Settings):
    """When the state is saved."""

    every_steps: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=2)
    """Newest checkpoints kept; two, so that a damaged one has a predecessor."""


class ReportSettings(Settings):
    """What is written while training."""

    every_steps: int = Field(default=1, ge=1)
    """Steps between two lines of the log."""
    progress: bool = True
    tensorboard: bool = False
    """Needs `pip install tensorboard`."""
    curve: bool = True
    """Keep `loss.svg` up to date."""
    predictions_every: int = Field(default=0, ge=0)
    """Steps between two sets of sample predictions; 0 for none."""
    num_predictions: int = Field(default=4, ge=1)
    max_new_tokens: int = Field(default=48, ge=1)


class TrainSettings(Settings):
    """A whole run."""

    out: Path = Path("runs/train")
    """Folder of the run: checkpoints, logs, and the model at the end."""
    seed: int = 42
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; give this or `epochs`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over as many samples as all sources hold."""
    model: ModelSettings = ModelSettings()
    parts: PartsSettings = PartsSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    data: DataSettings = DataSettings()
    batch: BatchSettings = BatchSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _fits(self) -> TrainSettings:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.data.max_length > self.batch.tokens_per_pass:
            raise ValueError(
                f"data.max_length {self.data.max_length} is over batch.tokens_per_pass "
                f"{self.batch.tokens_per_pass}: a sample must fit one forward pass"
            )
        if not any(self.parts.of(name).train for name in PART_NAMES):
            raise ValueError("parts: nothing is trained; set train=true for a part")
        if self.model.lora is not None and self.parts.vision_encoder.train:
            raise ValueError("model.lora adapts the language model; freeze the vision encoder")
        return self

    @property
    def identity(self) -> str:
        """Hash of what decides the loss curve; equal for runs that may resume one another."""
        text = canonical_json(dict(_deciding(self.model_dump(mode="json"))))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_FREE = (
    "out", "checkpoints", "report", "model.device", "model.attention",
    "model.gradient_checkpointing", "data.num_workers", "data.prefetch",
)  # fmt: skip
"""Settings that a run may change when it goes on."""


def _deciding(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of settings that decide the loss curve."""
    for name, value in values.items():
        dotted = prefix + name
        if dotted in _FREE:
            continue
        if isinstance(value, Mapping):
            yield from _deciding(value, f"{dotted}.")
        else:
            yield dotted, value


def differences(before: TrainSettings, now: TrainSettings) -> list[str]:
    """What keeps a run from going on with other settings: `name was this, is that`."""
    old = dict(_deciding(before.model_dump(mode="json")))
    new = dict(_deciding(now.model_dump(mode="json")))
    return [
        f"{name} was {old.get(name)!r}, is {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def read_settings(
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> TrainSettings:
    """Settings from a TOML or JSON file or a preset's name, with dotted overrides.

    A file may begin with `preset = "name"` and then says only what differs.

    Raises:
        ConfigError: If the file or preset is not there, or a value is wrong.
    """
    from leopard.training.presets import PRESETS

    known = PRESETS if presets is None else presets
    values = dict(known[str(config)]) if str(config) in known else _read(Path(config), known)
    for override in overrides:
        values = merge(values, parse_override(override))
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if any(override.startswith(f"{one}=") for override in overrides):
            values.pop(other, None)
    return build(TrainSettings, values, origin=str(config))


def _read(path: Path, presets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give a TOML file or a preset: "
            f"{', '.join(presets)}"
        ) from error
    except ValueError as error:
        kind = path.suffix.removeprefix(".").upper() or "TOML"
        raise ConfigError(f"{path}: not valid {kind} ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no settings")
    name = values.pop("preset", None)
    if name is None:
        return values
    if name not in presets:
        raise ConfigError(f"{path}: preset {name!r} is unknown; use one of {', '.join(presets)}")
    base = dict(presets[name])
    if "steps" in values or "epochs" in values:
        base.pop("steps", None)
        base.pop("epochs", None)
    return merge(base, values)
