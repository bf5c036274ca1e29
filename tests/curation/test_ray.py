"""Under Ray the rows are the same, also when workers are killed."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from leopard.curation.plan import Plan, Unit, save_plan
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.work import make_shard
from leopard.executors.local import LocalExecutor
from leopard.executors.ray import RayExecutor
from leopard.schema.shards import iter_rows, shard_paths
from tests.bounded import apart

pytest.importorskip("typst")
pytest.importorskip("ray")


def make_or_die(plan: Plan, folder: Path, unit: Unit) -> int:
    """The first time it meets unit 1, the worker is killed."""
    flag = folder / "killed"
    if unit.index == 1 and not flag.exists():
        flag.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return make_shard(plan, unit, folder)


def make_under_ray(plan: Plan, folder: Path) -> None:
    work = partial(make_or_die, plan, folder)
    assert sum(rows for _, rows in RayExecutor(workers=1).map(work, plan.units)) == 9


def test_killed_ray_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    plan = Plan(settings=load_preset("smoke"), num_samples=9, shard_size=3)
    for name in ("ray", "local"):
        save_plan(plan, tmp_path / name)
    apart(300, make_under_ray, plan, tmp_path / "ray")
    local = partial(make_shard, plan, folder=tmp_path / "local")
    assert sum(rows for _, rows in LocalExecutor().map(local, plan.units)) == 9
    rows = [
        [row for shard in shard_paths(tmp_path / name) for row in iter_rows(shard)]
        for name in ("ray", "local")
    ]
    assert rows[0] == rows[1]
    assert (tmp_path / "ray" / "killed").exists()
