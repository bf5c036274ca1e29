"""Learning rates over a run."""

from __future__ import annotations

import pytest

from leopard.training.schedule import lr_factor, warmup_steps
from leopard.training.settings import OptimizerSettings


def test_the_published_schedule_warms_up_three_percent_and_ends_at_zero() -> None:
    settings = OptimizerSettings()
    factors = [lr_factor(settings, step, 10614) for step in range(10614)]
    assert warmup_steps(settings, 10614) == 318
    assert factors[0] > 0
    assert factors[:319] == sorted(factors[:319])
    assert factors[318] == 1.0
    assert factors[318:] == sorted(factors[318:], reverse=True)
    assert factors[-1] < 1e-6


@pytest.mark.parametrize(
    ("schedule", "middle"), [("cosine", 0.55), ("linear", 0.55), ("constant", 1)]
)
def test_half_way_down(schedule: str, middle: float) -> None:
    settings = OptimizerSettings.model_validate({"schedule": schedule, "warmup": 10, "min_lr": 0.1})
    assert lr_factor(settings, 60, 110) == pytest.approx(middle)


def test_a_run_that_is_all_warm_up_never_divides_by_zero() -> None:
    assert lr_factor(OptimizerSettings(warmup=50), 4, 5) == pytest.approx(5 / 6)
