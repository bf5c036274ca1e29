"""Runs: the same rows after SIGKILL, with any shard size, worker count and executor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from leopard.curation.plan import Plan, load_plan, save_plan
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.work import make_shard
from leopard.errors import ConfigError
from leopard.executors.local import LocalExecutor
from leopard.executors.rank import RankExecutor
from leopard.schema.shards import PdfTable, check_shard, iter_rows, shard_paths

pytest.importorskip("typst")
SAMPLES = 12


def plan_of(shard_size: int) -> Plan:
    return Plan(settings=load_preset("smoke"), num_samples=SAMPLES, shard_size=shard_size)


def run(plan: Plan, folder: Path, executor: LocalExecutor | RankExecutor) -> None:
    save_plan(plan, folder)
    done = set(plan.finished(folder))
    units = [unit for unit in plan.units if unit not in done]
    assert (
        sum(rows for _, rows in executor.map(partial(make_shard, plan, folder=folder), units)) > 0
    )


def content(folder: Path) -> list[tuple[object, bytes]]:
    table = PdfTable(folder)
    rows = [row for shard in shard_paths(folder) for row in iter_rows(shard)]
    return [(row, table.read(row["pages"][0]["pdf_ref"])) for row in rows]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, bytes]]:
    folder = tmp_path_factory.mktemp("reference")
    run(plan_of(5), folder, LocalExecutor())
    for shard in shard_paths(folder):
        check_shard(shard)
    return content(folder)


def test_ids_are_unique_and_complete(reference: list[tuple[dict[str, object], bytes]]) -> None:
    assert len({row["id"] for row, _ in reference}) == SAMPLES


def test_ranks_and_another_shard_size_give_the_same_rows(
    tmp_path: Path, reference: list[tuple[object, bytes]]
) -> None:
    plan = plan_of(4)
    for rank in (1, 0):
        save_plan(plan, tmp_path)
        for _ in RankExecutor(rank, 2).map(partial(make_shard, plan, folder=tmp_path), plan.units):
            pass
    assert content(tmp_path) == reference


_DRIVER = """
import sys
from functools import partial
from pathlib import Path
from leopard.executors.local import LocalExecutor
from leopard.curation.plan import Plan, save_plan
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.work import make_shard
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    plan = Plan(settings=load_preset("smoke"), num_samples=12, shard_size=3)
    save_plan(plan, folder)
    done = set(plan.finished(folder))
    todo = [unit for unit in plan.units if unit not in done]
    for _ in LocalExecutor(1).map(partial(make_shard, plan, folder=folder), todo):
        pass
"""


def test_sigkill_loses_and_doubles_nothing(
    tmp_path: Path, reference: list[tuple[object, bytes]]
) -> None:
    driver, folder = tmp_path / "driver.py", tmp_path / "out"
    driver.write_text(_DRIVER)
    command = [sys.executable, str(driver), str(folder)]
    process = subprocess.Popen(command, start_new_session=True)
    while not list(folder.glob("shard-*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (folder / f"shard-00003.parquet.tmp.{os.uname().nodename}.4194304").write_text("half")
    subprocess.run(command, check=True)
    assert content(folder) == reference
    assert not list(folder.glob("*.tmp.*"))


def test_workers_end_with_the_process_that_started_them(
    tmp_path: Path, reference: list[tuple[object, bytes]]
) -> None:
    driver, folder = tmp_path / "driver.py", tmp_path / "out"
    driver.write_text(_DRIVER.replace("LocalExecutor(1)", "LocalExecutor(2)"))
    command = [sys.executable, str(driver), str(folder)]
    process = subprocess.Popen(command, start_new_session=True)
    while not list(folder.glob("shard-*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    process.kill()  # the workers are not told
    process.wait()
    deadline = time.monotonic() + 180
    while group_is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not group_is_alive(process.pid)
    subprocess.run(command, check=True)
    assert content(folder) == reference


def group_is_alive(group: int) -> bool:
    """Whether any process of a session still runs; ended ones may wait to be buried by init."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, member_of = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member_of) == group and state != "Z":
            return True
    return False


def test_shards_of_other_settings_do_not_count_as_done(tmp_path: Path) -> None:
    plan = plan_of(5)
    save_plan(plan, tmp_path)
    other = Plan(settings=plan.settings.model_copy(update={"seed": 9}), num_samples=SAMPLES,
                 shard_size=5)  # fmt: skip
    make_shard(other, plan.units[0], tmp_path)
    make_shard(plan, plan.units[1], tmp_path)
    assert list(plan.finished(tmp_path)) == [plan.units[1]]


def test_a_folder_never_mixes_two_sets(tmp_path: Path) -> None:
    save_plan(plan_of(5), tmp_path)
    other = load_preset("smoke").model_copy(update={"seed": 9})
    with pytest.raises(ConfigError, match="holds another set"):
        save_plan(Plan(settings=other, num_samples=SAMPLES, shard_size=5), tmp_path)
    assert load_plan(tmp_path) == plan_of(5)


def test_a_set_can_grow(tmp_path: Path) -> None:
    plan = plan_of(5)
    save_plan(plan, tmp_path)
    ragged = tmp_path / plan.units[-1].shard_name
    whole = tmp_path / plan.units[0].shard_name
    ragged.write_text("")
    whole.write_text("")
    save_plan(Plan(settings=plan.settings, num_samples=20, shard_size=5), tmp_path)
    assert whole.exists()
    assert not ragged.exists()


def test_impossible_ranks_are_refused() -> None:
    with pytest.raises(ConfigError, match="rank 2 of 2"):
        RankExecutor(2, 2)
