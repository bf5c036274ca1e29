"""The learning rate over a run: linear warm-up, then cosine, line or constant.

Pure arithmetic; knows nothing of optimizers.
"""

from __future__ import annotations

import math

from leopard.training.settings import OptimizerSettings


def warmup_steps(settings: OptimizerSettings, total: int) -> int:
    """Steps of warm-up: a share of all steps below 1, a number of steps from 1."""
    wanted = settings.warmup if settings.warmup >= 1 else settings.warmup * total
    return min(round(wanted), total)


def lr_factor(settings: OptimizerSettings, step: int, total: int) -> float:
    """Share of the peak learning rate in one step.

    Warm-up rises by equal parts to the peak; then the factor falls to `min_lr` with
    0.5 * (1 + cos(pi * t)) (paper A.2: cosine with 3 % warm-up) or in a line.

    Args:
        settings: Schedule, warm-up and end.
        step: Number of the step, counted from 0.
        total: All steps of the run.
    """
    warm = warmup_steps(settings, total)
    if step < warm:
        return (step + 1) / (warm + 1)
    if settings.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warm) / max(1, total - warm))
    shape = 0.5 * (1 + math.cos(math.pi * done)) if settings.schedule == "cosine" else 1 - done
    return settings.min_lr + (1 - settings.min_lr) * shape
