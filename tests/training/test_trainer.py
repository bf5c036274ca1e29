"""A run: learns, resumes to the very loss curve it would have had, and stops with a clear word."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from leopard.config import build, merge
from leopard.curation.pixels import draw
from leopard.errors import CheckpointError, ConfigError, TrainingError
from leopard.inference.leopard import Leopard
from leopard.model.weights import load_model
from leopard.schema.shards import write_shard
from leopard.training import checkpoint, reports
from leopard.training.reports import read_log
from leopard.training.settings import TrainSettings
from leopard.training.trainer import RunResult, Trainer, train
from leopard.training.world import World
from tests.training.conftest import pixel_sample

STEPS = 6


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_values(out: Path, start: Path, shards: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "out": str(out),
        "steps": STEPS,
        "seed": 1,
        "model": {"start": str(start), "device": "cpu"},
        "optimizer": {"lr": 1e-3, "warmup": 2},
        "data": {
            "sources": [
                {"path": str(shards / "pixels"), "weight": 3},
                {"path": str(shards / "vectors")},
            ],
            "max_length": 200,
            "shuffle_window": 8,
        },
        "batch": {"samples": 5, "tokens_per_pass": 260, "crops_per_pass": 14},
        "checkpoints": {"every_steps": 2},
        "report": {"progress": False},
    }
    return merge(values, changes)


def make(out: Path, start: Path, shards: Path, **changes: Any) -> TrainSettings:
    return build(TrainSettings, run_values(out, start, shards, **changes))


def losses(out: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_log(out)]


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """End the run hard after a step is logged, before anything else is done."""
    real = Trainer._after_step

    def after(self: Trainer, log: Any, total: int) -> None:
        if self.done == step:
            raise KeyboardInterrupt
        real(self, log, total)

    monkeypatch.setattr(Trainer, "_after_step", after)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, shards: Path) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    result = train(make(out, tiny_model_folder, shards), draw=draw)
    assert (result.steps, result.total) == (STEPS, STEPS)
    return out


def test_a_run_leaves_log_curve_checkpoints_and_a_model_that_answers(
    whole: Path, tiny_model_folder: Path, drawn_pages: list[Any]
) -> None:
    lines = read_log(whole)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert all(line["samples"] == 5 and line["visual_tokens"] > 0 for line in lines)
    assert lines[0]["lr"]["connector"] == pytest.approx(1e-3 / 3)
    assert (whole / "loss.svg").read_text().count("<polyline") == 2
    assert [p.name for p in sorted((whole / "checkpoints").iterdir())] == [
        "step-00000004",
        "step-00000006",
    ]
    before, after = load_model(tiny_model_folder), load_model(whole / "model")
    moved = {
        name.split(".")[1]
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert moved == {"connector", "language_model", "weight"}  # the last is the head
    answer = Leopard.from_pretrained(whole / "model").ask(drawn_pages, "What is this?")
    assert answer.model == "model"


@pytest.mark.parametrize(("step", "workers"), [(1, 0), (2, 0), (5, 2)])
def test_an_interrupted_run_goes_on_to_the_same_curve(
    step: int,
    workers: int,
    whole: Path,
    tmp_path: Path,
    tiny_model_folder: Path,
    shards: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = make(tmp_path / "run", tiny_model_folder, shards)
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            train(settings, draw=draw)
    again = make(tmp_path / "run", tiny_model_folder, shards, data={"num_workers": workers})
    train(again, draw=draw)
    assert losses(tmp_path / "run") == losses(whole)
    one, two = load_model(whole / "model"), load_model(tmp_path / "run" / "model")
    assert all(map(torch.equal, one.parameters(), two.parameters()))


def start_process(values: dict[str, Any]) -> multiprocessing.process.BaseProcess:
    """Train in a process of its own, which can be killed."""
    process = multiprocessing.get_context("fork").Process(target=_train_here, args=(values,))
    process.start()
    return process


def _train_here(values: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    train(build(TrainSettings, values), draw=draw)


def wait_for_lines(out: Path, count: int, process: multiprocessing.process.BaseProcess) -> None:
    deadline = time.monotonic() + 120
    while len(read_log(out)) < count and process.is_alive():
        assert time.monotonic() < deadline, "the run did not get on"
        time.sleep(0.002)


def test_a_run_killed_again_and_again_goes_on_to_the_same_curve(
    whole: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    values = run_values(tmp_path / "run", tiny_model_folder, shards)
    for count in (1, 2, 3, 4, 5):
        process = start_process(values)
        wait_for_lines(tmp_path / "run", count, process)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    train(build(TrainSettings, values), draw=draw)
    assert losses(tmp_path / "run") == losses(whole)


def test_sigterm_ends_a_run_after_its_step_with_a_checkpoint(
    whole: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    values = run_values(tmp_path / "run", tiny_model_folder, shards)
    values["checkpoints"]["every_steps"] = 500
    process = start_process(values)
    wait_for_lines(tmp_path / "run", 2, process)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == 0
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert 2 <= int(saved.name.removeprefix("step-")) <= STEPS
    train(build(TrainSettings, values), draw=draw)
    assert losses(tmp_path / "run") == losses(whole)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no manifest", "gone"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    damage: str, whole: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    newest = out / "checkpoints" / "step-00000006"
    (weights,) = newest.glob("*.safetensors")
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "flipped":
        data = bytearray(weights.read_bytes())
        data[-50] ^= 1
        weights.write_bytes(bytes(data))
    elif damage == "gone":
        weights.unlink()
    else:
        (newest / "manifest.json").unlink()
    trainer = Trainer(make(out, tiny_model_folder, shards), World(), draw=draw)
    assert trainer.done == 4
    assert any("step-00000006" in note for note in trainer.notes)
    trainer.run()
    assert losses(out) == losses(whole)


def test_with_all_checkpoints_damaged_nothing_is_silently_begun_again(
    whole: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for manifest in out.glob("checkpoints/*/manifest.json"):
        manifest.unlink()
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        train(make(out, tiny_model_folder, shards), draw=draw)
    assert train(make(out, tiny_model_folder, shards), draw=draw, restart=True).steps == STEPS


def test_a_finished_run_is_not_run_again(
    whole: Path, tiny_model_folder: Path, shards: Path
) -> None:
    before = losses(whole)
    result = train(make(whole, tiny_model_folder, shards), draw=draw)
    assert result == RunResult(
        steps=STEPS, total=STEPS, loss=None, model=whole / "model", left_out=result.left_out
    )
    assert losses(whole) == before


def test_other_settings_do_not_go_on_with_a_run(
    whole: Path, tiny_model_folder: Path, shards: Path
) -> None:
    other = make(whole, tiny_model_folder, shards, optimizer={"lr": 2e-3})
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.001, is 0\.002.*--restart"):
        train(other, draw=draw)


def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint(
    tmp_path: Path,
    whole: Path,
    tiny_model_folder: Path,
    shards: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = make(tmp_path / "run", tiny_model_folder, shards)
    real = checkpoint._save_tensors

    def full(tensors: Any, folder: Path, world: World) -> None:
        if "00000004" in folder.name:
            (folder / "half.safetensors").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(tensors, folder, world)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_save_tensors", full)
        with pytest.raises(TrainingError, match=r"the disk is full.*last checkpoint is untouched"):
            train(settings, draw=draw)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").glob("step-*")] == ["step-00000002"]
    train(settings, draw=draw)
    assert losses(tmp_path / "run") == losses(whole)
    assert not list((tmp_path / "run" / "checkpoints").glob(".pending*"))


def test_a_log_that_cannot_be_written_is_said_as_well(
    tmp_path: Path, tiny_model_folder: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reports.RunLog.__init__

    def on_a_full_device(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        self.path = Path("/dev/full")

    monkeypatch.setattr(reports.RunLog, "__init__", on_a_full_device)
    with pytest.raises(TrainingError, match="the disk is full"):
        train(make(tmp_path / "run", tiny_model_folder, shards), draw=draw)


@pytest.mark.parametrize("text", ["No space left on device (os error 28)", "I/O (os error 5)"])
def test_errors_of_the_system_inside_safetensors_are_recognised(tmp_path: Path, text: str) -> None:
    expected = "the disk is full" if "28" in text else "writing failed"
    with pytest.raises(TrainingError, match=expected), checkpoint.disk_errors(tmp_path):
        raise RuntimeError(text)


def test_too_little_room_is_seen_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    store = checkpoint.CheckpointStore(tmp_path, World())
    with pytest.raises(TrainingError, match=r"the disk is full .*10 bytes are free and 400"):
        store.save(1, {"a": torch.zeros(100)}, {})
    assert store.newest() is None


def test_a_loss_that_is_no_number_stops_before_the_weights_change(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    trainer = Trainer(make(tmp_path / "run", tiny_model_folder, shards), World(), draw=draw)
    with torch.no_grad():
        trainer.model.model.connector.linear_1.bias[0] = float("nan")
    before = trainer.model.lm_head.weight.clone()
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan.*source:row"):
        trainer.run()
    assert torch.equal(trainer.model.lm_head.weight, before)


def test_unreadable_images_stop_a_run_or_are_counted(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    from dataclasses import replace

    samples = [pixel_sample(number, 1) for number in range(4)]
    (image,) = samples[1].images
    samples[1] = replace(samples[1], images=(replace(image, data=b"no picture"),))
    write_shard(tmp_path / "s.parquet", samples)
    (tmp_path / "pixels").mkdir()
    changes: dict[str, Any] = {
        "data": {"sources": [{"path": str(tmp_path / "s.parquet")}]},
        "steps": 3,
        "batch": {"samples": 4},
    }
    strict = make(tmp_path / "strict", tiny_model_folder, tmp_path, **changes)
    with pytest.raises(TrainingError, match=r"sample s-1 .*cannot be read.*bad_samples=skip"):
        train(strict, draw=draw)
    lax = make(
        tmp_path / "lax",
        tiny_model_folder,
        tmp_path,
        **merge(changes, {"data": {"bad_samples": "skip"}}),
    )
    result = train(lax, draw=draw)
    assert result.left_out == {"image cannot be read": 3}
    assert [line["samples"] for line in read_log(tmp_path / "lax")] == [3, 3, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": {"layout": "padded"}},
        {"batch": {"tokens_per_pass": 2000, "crops_per_pass": 60}},
        {"model": {"attention": "sdpa"}},
        {"model": {"gradient_checkpointing": True}},
    ],
    ids=["padded", "one pass", "block-diagonal mask", "checkpointed activations"],
)
def test_how_samples_share_passes_does_not_change_the_loss(
    changes: dict[str, Any], whole: Path, tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    settings = make(tmp_path / "run", tiny_model_folder, shards, **changes)
    train(settings, draw=draw)
    for (step, loss), (_, expected) in zip(losses(tmp_path / "run"), losses(whole), strict=True):
        assert loss == pytest.approx(expected, rel=2e-5), step


def test_stage_one_trains_the_connector_alone(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    frozen = {"parts": {"language_model": {"train": False}}, "steps": 2}
    train(make(tmp_path / "run", tiny_model_folder, shards, **frozen), draw=draw)
    before, after = load_model(tiny_model_folder), load_model(tmp_path / "run" / "model")
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new) != name.startswith("model.connector"), name


def test_parts_have_learning_rates_of_their_own(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    parts = {"vision_encoder": {"train": True, "lr": 1e-5}, "connector": {"lr": 1e-2}}
    settings = make(tmp_path / "run", tiny_model_folder, shards, parts=parts, steps=3)
    train(settings, draw=draw)
    rates = read_log(tmp_path / "run")[-1]["lr"]
    assert rates["connector"] == pytest.approx(10 * rates["language_model"])
    assert rates["language_model"] == pytest.approx(100 * rates["vision_encoder"])


def test_a_single_sample_is_learnt_by_heart_and_shown_in_predictions(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    write_shard(tmp_path / "s.parquet", [pixel_sample(0, 1, answer="Forty-two.")])
    settings = make(
        tmp_path / "run",
        tiny_model_folder,
        tmp_path,
        data={"sources": [{"path": str(tmp_path / "s.parquet")}]},
        steps=60,
        optimizer={"lr": 5e-3, "schedule": "constant"},
        batch={"samples": 1},
        checkpoints={"every_steps": 100},
        report={"predictions_every": 30, "tensorboard": True},
    )
    train(settings, draw=draw)
    curve = losses(tmp_path / "run")
    assert curve[-1][1] < 0.05 * curve[0][1]
    lines = [
        json.loads(line)
        for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in lines] == [30, 60]
    assert lines[-1]["prediction"] == lines[-1]["answer"] == "Forty-two."
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_fresh_weights_and_both_optimizers_resume(
    name: str, tmp_path: Path, tiny_model_folder: Path, shards: Path, monkeypatch: Any
) -> None:
    changes = {
        "model": {"fresh": True},
        "parts": {"vision_encoder": {"train": True}},
        "optimizer": {"name": name, "weight_decay": 0.1},
        "steps": 4,
    }
    straight = make(tmp_path / "straight", tiny_model_folder, shards, **changes)
    train(straight, draw=draw)
    broken = make(tmp_path / "broken", tiny_model_folder, shards, **changes)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(broken, draw=draw)
    train(broken, draw=draw)
    assert losses(tmp_path / "broken") == losses(tmp_path / "straight")


def test_lora_trains_adapters_and_leaves_a_plain_model(
    tmp_path: Path, tiny_model_folder: Path, shards: Path, monkeypatch: Any
) -> None:
    lora = {"model": {"lora": {"rank": 4, "dropout": 0.1}}, "optimizer": {"lr": 1e-2}}
    settings = make(tmp_path / "run", tiny_model_folder, shards, **lora)
    trainer = Trainer(settings, World(), draw=draw)
    learning = [n for n, p in trainer.model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "connector" in name for name in learning)
    assert sum("lora_A" in name for name in learning) == 2 * 7
    trainer.run()
    before, after = load_model(tiny_model_folder), load_model(tmp_path / "run" / "model")
    assert before.state_dict().keys() == after.state_dict().keys()
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    update = after.state_dict()[name] - before.state_dict()[name]
    assert 1 <= int(torch.linalg.matrix_rank(update, atol=1e-6)) <= 4
    assert torch.equal(before.lm_head.weight, after.lm_head.weight)
    # Dropout, too, is the same when a run goes on.
    other = make(tmp_path / "broken", tiny_model_folder, shards, **lora)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(other, draw=draw)
    train(other, draw=draw)
    assert losses(tmp_path / "broken") == losses(tmp_path / "run")


def test_contradictions_are_said_before_anything_is_written(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"crops_per_pass is 8.*set model\.max_crops=8"):
        train(make(out, tiny_model_folder, shards, batch={"crops_per_pass": 8}), draw=draw)
    with pytest.raises(ConfigError, match=r"data\.sources is empty"):
        train(make(out, tiny_model_folder, shards, data={"sources": []}), draw=draw)
    lora = {"model": {"lora": {"targets": ["nothing"]}}}
    nothing = make(tmp_path / "l", tiny_model_folder, shards, **lora)
    with pytest.raises(ConfigError, match=r"targets \['nothing'\]"):
        train(nothing, draw=draw)
    muon = make(out, tiny_model_folder, shards, optimizer={"name": "muon"})
    with pytest.raises(ConfigError, match="muon needs a single process"):
        Trainer(muon, World(size=2), draw=draw)
    assert not out.exists()
