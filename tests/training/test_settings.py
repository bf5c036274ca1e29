"""Presets and files say what runs do; wrong values are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leopard.errors import ConfigError
from leopard.training.presets import PRESETS
from leopard.training.settings import TrainSettings, differences, read_settings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_valid(name: str) -> None:
    assert read_settings(name).out


def test_published_hyper_parameters_are_those_of_the_paper() -> None:
    llava, idefics2 = read_settings("leopard-llava"), read_settings("leopard-idefics2")
    for run in (llava, idefics2):
        rules = run.optimizer
        assert (rules.name, rules.betas, rules.eps) == ("adamw", (0.9, 0.999), 1e-8)
        assert (rules.schedule, rules.warmup, rules.min_lr) == ("cosine", 0.03, 0)
        assert rules.weight_decay == 0
        assert (run.batch.samples, run.epochs) == (128, 1)
        assert [run.parts.of(part).train for part in (
            "vision_encoder", "connector", "language_model")] == [False, True, True]  # fmt: skip
    assert (llava.optimizer.lr, idefics2.optimizer.lr) == (1e-5, 5e-6)
    assert (llava.data.max_length, idefics2.data.max_length) == (16384, 8192)
    assert (llava.optimizer.clip_norm, idefics2.optimizer.clip_norm) == (1.0, 0.5)


@pytest.mark.parametrize("name", ["stage1.toml", "stage2.toml", "tiny.toml"])
def test_config_files_are_valid_and_stages_follow_one_another(name: str) -> None:
    assert read_settings(CONFIGS / name).data.sources
    one, two = read_settings(CONFIGS / "stage1.toml"), read_settings(CONFIGS / "stage2.toml")
    assert not one.parts.language_model.train
    assert two.parts.language_model.train
    assert two.model.start == f"{one.out}/model"


def test_overrides_beat_the_file_and_steps_replace_epochs(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('preset = "leopard-llava"\n[optimizer]\nlr = 2e-5\n')
    run = read_settings(path, ["optimizer.lr=3e-5", "steps=7"])
    assert (run.optimizer.lr, run.optimizer.clip_norm) == (3e-5, 1.0)
    assert (run.steps, run.epochs) == (7, None)


def test_written_settings_are_read_again(tmp_path: Path) -> None:
    run = read_settings("lora", ["seed=9"])
    path = tmp_path / "settings.json"
    path.write_text(run.model_dump_json())
    assert read_settings(path) == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 1\nepochs = 1", "either steps or epochs"),
        ("steps = 1\nstep = 1", "step: Extra"),
        ("steps = 1\n[data]\nmax_length = 20000", "must fit one forward pass"),
        ('steps = 1\n[parts]\nconnector={train=false}\nlanguage_model={train=false}', "nothing is"),
        ("steps = [", "not valid TOML"),
        ('preset = "other"', "preset 'other' is unknown"),
        ("steps = 1\n[model]\nlora={}\n[parts]\nvision_encoder={train=true}", "freeze the vision"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(path)


def test_a_missing_file_names_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read.*leopard-llava"):
        read_settings(tmp_path / "no.toml")
    (tmp_path / "list.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match="holds no settings"):
        read_settings(tmp_path / "list.json")


@pytest.mark.parametrize(
    ("override", "decides"),
    [
        ("optimizer.lr=1", True),
        ("batch.samples=3", True),
        ("data.max_length=9", True),
        ("parts.connector.lr=0.1", True),
        ("data.num_workers=3", False),
        ("checkpoints.every_steps=3", False),
        ("model.gradient_checkpointing=true", False),
        ('out="elsewhere"', False),
    ],
)
def test_a_run_goes_on_only_with_settings_that_give_the_same_curve(
    override: str, decides: bool
) -> None:
    one, other = read_settings("tiny"), read_settings("tiny", [override])
    assert (one.identity != other.identity) == decides
    assert bool(differences(one, other)) == decides
    assert isinstance(one, TrainSettings)


def test_differences_are_readable() -> None:
    values: Any = differences(read_settings("tiny"), read_settings("tiny", ["seed=3"]))
    assert values == ["seed was 42, is 3"]
