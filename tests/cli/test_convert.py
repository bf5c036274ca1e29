import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.inference.loading import load_generator
from tests.model.published import edit_json, write_published_folder


@pytest.fixture
def published(tmp_path):
    write_published_folder(tmp_path / "published")
    return tmp_path / "published"


def convert(*args):
    return CliRunner().invoke(build_app(), ["convert", *map(str, args)])


def test_published_folder_becomes_a_model_that_loads(published, tmp_path):
    result = convert(published, tmp_path / "ours")
    assert result.exit_code == 0
    assert "62 tensors" in result.stderr
    assert "image token 456" in result.stderr
    assert "Left out: 1 tensors" in result.stderr
    assert load_generator(tmp_path / "ours").stop_tokens == {257, 265}


def test_and_back_again(published, tmp_path):
    convert(published, tmp_path / "ours")
    result = convert(tmp_path / "ours", tmp_path / "back", "--to", "published", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert load_generator(tmp_path / "back").processor.image_token_id == 456


def test_contradiction_names_both_values_and_the_way_out(published, tmp_path):
    edit_json(published / "config.json", image_token_index=453)
    result = convert(published, tmp_path / "ours")
    assert result.exit_code == 2
    assert "--image-token 453 or --image-token 456" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert convert(published, tmp_path / "ours", "--image-token", "453").exit_code == 0


def test_unknown_form_is_refused(published, tmp_path):
    assert convert(published, tmp_path / "x", "--to", "gguf").exit_code == 2
