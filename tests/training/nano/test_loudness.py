"""Loudness: parts of hand-written heads become louder or fainter, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.loudness import Loudness
from leopard.training.nano.start_heads import HEAD
from leopard.training.nano.zones import BEFORE, BEGUN, DIM, LINES_PER_CELL, STARTS


def weights() -> nn.Parameter:
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(2 * HEAD, 12))


def test_a_zone_that_is_too_faint_becomes_louder_by_one_factor() -> None:
    weight = weights()
    start = weight.detach().clone()
    wanted = start.clone()
    wanted[:, 4:8] *= 2  # the second of three zones
    optimiser = Loudness([weight], lr=0.05, zones=(0, 4, 8))
    for _ in range(60):
        optimiser.zero_grad()
        (weight - wanted).square().mean().backward()
        optimiser.step()
    factors = weight.detach() / start
    assert factors[:, 4:8].mean() > 1.7
    # A number has one factor over its zones: their ratio is the same for all numbers of a head.
    for head in (slice(0, HEAD), slice(HEAD, None)):
        ratios = factors[head, 4:8] / factors[head, :1]
        torch.testing.assert_close(ratios, ratios[:1, :1].expand_as(ratios), atol=1e-4, rtol=1e-4)


def test_what_is_nothing_stays_nothing() -> None:
    weight = weights()
    with torch.no_grad():
        weight[3] = 0
    optimiser = Loudness([weight], lr=0.1, zones=(0, 4))
    (weight.sum() ** 2).backward()
    optimiser.step()
    assert not weight[3].any()


def test_a_course_of_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def module() -> nn.Linear:
        torch.manual_seed(0)
        return nn.Linear(12, 2 * HEAD, bias=False)

    def run(folder: Path, stops: tuple[int, ...]) -> torch.Tensor:
        for stop in stops:
            taught = module()
            settings = CourseSettings(steps=6, learning_rate=0.1, warmup_steps=1)
            course = Course(taught, settings, folder, plain=(), zones=(0, 4, 8))

            def step(taught: nn.Linear = taught) -> dict[str, float]:
                loss = (taught.weight - 1).square().mean()
                loss.backward()
                return {"loss": loss.item()}

            while course.step < stop:
                course._learn(step)
            course.save()
        return taught.weight.detach()

    whole = run(tmp_path / "whole", (6,))
    parts = run(tmp_path / "parts", (2, 6))
    torch.testing.assert_close(whole, parts)
    assert (whole - 1).square().mean() < (module().weight.detach() - 1).square().mean()


def test_zones_cover_the_stream() -> None:
    assert STARTS[0] == 0
    assert STARTS[1] == BEFORE
    assert sorted(set(STARTS)) == list(STARTS)
    assert STARTS[-1] == BEGUN + LINES_PER_CELL <= DIM
