import json

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from tests.conftest import draw_page


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"page{seed}.png" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        draw_page(seed).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def run(tiny_model_folder, tmp_path):
    def call(command, *words):
        common = ["--model", str(tiny_model_folder), "--index", str(tmp_path / "index")]
        return CliRunner().invoke(build_app(), [command, *map(str, words), *common])

    return call


def test_indexed_files_are_read_once(run, files, tmp_path):
    first = json.loads(run("index", *files, "--json").stdout)
    assert first["pages"] == 2
    assert first["entries"]["written"] > 2
    assert first["bytes"] == sum(p.stat().st_size for p in tmp_path.glob("index/*/*/*.safetensors"))
    again = json.loads(run("index", *files, "--json").stdout)
    assert again["entries"]["written"] == 0
    assert again["entries"]["read"] == first["entries"]["written"]


def test_answers_are_the_same_with_an_index(run, files):
    before = run("ask", *files, "What?", "--max-new-tokens", 6).stdout
    assert run("index", *files).exit_code == 0
    assert run("ask", *files, "What?", "--max-new-tokens", 6).stdout == before


def test_damaged_entries_are_counted_and_made_again(run, files, tmp_path):
    run("index", *files)
    damaged = sorted(tmp_path.glob("index/*/*/*.safetensors"))
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1])
    result = run("index", *files)
    assert f"Damaged: {len(damaged)} entries, made again" in result.stdout
    assert "Damaged" not in run("index", *files).stdout


def test_bad_files_are_named_and_the_others_read(run, files, tmp_path):
    result = run("index", files[0], tmp_path / "gone.png")
    assert result.exit_code == 2
    assert "gone.png" in result.stderr
    assert "1 pages" in result.stdout
    alone = run("index", tmp_path / "gone.png")
    assert alone.exit_code == 2
    assert "Traceback" not in alone.output
