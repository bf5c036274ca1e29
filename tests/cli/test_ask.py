import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from leopard import Leopard
from leopard.cli.main import build_app
from leopard.documents.pdf import PDFDocument
from leopard.errors import DocumentFormatError
from leopard.schema.generation import SamplingOptions
from tests.conftest import draw_page
from tests.documents.conftest import pdf_bytes


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"page{seed}.png" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        draw_page(seed).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def ask(tiny_model_folder):
    def run(*args):
        common = ["--model", str(tiny_model_folder), "--max-new-tokens", "6"]
        return CliRunner().invoke(build_app(), ["ask", *map(str, args), *common])

    return run


def test_answer_goes_to_stdout_and_the_rest_to_stderr(ask, files, tiny_model_folder):
    result = ask(*files, "What is the title?")
    expected = Leopard.from_pretrained(tiny_model_folder).ask(
        files, "What is the title?", sampling=SamplingOptions(max_new_tokens=6)
    )
    assert result.exit_code == 0
    assert result.stdout == expected.text + "\n"
    assert "2 pages" in result.stderr
    assert "cut at --max-new-tokens" in result.stderr


def test_quiet_leaves_only_the_answer(ask, files):
    result = ask(*files, "What?", "--quiet")
    assert result.stderr == ""
    assert result.stdout.strip()


def test_json_holds_everything(ask, files):
    values = json.loads(ask(*files, "What?", "--json", "-q").stdout)
    assert values["question"] == "What?"
    assert [page["source"] for page in values["pages"]] == files
    assert values["usage"]["completion_tokens"] <= 6
    assert values["failures"] == []


def test_bad_files_are_named_and_the_others_answered(ask, files, tmp_path):
    bad = tmp_path / "torn.pdf"
    bad.write_bytes(b"%PDF-1.4 torn")
    gone = tmp_path / "gone.png"
    result = ask(files[0], bad, gone, "What?")
    assert result.exit_code == 2
    assert result.stdout.strip()
    lines = result.stderr.splitlines()
    assert sum("torn.pdf" in line for line in lines) == 1
    assert sum("gone.png" in line for line in lines) == 1
    assert "Failed: 2 files" in result.stderr


def test_only_bad_files_give_no_answer(ask, tmp_path):
    result = ask(tmp_path / "gone1.png", tmp_path / "gone2.png", "What?")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 2
    assert all(line.startswith("leopard: ") for line in result.stderr.splitlines())


def test_sampling_follows_the_seed(ask, files):
    texts = [
        ask(files[0], "What?", "--temperature", 2, "--seed", seed).stdout for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_settings_of_the_processor_can_be_changed(ask, files):
    result = ask(*files, "What?", "--max-crops", 1, "--on-too-many", "first")
    assert result.exit_code == 0
    assert "Left out: 1 pages" in result.stderr
    assert ask(*files, "What?", "--policy", "nonsense").exit_code == 2


@pytest.mark.parametrize(
    ("option", "value"), [("--temperature", "-1"), ("--pages", "x"), ("--instruction", "shout")]
)
def test_values_out_of_range_are_refused_in_one_line(ask, files, option, value):
    result = ask(*files, "What?", option, value)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_missing_question_or_file_is_said(ask, files):
    assert "the last argument is the question" in ask(*files).stderr
    assert "a file and a question" in ask("What?").stderr


def test_the_real_command_answers(files, tiny_model_folder):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "leopard.cli.main", "ask", files[0], "What?"),
            *("--model", str(tiny_model_folder), "--max-new-tokens", "4"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_engines_give_the_same_answer(ask, files):
    torch, onnx = (ask(*files, "What is the title?", "--engine", one) for one in ("torch", "onnx"))
    assert torch.exit_code == onnx.exit_code == 0
    assert torch.stdout == onnx.stdout
    refused = ask(*files, "What?", "--engine", "torch", "--weights", "int4")
    assert refused.exit_code == 2
    assert "use engine onnx, or weights int8" in refused.stderr


def test_options_of_a_batch_are_refused_without_one(ask, files):
    for option in (("--out", "a.jsonl"), ("--part", "1/2"), ("--server", "http://host/v1")):
        assert f"{option[0]} goes with --batch only" in ask(*files, "What?", *option).stderr
    refused = ask(*files, "What?", "--engine", "vllm").stderr
    assert "--engine vllm goes with --batch only" in refused


def test_a_limit_can_be_raised(ask, files):
    refused = ask(*files, "What?", "--max-pages", "1", "-q")
    assert "--max-pages" in refused.stderr
    assert refused.exit_code == 2
    assert ask(*files, "What?", "--max-pages", "2", "-q").exit_code == 0


def test_an_empty_question_is_refused(ask, files):
    result = ask(*files, "  ")
    assert result.exit_code == 2
    assert "the question is empty" in result.stderr


@pytest.mark.parametrize("command", ["ask", "index"])
def test_page_that_cannot_be_drawn_is_named_and_the_others_are_used(
    command, tiny_model_folder, tmp_path, monkeypatch
):
    path = tmp_path / "deck.pdf"
    path.write_bytes(pdf_bytes(3))
    draw = PDFDocument.render

    def draw_or_fail(self, number, size):
        if number == 2:
            raise DocumentFormatError("torn", source=self.source, page=2, remedy="mend it")
        return draw(self, number, size)

    def run(*words):
        shared = ["--model", str(tiny_model_folder), "--index", str(tmp_path / "index"), "--json"]
        return CliRunner().invoke(build_app(), [command, *map(str, words), *shared])

    words = ["What?"] if command == "ask" else []
    monkeypatch.setattr(PDFDocument, "render", draw_or_fail)
    result = run(path, *words)
    assert result.exit_code == 2
    values = json.loads(result.stdout)
    assert result.stderr.count("deck.pdf, page 2: torn") == len(values["failures"]) == 1
    pages = values["pages"]
    assert (len(pages) if command == "ask" else pages) == 2
    assert run(path, *words, "--pages", "1,3").exit_code == 0
