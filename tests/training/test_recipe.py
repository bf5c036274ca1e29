"""The recipe for a cluster is a script that a shell understands and settings that can be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leopard.errors import ConfigError
from leopard.training.recipe import Cluster, write_recipe
from leopard.training.settings import read_settings


def test_script_and_settings(tmp_path: Path) -> None:
    run = read_settings("leopard-llava")
    values, script = write_recipe(tmp_path / "recipe", run, Cluster(nodes=4, time="2-00:00:00"))
    assert read_settings(values) == run
    text = script.read_text()
    for line in ("--nodes=4", "--gpus-per-node=8", "--time=2-00:00:00", "--job-name=leopard-llava"):
        assert f"#SBATCH {line}" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_the_script_starts_torchrun_with_one_process_for_each_device(tmp_path: Path) -> None:
    run = read_settings("tiny")
    cluster = Cluster(nodes=1, gpus_per_node=2, cpus_per_node=4)
    _, script = write_recipe(tmp_path, run, cluster)
    # A torchrun that only says what it was asked.
    fake = tmp_path / "bin" / "torchrun"
    fake.parent.mkdir()
    fake.write_text('#!/bin/bash\nprintf "%s\\n" "$@" "$OMP_NUM_THREADS"\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    asked = subprocess.run(
        ["bash", script.name], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    assert asked[:2] == ["--nnodes=1", "--nproc-per-node=2"]
    assert asked[-5:] == ["--module", "leopard.cli.main", "train", "settings.json", "2"]


def test_what_cannot_run_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch\.samples is 4, fewer than the 64 processes"):
        write_recipe(tmp_path / "r", read_settings("tiny"), Cluster())
    assert not (tmp_path / "r").exists()
    with pytest.raises(ConfigError, match="time 'soon'"):
        Cluster(time="soon")
    with pytest.raises(ConfigError, match="nodes is 0"):
        Cluster(nodes=0)


@pytest.mark.slow
def test_the_recipe_trains_here_with_two_processes(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    run = read_settings(
        "tiny",
        [
            f'model.start="{tiny_model_folder}"',
            "model.max_crops=12",
            'model.device="cpu"',
            f'out="{tmp_path / "run"}"',
            "steps=2",
            f'data.sources=[{{path="{shards / "pixels"}"}}]',
        ],
    )
    _, script = write_recipe(tmp_path, run, Cluster(nodes=1, gpus_per_node=2, cpus_per_node=2))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", script.name], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 of 2 steps done") == 1
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
