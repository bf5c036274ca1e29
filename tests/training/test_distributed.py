"""Two processes that share one model (FSDP2 over gloo) train as one does."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from leopard.config import build
from leopard.curation.pixels import draw
from leopard.model.weights import load_model
from leopard.training.reports import read_log
from leopard.training.settings import TrainSettings
from leopard.training.trainer import train
from tests.training.test_trainer import losses, run_values


def run_processes(values: dict[str, Any], size: int, *, stop_at: int | None = None) -> list[str]:
    """Train in several processes; returns what each ended with."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for rank in range(size):
        here, there = context.Pipe()
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        process = context.Process(target=_work, args=(values, environment, there, stop_at))
        process.start()
        pipes.append(here)
        processes.append(process)
    ends = [pipe.recv() if pipe.poll(240) else "hangs" for pipe in pipes]
    for process in processes:
        process.join(10)
        process.kill()
    return ends


def _work(
    values: dict[str, Any], environment: dict[str, str], pipe: Connection, stop_at: int | None
) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    try:
        if stop_at is not None:
            _stop_after(stop_at)
        result = train(build(TrainSettings, values), draw=draw)
        pipe.send(f"{result.steps} steps")
    except BaseException as error:  # noqa: BLE001 - told to the test
        pipe.send(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    pipe.close()


def _stop_after(step: int) -> None:
    from leopard.training.trainer import Trainer

    real = Trainer._after_step

    def after(self: Trainer, log: Any, total: int) -> None:
        self._stop = self._stop or self.done == step
        real(self, log, total)

    Trainer._after_step = after  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, shards: Path) -> Path:
    """One process, nothing disturbed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("alone") / "run"
    train(build(TrainSettings, run_values(out, tiny_model_folder, shards)), draw=draw)
    torch.set_num_threads(threads)
    return out


def assert_same_curve(out: Path, expected: Path) -> None:
    assert len(read_log(out)) == len(read_log(expected))
    for (step, loss), (_, one) in zip(losses(out), losses(expected), strict=True):
        assert loss == pytest.approx(one, rel=3e-5), step


def assert_same_model(out: Path, expected: Path) -> None:
    one, two = load_model(expected / "model"), load_model(out / "model")
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=2e-4, msg=name)


def test_two_processes_equal_one_within_rounding(
    alone: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    values = run_values(tmp_path / "run", tiny_model_folder, shards)
    assert run_processes(values, 2) == ["6 steps", "6 steps"]
    assert_same_curve(tmp_path / "run", alone)
    assert_same_model(tmp_path / "run", alone)
    for mine, one in zip(read_log(tmp_path / "run"), read_log(alone), strict=True):
        assert mine["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
        assert (mine["tokens"], mine["learned"]) == (one["tokens"], one["learned"])
    saved = tmp_path / "run" / "checkpoints" / "step-00000006"
    assert len(list(saved.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2), (2, 3)])
def test_a_checkpoint_goes_on_with_another_number_of_processes(
    first: int, second: int, alone: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    values = run_values(tmp_path / "run", tiny_model_folder, shards)
    values["checkpoints"]["every_steps"] = 100
    assert run_processes(values, first, stop_at=3) == ["3 steps"] * first
    assert run_processes(values, second) == ["6 steps"] * second
    assert_same_curve(tmp_path / "run", alone)
    assert_same_model(tmp_path / "run", alone)


def test_text_alone_in_one_process_and_images_in_the_other(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    """A trained encoder gets gradients in both, or they would wait for one another for ever."""
    from leopard.schema.shards import write_shard
    from tests.training.conftest import pixel_sample

    write_shard(tmp_path / "s.parquet", [pixel_sample(0, 0), pixel_sample(1, 2)])
    values = run_values(tmp_path / "run", tiny_model_folder, tmp_path, steps=2)
    values["data"]["sources"] = [{"path": str(tmp_path / "s.parquet")}]
    values["parts"] = {"vision_encoder": {"train": True}}
    values["batch"]["samples"] = 2
    assert run_processes(values, 2) == ["2 steps", "2 steps"]
    one = {**values, "out": str(tmp_path / "one")}
    train(build(TrainSettings, one), draw=draw)
    assert_same_curve(tmp_path / "run", tmp_path / "one")
    assert_same_model(tmp_path / "run", tmp_path / "one")


def test_lora_is_sharded_too(tmp_path: Path, tiny_model_folder: Path, shards: Path) -> None:
    values = run_values(tmp_path / "run", tiny_model_folder, shards, steps=2)
    values["model"]["lora"] = {"rank": 4}
    assert run_processes(values, 2) == ["2 steps", "2 steps"]
    train(build(TrainSettings, {**values, "out": str(tmp_path / "one")}), draw=draw)
    assert_same_curve(tmp_path / "run", tmp_path / "one")
    assert_same_model(tmp_path / "run", tmp_path / "one")


def test_one_process_that_cannot_go_on_stops_all(tmp_path: Path, tiny_model_folder: Path) -> None:
    from dataclasses import replace

    from leopard.schema.shards import write_shard
    from tests.training.conftest import pixel_sample

    good, bad = pixel_sample(0, 1), pixel_sample(1, 1)
    (image,) = bad.images
    bad = replace(bad, images=(replace(image, data=b"no picture"),))
    write_shard(tmp_path / "s.parquet", [good, bad])
    values = run_values(tmp_path / "run", tiny_model_folder, tmp_path, steps=2)
    values["data"]["sources"] = [{"path": str(tmp_path / "s.parquet")}]
    values["batch"]["samples"] = 2
    ends = run_processes(values, 2)
    assert all(end.startswith("TrainingError") for end in ends)
    assert any("sample s-1" in end for end in ends)
    assert any("another process" in end for end in ends)
