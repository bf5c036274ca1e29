"""`leopard curate convert`: one source, several sources, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.curation.converters import SOURCES
from leopard.schema.shards import iter_samples
from tests.curation.converters.fixtures import BUILDERS

CONFIG = Path(__file__).parents[2] / "configs" / "convert.toml"


def convert(*args: object):
    return CliRunner().invoke(build_app(), ["curate", "convert", *map(str, args)])


def test_one_source_is_converted_and_everything_left_out_is_said(tmp_path: Path) -> None:
    BUILDERS["docvqa"](tmp_path / "in")
    result = convert("docvqa", "--input", tmp_path / "in", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = result.stdout
    assert "3 samples (0 with several images), 3 images, 3 questions" in said
    assert "1  left out: a file is missing" in said
    assert "1  left out: answer is missing" in said
    assert "Licence: LicenseRef-RRC-DocVQA. Research use" in said
    assert len(list(iter_samples(tmp_path / "out"))) == 3


def test_options_reach_the_conversion(tmp_path: Path) -> None:
    BUILDERS["tabmwp"](tmp_path / "in")
    BUILDERS["chartqa"](tmp_path / "charts")
    convert("tabmwp", "--input", tmp_path / "in", "--out", tmp_path / "a", "--no-rationales")
    convert("tabmwp", "--input", tmp_path / "in", "--out", tmp_path / "b", "--limit", 1)
    said = [s.messages[-1].parts[0].text for s in iter_samples(tmp_path / "a")]
    assert said == ["6.20", "B. surplus"]
    (only,) = iter_samples(tmp_path / "b")
    assert "Two pens cost" in only.messages[-1].parts[0].text
    convert("chartqa", "--input", tmp_path / "charts", "--out", tmp_path / "c", "--no-assemble")
    assert [len(sample.images) for sample in iter_samples(tmp_path / "c")] == [1] * 4


def test_the_list_names_all_sources_with_their_licence() -> None:
    result = convert("--list")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[: len(SOURCES)]] == list(SOURCES)
    assert all(len(line.split()) == 3 for line in lines[: len(SOURCES)])
    one = convert("mapqa", "--list").stdout
    for part in ("get it:", "files:", "licence:", "cite:", "1 to 2 images", "could not be checked"):
        assert part in one


def test_the_example_config_converts_what_is_there_and_names_what_is_not(tmp_path: Path) -> None:
    config = tmp_path / "configs" / "convert.toml"
    config.parent.mkdir()
    config.write_text(CONFIG.read_text(encoding="utf-8"), encoding="utf-8")
    for name, folder in (("docvqa", "DocVQA"), ("chartqa", "ChartQA")):
        BUILDERS[name](tmp_path / "data/sources" / folder)
    out = tmp_path / "out"
    result = convert("--config", config, "--out", out, "--seed", 4)
    assert result.exit_code == 2
    assert "slidevqa: " in result.stderr
    assert "no such folder" in result.stderr
    assert "not converted: slidevqa" in result.stderr
    samples = [*iter_samples(out / "docvqa"), *iter_samples(out / "chartqa")]
    assert len(samples) == 5
    assert {sample.provenance["seed"] for sample in samples} == {4}
    BUILDERS["slidevqa"](tmp_path / "data/sources/SlideVQA")
    assert convert("--config", config, "--out", out, "--seed", 4).exit_code == 0
    assert len(list(iter_samples(out / "slidevqa"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["docvqa"], "give SOURCE, --input and --out"),
        (["docvq", "--input", ".", "--out", "o"], "source 'docvq' is unknown; use one of"),
        (["docvqa", "--input", "nowhere", "--out", "o"], "no such folder"),
        (["docvqa", "--input", ".", "--out", "o"], "holds no train_v1.0_withQT.json"),
        (["docvqa", "--input", ".", "--out", "o", "--limit", "0"], "limit"),
        (["docvqa", "--input", ".", "--out", "o", "--split", "dev"], "split"),
        (["docvqa", "--config", "c.toml", "--out", "o"], "either SOURCE with --input, or --config"),
        (["--config", "c.toml", "--out", "o"], "c.toml: cannot be read"),
        (["--config", "odd.toml", "--out", "o"], "source 'docvq' is unknown"),
        (["--config", "empty.toml", "--out", "o"], "sources"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.toml").write_text('[sources]\ndocvq = "x"\n')
    (tmp_path / "empty.toml").write_text("seed = 1\n")
    result = convert(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.parquet"))
