"""`leopard train` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from click.testing import Result
from typer.testing import CliRunner

from leopard.cli.main import LeopardGroup
from leopard.cli.train import register
from tests.conftest import draw_page


def run(*args: object) -> Result:
    app = typer.Typer(cls=LeopardGroup)
    register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["train", *map(str, args)])


def small(folder: Path, model: Path) -> list[object]:
    """Two pictures with questions, and what makes a run small."""
    for number in (1, 2):
        draw_page(number).save(folder / f"{number}.png")
    lines = [
        {"files": f"{number}.png", "question": "Which page?", "answer": f"Page {number}."}
        for number in (1, 2)
    ]
    path = folder / "list.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    sets = ["steps=2", "model.max_crops=12", 'model.device="cpu"', "report.progress=false"]
    options: list[object] = [x for value in sets for x in ("--set", value)]
    return ["tiny", "--model", model, "--data", path, "--out", folder / "run", *options]


def test_train_says_where_the_model_is_and_goes_on(tmp_path: Path, tiny_model_folder: Path) -> None:
    arguments = small(tmp_path, tiny_model_folder)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "2 of 2 steps done, last loss" in result.output
    assert f"leopard ask --model {tmp_path}/run/model" in result.output
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert "2 of 2 steps done\n" in run(*arguments).output
    other = run(*arguments, "--set", "seed=7")
    assert other.exit_code == 2
    assert "seed was 42, is 7" in other.stderr
    assert run(*arguments, "--set", "seed=7", "--restart").exit_code == 0


def test_dry_run_measures_the_data_and_writes_nothing(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    result = run(*small(tmp_path, tiny_model_folder), "--dry-run", "--devices", 2)
    assert result.exit_code == 0, result.output
    assert "of each of 2 devices" in result.output
    assert "mean of 256" in result.output
    assert "2 steps of" in result.output
    assert not (tmp_path / "run").exists()


def test_dry_run_of_a_published_size() -> None:
    result = run("leopard-llava", "--dry-run", "--size", "leopard-llava", "--devices", 64,
                 "--set", "steps=10614")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "the most that settings allow" in result.output
    unknown = run("leopard-llava", "--dry-run", "--size", "leopard-llava")
    assert (unknown.exit_code, "--set steps=10000" in unknown.stderr) == (2, True)


def test_recipe_is_written_and_named(tmp_path: Path) -> None:
    result = run("leopard-llava", "--recipe", tmp_path / "r", "--nodes", 2)
    assert result.output.split() == [
        str(tmp_path / "r" / "settings.json"),
        str(tmp_path / "r" / "train.slurm"),
    ]


def test_errors_are_one_line(tmp_path: Path) -> None:
    result = run("nothing.toml")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "give a TOML file or a preset" in result.stderr
