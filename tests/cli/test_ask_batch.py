"""`leopard ask --batch` as users run it: killed and gone on with, and against a server."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from tests.bounded import apart
from tests.conftest import draw_page
from tests.serving.live import live, wait_until

INT8 = ("--weights", "int8")


def ask(*args):
    return CliRunner().invoke(build_app(), ["ask", *map(str, args)])


def ids(path):
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.fixture
def questions(tmp_path):
    """Sixty questions over thirty files that lie beside them."""
    folder = tmp_path / "asked"
    folder.mkdir()
    lines = []
    for number in range(60):
        name = f"page{number // 2}.png"
        draw_page(number // 2).save(folder / name)
        lines.append({"id": f"n{number}", "files": [name], "question": f"Question {number}?"})
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("form", [(), ("--engine", "onnx"), INT8], ids=["torch", "onnx", "int8"])
def test_answers_are_those_of_single_questions(form, questions, tmp_path, tiny_model_folder):
    out = tmp_path / "answers.jsonl"
    lines = questions.read_text().splitlines(keepends=True)[:6]
    questions.write_text("".join(lines))
    common = ("--model", tiny_model_folder, "--max-new-tokens", "6", *form)
    result = ask("--batch", questions, "--out", out, *common)
    assert result.exit_code == 0, result.output
    assert "6 answered, 0 failed, 0 answered before" in result.stderr
    assert result.stdout == ""
    found = {(row := json.loads(line))["id"]: row for line in out.read_text().splitlines()}
    alone = ask(questions.parent / "page2.png", "Question 4?", *common, "-q")
    assert found["n4"]["answer"] + "\n" == alone.stdout
    other = () if form else INT8
    mixed = ask("--batch", questions, "--out", out, *common[:4], *other)
    expected = "0 answered, 0 failed, 6" if form == ("--engine", "onnx") else "choose another --out"
    assert expected in mixed.stderr


def test_killed_runs_answer_every_question_once(questions, tmp_path):
    out = tmp_path / "answers.jsonl"
    command = [sys.executable, "-m", "leopard.cli.main", "ask", "--batch", str(questions)]
    command += ["--out", str(out), "--model", "fake", "--batch-size", "2", "-q"]
    for wanted in (1, 15, 30):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)

        def has_lines(process=process, wanted=wanted):
            if process.poll() is not None:
                return True
            return out.exists() and out.read_bytes().count(b"\n") >= wanted

        wait_until(has_lines, 60)
        process.kill()
        process.wait(10)
        process.stderr.close()
    assert subprocess.run(command, check=False).returncode == 0
    assert Counter(ids(out)) == Counter(f"n{number}" for number in range(60))


def test_a_server_can_be_asked(questions, tmp_path):
    out = tmp_path / "answers.jsonl"
    with live() as server:
        options = ("--server", f"{server.url}/v1", "--model", "fake", "--batch-size", 4)
        result = ask("--batch", questions, "--out", out, *options)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 60
    for row in rows:
        assert row["answer"] == f"[fake] {row['question']} (1 images)"


def test_a_server_that_is_not_there_is_said_and_the_run_goes_on_later(
    questions, tmp_path, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda _: None)
    out = tmp_path / "answers.jsonl"
    result = ask(
        "--batch", questions, "--out", out, "--server", "http://127.0.0.1:9/v1", "--model", "fake"
    )
    assert result.exit_code == 2
    assert "is the server running?" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert out.read_text() == ""


def test_failures_are_counted_and_give_two(questions, tmp_path):
    out = tmp_path / "answers.jsonl"
    (questions.parent / "page0.png").unlink()
    result = ask("--batch", questions, "--out", out, "--model", "fake")
    assert result.exit_code == 2
    assert "58 answered, 2 failed" in result.stderr
    assert len(set(ids(out))) == 60


def ask_apart(*args):
    result = ask(*args)
    assert result.exit_code == 0, result.output
    assert "60 answered, 0 failed, 0 answered before" in result.stderr


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_workers_share_the_questions(executor, questions, tmp_path, monkeypatch):
    if executor == "ray":
        pytest.importorskip("ray")
    # Workers stand elsewhere: paths are those of the command.
    monkeypatch.chdir(questions.parent)
    common = ("--batch", questions.name, "--model", "fake", "-q")
    assert ask(*common, "--out", "alone.jsonl").exit_code == 0
    shared = ("--out", "shared.jsonl", "--executor", executor, "--workers", "2")
    apart(300, ask_apart, *common[:-1], *shared)

    def answers(name):
        lines = (questions.parent / name).read_text().splitlines()
        return sorted(lines, key=lambda line: json.loads(line)["id"])

    found, alone = (
        list(map(json.loads, answers(name))) for name in ("shared.jsonl", "alone.jsonl")
    )
    for one in (*found, *alone):
        for page in one["pages"]:
            page["source"] = page["source"].rpartition("/")[2]
    assert found == alone
    again = ask(*common[:-1], *shared[:2], "--workers", "3")
    assert "0 answered, 0 failed, 60 answered before" in again.stderr
    assert not (questions.parent / "shared.jsonl.parts").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--batch", "gone.jsonl", "--out", "a.jsonl"), "no such file"),
        (("--batch", __file__), "give --out"),
        (("--batch", __file__, "--out", "a", "--part", "x"), "such as 2/8"),
        (("--batch", __file__, "--out", "a", "--part", "3/2"), "part 3 of 2"),
        (("--batch", __file__, "--out", "a", "--workers", 2, "--part", "3/2"), "part 3 of 2"),
        (("--batch", __file__, "--out", "a", "--executor", "slurm"), "use one of local, ray"),
        (("a.pdf", "What?", "--workers", 2), "--workers goes with --batch only"),
        (("--batch", __file__, "--out", "a", "--server", "http://x/v1"), "give --model"),
        (("a.pdf", "What?", "--batch", __file__, "--out", "a"), "files and questions stand in"),
        (("--batch", __file__, "--out", "a", "--engine", "none"), "use torch, onnx, vllm"),
        (
            ("--batch", __file__, "--out", "a", "--engine", "vllm", *INT8),
            "use engine onnx",
        ),
        (
            ("--batch", __file__, "--out", "a", "--server", "http://x/v1", "-m", "m", *INT8),
            "give them to the server",
        ),
        (("--batch", __file__, "--out", "a", "--dtype", "float32"), "--dtype does not go with"),
        (("--batch", __file__, "--out", "a", "--pages", "1-3"), "pages stand in each line"),
    ],
)
def test_wrong_use_is_one_line(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = ask(*args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
