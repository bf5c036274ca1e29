import json

from typer.testing import CliRunner

from leopard.cli.main import build_app


def models(*args):
    return CliRunner().invoke(build_app(), ["models", *map(str, args)], env={"COLUMNS": "200"})


def test_models_of_a_folder_are_listed_with_layout_and_policy(tiny_model_folder):
    text = models(tiny_model_folder.parent).stdout
    assert "published-inference" in text
    assert "0.2 M" in text


def test_json_lists_the_same(tiny_model_folder):
    records = json.loads(models(tiny_model_folder, "--json").stdout)
    record = next(item for item in records if item["folder"] == str(tiny_model_folder))
    assert record["kind"] == "leopard"
    assert record["policy"] == "published"
    assert record["bytes"] == 4 * record["parameters"]


def test_folders_without_models_are_passed_over(tmp_path):
    result = models(tmp_path)
    assert result.exit_code == 0
