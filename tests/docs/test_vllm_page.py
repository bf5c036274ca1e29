"""The commands of docs/vllm.md run; vLLM itself is tested in tests/serving/test_vllm.py."""

import json
import re
import shlex
import shutil
from pathlib import Path

import yaml
from typer.testing import CliRunner

from leopard.cli._served import ENGINES
from leopard.cli.main import build_app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "vllm.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_batches_of_the_page_answer_every_question_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (questions,) = blocks("json")
    asked = [json.loads(line) for line in questions.splitlines()]
    Path("questions.jsonl").write_text(questions)
    shutil.copy(ROOT / "examples" / "broadcast-invoice.pdf", tmp_path)
    lines = [line for block in blocks("sh") for line in block.splitlines() if "--batch" in line]
    assert len(lines) == 4
    for line in lines:
        result = CliRunner().invoke(build_app(), [*shlex.split(line)[1:], "--model", "fake"])
        assert result.exit_code == 0, result.output
    wanted = sorted(question["id"] for question in asked)

    def found(*names):
        rows = [json.loads(line) for name in names for line in Path(name).read_text().splitlines()]
        return sorted(row["id"] for row in rows)

    assert found("answers.jsonl") == wanted
    assert found("answers-1.jsonl", "answers-2.jsonl") == wanted


def test_options_of_the_page_exist_and_the_recipe_is_yaml():
    helps = {
        name: CliRunner().invoke(build_app(), [name, "--help"], env={"COLUMNS": "200"}).output
        for name in ("ask", "serve", "convert")
    }
    for line in re.findall(r"^leopard (.*)$", TEXT, re.M):
        name, *words = shlex.split(line)
        for option in (word for word in words if word.startswith("--")):
            assert option in helps[name], (name, option)
    ways = ("--engine", "--server", "--part", "--batch-size", "--workers", "--executor", "--gpus")
    for option in (*ways, "--address"):
        assert option in helps["ask"]
    assert "vllm" in ENGINES
    (recipe,) = map(yaml.safe_load, blocks("yaml"))
    (application,) = recipe["applications"]
    assert application["args"]["llm_configs"][0]["engine_kwargs"]["tensor_parallel_size"] == 2
