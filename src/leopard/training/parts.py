"""The model to train: where its parts are, which learn, and with which optimizer.

Knows model classes and optimizers; knows nothing of data or processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leopard.errors import CheckpointError, ConfigError
from leopard.inference.loading import resolve_model
from leopard.model.weights import checkpoint_config, find_kind, load_model
from leopard.training.optim import Muon
from leopard.training.settings import PART_NAMES, OptimizerSettings, TrainSettings

_ADAMW_ONLY = ("embed", "lm_head", "position")
"""Parts of names of matrices that are tables, not maps; Muon leaves them to AdamW."""

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def load_start(settings: TrainSettings, dtype: torch.dtype | str = torch.float32) -> Any:
    """The model a run starts from, on the CPU, adapters added where they are wanted.

    Args:
        settings: The run.
        dtype: Type of the weights; `auto` takes that of the files.

    Raises:
        CheckpointError: If it is not found.
        ConfigError: If adapters are wanted and PEFT is not installed or fits no layer.
    """
    origin = resolve_model(settings.model.start)
    if settings.model.fresh:
        model = _fresh(origin, settings.seed)
    else:
        model = load_model(origin, dtype=dtype)
    if settings.model.lora is not None:
        _add_adapters(model, settings)
    return model


def _fresh(origin: str, seed: int) -> Any:
    values = checkpoint_config(origin)
    kind = find_kind(values.get("model_type"), origin)
    config = kind.config_class.from_pretrained(origin)
    torch.manual_seed(seed)
    return kind.model_class._from_config(config, dtype=torch.float32)


def start_dtype(settings: TrainSettings) -> torch.dtype:
    """Type of the weights that the run starts from, which the finished model gets too."""
    values = checkpoint_config(resolve_model(settings.model.start))
    name = str(values.get("dtype") or values.get("torch_dtype") or "float32")
    found = getattr(torch, name.removeprefix("torch."), torch.float32)
    return found if isinstance(found, torch.dtype) and not settings.model.fresh else torch.float32


def _add_adapters(model: Any, settings: TrainSettings) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            "model.lora needs peft, which is not installed: pip install 'leopard[training]'"
        ) from error
    lora = settings.model.lora
    assert lora is not None
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
    )
    torch.manual_seed(settings.seed)
    try:
        inject_adapter_in_model(config, language_layers(model))
    except ValueError as error:
        raise ConfigError(f"model.lora.targets {list(lora.targets)}: {error}") from error


def merge_adapters(model: nn.Module) -> None:
    """Add adapters into the weights they adapt and take them out, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())


def part_modules(model: Any) -> dict[str, list[nn.Module]]:
    """Modules of each part of a Leopard model of either kind."""
    inner = model.model
    if hasattr(inner, "vision_encoder"):
        vision, language = inner.vision_encoder, inner.language_model
    else:
        vision, language = inner.vision_model, inner.text_model
    return dict(
        zip(PART_NAMES, ([vision], [inner.connector], [language, model.lm_head]), strict=True)
    )


def language_layers(model: Any) -> nn.ModuleList:
    """Layers of the language model."""
    layers = part_modules(model)["language_model"][0].layers
    assert isinstance(layers, nn.ModuleList)
    return layers


def freeze(model: Any, settings: TrainSettings) -> None:
    """Say which weights learn, put the parts into the right mode, and switch checkpointing on."""
    for name, modules in part_modules(model).items():
        trained = settings.parts.of(name).train
        adapted = name == "language_model" and settings.model.lora is not None
        for module in modules:
            # Names of adapter weights are PEFT's.
            for key, parameter in module.named_parameters():
                parameter.requires_grad_(trained and (not adapted or "lora_" in key))
    set_modes(model, settings)
    if settings.model.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})


def set_modes(model: Any, settings: TrainSettings) -> None:
    """Training mode, but a frozen encoder and fixed batch norms stay as in inference."""
    model.train()
    if not settings.parts.vision_encoder.train:
        part_modules(model)["vision_encoder"][0].eval()
    if settings.model.batch_norm == "fixed":
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                module.eval()


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights that learn, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def moving_buffers(model: nn.Module, settings: TrainSettings) -> dict[str, Tensor]:
    """Running statistics that move while training, by name."""
    if settings.model.batch_norm == "fixed":
        return {}
    return {
        f"{name}.{key}": buffer
        for name, module in model.named_modules()
        if isinstance(module, _BATCH_NORMS) and module.training
        for key, buffer in module.named_buffers(recurse=False)
    }


@dataclass(slots=True)
class Updater:
    """The optimizers of a run as one, with a learning rate for each part.

    Attributes:
        optimizers: Muon and AdamW, or AdamW alone.
        names: Names of the weights that learn.
    """

    optimizers: list[torch.optim.Optimizer]
    names: dict[Tensor, str]

    @classmethod
    def build(cls, model: Any, settings: TrainSettings) -> Updater:
        """Optimizers for the weights that learn."""
        matrices: list[Any] = []
        others: list[Any] = []
        for group in _groups(model, settings):
            as_matrices = settings.optimizer.name == "muon" and group.pop("is_maps")
            group.pop("is_maps", None)
            (matrices if as_matrices else others).append(group)
        optimizers: list[torch.optim.Optimizer] = []
        rules = settings.optimizer
        if matrices:
            optimizers.append(Muon(matrices, momentum=rules.momentum))
        if others:
            optimizers.append(torch.optim.AdamW(others, betas=rules.betas, eps=rules.eps))
        names: dict[Tensor, str] = {p: name for name, p in trained_parameters(model).items()}
        return cls(optimizers, names)

    def set_factor(self, factor: float) -> None:
        """Set all learning rates to a share of their peaks."""
        for group in self._param_groups():
            group["lr"] = group["peak_lr"] * factor

    def rates(self) -> dict[str, float]:
        """Learning rate of each part now."""
        return {group["part"]: float(group["lr"]) for group in self._param_groups()}

    def step(self) -> None:
        """One update."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero(self) -> None:
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_keys(self) -> dict[str, list[str]]:
        """Names of the state tensors of each weight."""
        return {
            self.names[parameter]: sorted(state)
            for optimizer in self.optimizers
            for parameter, state in optimizer.state.items()
        }

    def create_state(self, keys: dict[str, list[str]]) -> None:
        """Make empty state of the given names, to be filled from a checkpoint.

        Raises:
            CheckpointError: If the names are of other weights.
        """
        if set(keys) - set(self.names.values()):
            raise CheckpointError("the checkpoint's optimizer state is of other weights")
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    state = {
                        key: torch.tensor(0.0) if key == "step" else torch.zeros_like(parameter)
                        for key in keys.get(self.names[parameter], [])
                    }
                    if state:
                        optimizer.state[parameter] = state

    def state_tensors(self) -> dict[str, Tensor]:
        """State by the name of its weight and its own name."""
        return {
            f"{self.names[parameter]}.{key}": value
            for optimizer in self.optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def _param_groups(self) -> Iterator[dict[str, Any]]:
        for optimizer in self.optimizers:
            yield from optimizer.param_groups


def _groups(model: Any, settings: TrainSettings) -> Iterator[dict[str, Any]]:
    """Weights of each part, by whether they decay and whether they are maps."""
    seen: set[int] = set()
    for part, modules in part_modules(model).items():
        found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for module in modules:
            prefix = "lm_head." if module is model.lm_head else ""
            for name, parameter in module.named_parameters():
                if parameter.requires_grad and id(parameter) not in seen:
                    seen.add(id(parameter))
                    is_map = parameter.ndim >= 2 and not any(
                        word in prefix + name for word in _ADAMW_ONLY
                    )
                    found.setdefault((parameter.ndim >= 2, is_map), []).append(parameter)
        for (decays, is_map), parameters in found.items():
            yield _group(part, parameters, settings, (decays, is_map))


def _group(
    part: str, parameters: list[nn.Parameter], settings: TrainSettings, kind: tuple[bool, bool]
) -> dict[str, Any]:
    rules: OptimizerSettings = settings.optimizer
    own = settings.parts.of(part)
    decay = rules.weight_decay if own.weight_decay is None else own.weight_decay
    peak = rules.lr if own.lr is None else own.lr
    return {
        "params": parameters,
        "part": part,
        "lr": peak,
        "peak_lr": peak,
        "weight_decay": decay if kind[0] else 0.0,
        "is_maps": kind[1],
    }
