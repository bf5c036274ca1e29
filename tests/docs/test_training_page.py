"""The commands of docs/training.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.config import build, merge
from leopard.training.presets import PRESETS
from leopard.training.reports import read_log
from leopard.training.settings import TrainSettings, read_settings

pytest.importorskip("typst")
PAGE = Path(__file__).parents[2] / "docs" / "training.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def commands(word: str) -> list[list[str]]:
    """Commands of the page that hold a word, without the program's name."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    found = [shlex.split(line)[1:] for line in lines if line.startswith("leopard ")]
    return [command for command in found if word in command]


def leopard(command: list[str]) -> str:
    result = CliRunner().invoke(build_app(), command)
    assert result.exit_code == 0, (command, result.output)
    return result.stdout


def kept_back(ask: list[str], model: str, *options: str) -> int:
    """Right answers about the four invoices that were not learnt from."""
    right = 0
    for number in range(17, 21):
        command = [
            word.replace("runs/mine/model", model).replace("18", str(number)) for word in ask
        ]
        right += leopard([*command, *options]).strip() == f"{number * 37 % 90 + 10}.50"
    return right


@pytest.mark.slow
def test_your_own_files_from_nothing_to_a_better_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    make, use = blocks("python")
    exec(compile(make, "docs/training.md", "exec"), {})
    assert len(list(Path("files").glob("*.pdf"))) == 20
    count, train = commands("lora")
    assert "30 steps of" in leopard(count)
    (ask,) = commands("ask")
    assert kept_back(ask, "leopard-nano", "--max-crops", "2") == 0
    assert "30 of 30 steps done" in leopard(train)
    lines = read_log(Path("runs/mine"))
    first, last = (sum(x["loss"] for x in part) / 5 for part in (lines[:5], lines[-5:]))
    assert last < 0.5 * first
    assert kept_back(ask, "runs/mine/model") >= 3
    exec(compile(use, "docs/training.md", "exec"), {})
    assert "30 runs/mine/model" in capsys.readouterr().out
    for name in re.findall(r"^\| `([\w./]+)` \|", TEXT, re.M)[:7]:
        optional = name in ("predictions.jsonl", "tensorboard/")
        assert optional or (tmp_path / "runs" / "mine" / name).exists(), name
    torch.set_num_threads(threads)


def test_lines_of_a_list_are_understood(tmp_path: Path) -> None:
    from leopard.documents import LoadOptions
    from leopard.training.sources import FileSource

    (example,) = blocks("json")
    (tmp_path / "list.jsonl").write_text(example)
    source = FileSource.open(tmp_path / "list.jsonl", LoadOptions())
    assert [len(line["turns"]) for line in source.lines] == [1, 2]
    assert json.loads(example.splitlines()[0])["files"] == "invoice-01.pdf"


def test_cluster_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count, write = commands("leopard-llava")
    assert "of each of 64 devices" in leopard(count)
    leopard(write)
    assert (tmp_path / "cluster" / "train.slurm").exists()
    assert read_settings("cluster/settings.json").batch.samples == 128


def test_the_table_of_presets_is_the_presets() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| ([\w ,]+) \| (\S+) \| (\d+) \|$", TEXT, re.M)
    assert {row[0] for row in rows} == set(PRESETS)
    for name, learns, rate, length in rows:
        run = read_settings(name)
        assert run.optimizer.lr == float(rate)
        assert run.data.max_length == int(length)
        language = "adapters on the language model" if run.model.lora else "language model"
        parts = {"vision_encoder": "vision encoder", "connector": "connector",
                 "language_model": language}  # fmt: skip
        said = [word for part, word in parts.items() if run.parts.of(part).train]
        assert learns == ", ".join(said), name


def test_the_example_settings_are_valid(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    (tmp_path / "run.toml").write_text(example)
    run = read_settings(tmp_path / "run.toml")
    assert (run.parts.vision_encoder.lr, run.data.sources[0].weight) == (2e-6, 3.0)


def test_every_setting_that_the_page_names_exists() -> None:
    plain = build(TrainSettings, merge(PRESETS["lora"], {})).model_dump()
    names = set(re.findall(r"(?:--set |`)((?:[a-z]+)\.[a-z_]+)\b", TEXT))
    sections = {"model", "data", "batch", "optimizer", "report", "checkpoints", "parts"}
    checked = [name for name in names if name.partition(".")[0] in sections]
    assert len(checked) >= 8
    for name in checked:
        section, _, key = name.partition(".")
        assert key in plain[section], name
