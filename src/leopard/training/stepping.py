"""One optimizer step: passes forward and backward, summed over all processes.

The loss is the mean over all learned positions of the whole step, however samples are shared over
passes and processes. Knows models and plans; knows nothing of files.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leopard.errors import TrainingError
from leopard.training.attention import NAME, segment_kwargs
from leopard.training.encoding import PassInputs
from leopard.training.feed import StepPlan
from leopard.training.parts import Updater, trained_parameters
from leopard.training.settings import TrainSettings
from leopard.training.world import World, full_tensor

_SEGMENTED = (NAME, "flash_attention_2")
"""Attention implementations that are told where samples of a packed row end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSums:
    """What a step did, over all processes."""

    loss: float
    grad_norm: float
    samples: int
    learned: int
    failed: int
    """Samples that were planned and could not be read."""
    wants_stop: bool
    """Whether any process was asked to stop."""
    wait_s: float
    """Seconds that this process waited for data."""


@dataclass(slots=True)
class Stepper:
    """Runs steps of one model.

    Attributes:
        model: The model, sharded if there are several processes.
        updater: Its optimizers.
        settings: The run.
        world: The processes.
        bfloat16: Whether the arithmetic of a single process is in bfloat16.
    """

    model: Any
    updater: Updater
    settings: TrainSettings
    world: World
    bfloat16: bool = False

    def run(
        self, plan: StepPlan, passes: Iterable[PassInputs], *, factor: float, stop: bool = False
    ) -> StepSums:
        """One step.

        Args:
            plan: What the step learns from.
            passes: Inputs of this process's passes.
            factor: Share of the peak learning rates.
            stop: Whether this process was asked to stop after the step.

        Raises:
            TrainingError: If a sample cannot be read and must be, or the loss is no number. The
                weights are as before the step.
        """
        # Dropout is the same whatever ran before, so that a run goes on as if never stopped.
        torch.manual_seed(hash((self.settings.seed, plan.step, self.world.rank)) % 2**63)
        planned = max(plan.learned, 1)
        sums = torch.zeros(5, dtype=torch.float64)
        failures: list[tuple[str, str]] = []
        wait_s, mark = 0.0, time.perf_counter()
        for inputs in passes:
            wait_s += time.perf_counter() - mark
            failures += inputs.failures
            loss = self._backward(inputs, planned)
            counts = [loss, inputs.num_samples, inputs.learned, len(inputs.failures), 0]
            sums += torch.tensor(counts, dtype=torch.float64)
            mark = time.perf_counter()
        sums[4] = float(stop)
        loss_sum, samples, learned, failed, stops = self._shared(sums)
        self._check_failures(failures, int(failed))
        learned = max(learned, 1.0)
        norm = self._gradient_norm(planned / learned)
        mean = loss_sum / learned
        if not (math.isfinite(mean) and math.isfinite(norm)):
            self.updater.zero()
            raise TrainingError(self._not_a_number(plan, mean, norm))
        self._clip(norm)
        self.updater.set_factor(factor)
        self.updater.step()
        self.updater.zero()
        return StepSums(
            loss=mean,
            grad_norm=norm,
            samples=int(samples),
            learned=int(learned),
            failed=int(failed),
            wants_stop=stops > 0,
            wait_s=wait_s,
        )

    def loss_sum(self, inputs: PassInputs) -> Tensor:
        """Summed cross entropy over the learned positions of a pass.

        The language head runs on positions that are learnt only; on the others its logits, the
        largest tensor of a pass, would be thrown away.
        """
        given = {name: value.to(self.world.device) for name, value in inputs.inputs.items()}
        labels = given.pop("labels")[:, 1:]
        kept = (labels != -100).any(0).nonzero()[:, 0]
        extra: dict[str, Any] = {}
        if inputs.segments is not None and self._attention() in _SEGMENTED:
            extra = segment_kwargs(inputs.segments)
        with self._precision():
            output = self.model(**given, **extra, logits_to_keep=kept, use_cache=False)
        logits = output.logits.float()
        return F.cross_entropy(
            logits.flatten(0, 1), labels[:, kept].flatten(), ignore_index=-100, reduction="sum"
        )

    def _backward(self, inputs: PassInputs, planned: int) -> float:
        loss = self.loss_sum(inputs)
        # Sharded gradients are averaged over processes; the loss of a step is a sum over them.
        (loss * (self.world.size / planned)).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _shared(self, sums: Tensor) -> list[float]:
        on_device = sums.to(self.world.device) if self.world.size > 1 else sums
        return [float(value) for value in self.world.sum(on_device).tolist()]

    def _check_failures(self, failures: list[tuple[str, str]], failed: int) -> None:
        if not failed or self.settings.data.bad_samples == "skip":
            return
        self.updater.zero()
        what = failures[0][1] if failures else "another process could not read a sample"
        raise TrainingError(f"{what}; mend it, or set data.bad_samples=skip to leave it out")

    def _gradient_norm(self, correction: float) -> float:
        """Norm of the whole gradient, after making up for samples that could not be read."""
        gradients = self._gradients()
        if correction != 1:
            torch._foreach_mul_(gradients, correction)
        return float(full_tensor(torch.nn.utils.get_total_norm(gradients)))

    def _clip(self, norm: float) -> None:
        most = self.settings.optimizer.clip_norm
        if most is not None and norm > most:
            torch._foreach_mul_(self._gradients(), most / norm)

    def _gradients(self) -> list[Tensor]:
        found = trained_parameters(self.model).values()
        return [parameter.grad for parameter in found if parameter.grad is not None]

    def _attention(self) -> str:
        return str(self.model.config.get_text_config()._attn_implementation)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.bfloat16 and self.world.size == 1:
            return torch.autocast(self.world.device.type, torch.bfloat16)
        return nullcontext()

    def _not_a_number(self, plan: StepPlan, loss: float, norm: float) -> str:
        rows = ", ".join(f"{pick.source}:{pick.row}" for pick in plan.picks[:8])
        return (
            f"step {plan.step + 1}: the loss is {loss} and the gradient norm {norm}; the weights "
            f"are as before this step. Its samples (source:row) are {rows}. Lower optimizer.lr, "
            "set optimizer.clip_norm, or look at these samples; then run the same command again"
        )
