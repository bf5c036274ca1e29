"""One course of lessons: steps, learning rate, log, and a checkpoint to go on from.

Weights and the state of the optimisers are written together as safetensors, in one rename; the
counts beside them as the file's metadata. Knows nothing of what is learned.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from leopard.errors import TrainingError
from leopard.training.optim import Muon

Step = Callable[[], dict[str, float]]
"""Runs one forward and backward pass and returns figures to log; `loss` among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseSettings:
    """How long and how fast to learn."""

    steps: int
    """Optimiser steps of the whole course, over all sittings."""
    learning_rate: float
    """Highest learning rate."""
    warmup_steps: int = 30
    final_share: float = 0.05
    """Learning rate at the end, as a share of the highest (cosine in between)."""
    weight_decay: float = 0.01
    log_every: int = 20
    save_minutes: float = 4.0

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        done = min(1.0, step / max(1, self.steps))
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return self.learning_rate * warm * (self.final_share + (1 - self.final_share) * cosine)


class Course:
    """Runs a course, or goes on with it where the last sitting stopped.

    Args:
        module: Everything that learns or is saved.
        settings: How long and how fast.
        folder: Where `course.safetensors` and `log.jsonl` are kept.
        plain: Parts of parameter names that AdamW trains; other matrices and kernels go to Muon.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: CourseSettings,
        folder: Path,
        *,
        plain: Sequence[str],
    ) -> None:
        self.module, self.settings, self.folder = module, settings, folder
        self.step = 0
        self.seconds = 0.0
        """How long the steps of all sittings took, as far as checkpoints know."""
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        is_plain = {n: p.ndim < 2 or any(part in n for part in plain) for n, p in named}
        decay, rate = settings.weight_decay, settings.learning_rate
        matrices = [p for n, p in named if not is_plain[n]]
        others = [p for n, p in named if is_plain[n]]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
        ]
        if matrices:
            self.optimisers.append(Muon(matrices, lr=rate, weight_decay=decay))
        self.names = {id(p): n for n, p in named}
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._load()

    @property
    def checkpoint(self) -> Path:
        """The file to go on from."""
        return self.folder / "course.safetensors"

    def run(self, step: Step, report: Callable[[dict[str, float]], None]) -> None:
        """Learn until the last step.

        Args:
            step: One pass over a batch.
            report: Told the mean figures every `log_every` steps, and at the end how many hours all
                sittings took.

        Raises:
            TrainingError: If the loss is not a number any more; the last checkpoint stays.
        """
        sums: dict[str, float] = {}
        counted, saved_at, logged_at = 0, time.monotonic(), time.monotonic()
        while self.step < self.settings.steps:
            began = time.monotonic()
            figures = self._learn(step)
            self.seconds += time.monotonic() - began
            counted += 1
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + value
            if self.step % self.settings.log_every == 0:
                line = {name: round(value / counted, 4) for name, value in sums.items()}
                seconds = (time.monotonic() - logged_at) / counted
                left = (self.settings.steps - self.step) * seconds / 3600
                line |= {"step": self.step, "seconds_per_step": round(seconds, 2)}
                line |= {"hours_left": round(left, 2)}
                self._log(line)
                report(line)
                sums, counted, logged_at = {}, 0, time.monotonic()
            if time.monotonic() - saved_at > 60 * self.settings.save_minutes:
                self.save()
                saved_at = time.monotonic()
        self.save()
        report({"step": self.step, "hours": round(self.seconds / 3600, 2)})

    def _learn(self, step: Step) -> dict[str, float]:
        rate = self.settings.rate(self.step)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rate
        figures = step()
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"the loss is {figures['loss']} at step {self.step}: nothing was learned from this "
                f"batch; lower learning_rate and go on from {self.checkpoint}"
            )
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        return figures | {"learning_rate": rate}

    def _log(self, line: dict[str, float]) -> None:
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write weights, optimiser state and step in one rename."""
        tensors = {f"weights.{n}": t for n, t in self.module.state_dict().items()}
        for optimiser in self.optimisers:
            for parameter, state in optimiser.state.items():
                for key, value in state.items():
                    name = f"state.{self.names[id(parameter)]}.{key}"
                    tensors[name] = torch.as_tensor(value)
        unshared = {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        counts = {"step": str(self.step), "seconds": f"{self.seconds:.0f}"}
        save_file(unshared, temporary, metadata=counts)
        temporary.replace(self.checkpoint)

    def _load(self) -> None:
        tensors: dict[str, Tensor] = {}
        with safe_open(self.checkpoint, framework="pt") as file:
            counts = file.metadata()
            self.step, self.seconds = int(counts["step"]), float(counts.get("seconds", 0))
            for name in file.keys():  # noqa: SIM118 - a safetensors handle is no mapping
                tensors[name] = file.get_tensor(name)
        weights = {n[8:]: t for n, t in tensors.items() if n.startswith("weights.")}
        self.module.load_state_dict(weights)
        parameters = {n: p for n, p in self.module.named_parameters() if id(p) in self.names}
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    name = f"state.{self.names[id(parameter)]}."
                    found = {n[len(name) :]: t for n, t in tensors.items() if n.startswith(name)}
                    if found:
                        optimiser.state[parameters[name[6:-1]]] = found


def pack_checkpoint(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint small, to go on from on another computer.

    What learns is in half precision and the state of the optimisers is left out: they gather it
    again within some fifty steps. What is fixed, such as codes of characters, stays exact.

    Args:
        checkpoint: Of a course.
        out: The file; a course goes on from it under the name `course.safetensors`.
    """
    with safe_open(checkpoint, framework="pt") as file:
        names = list(file.keys())
        learned = {
            n.removeprefix("state.").rpartition(".")[0] for n in names if n.startswith("state.")
        }
        tensors = {n: file.get_tensor(n) for n in names if n.startswith("weights.")}
        metadata = file.metadata()
    packed = {
        n: t.half() if n.removeprefix("weights.") in learned else t for n, t in tensors.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".tmp")
    save_file(packed, temporary, metadata=metadata)
    temporary.replace(out)
