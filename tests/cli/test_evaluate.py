import json
import os
import signal
from unittest import mock

import pytest
from typer.testing import CliRunner

from leopard.cli import evaluate as evaluate_command
from leopard.cli.main import build_app
from leopard.evaluation.fake import ScriptedGenerator
from leopard.evaluation.records import read_records
from tests.evaluation.generators.test_openai_server import Server
from tests.evaluation.helpers import by_content, evaluate, many_pages, stable

runner = CliRunner()


def leopard(*args):
    return runner.invoke(build_app(), ["evaluate", *map(str, args)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return many_pages(tmp_path_factory.mktemp("data"), documents=3)


@pytest.fixture
def two_runs(data, tmp_path):
    evaluate(data, tmp_path / "a")
    evaluate(data, tmp_path / "b", script=lambda _: "May 1")
    return tmp_path / "a", tmp_path / "b"


def test_list_names_every_task():
    result = leopard("list")
    assert result.exit_code == 0
    assert "mpdocvqa" in result.stdout
    assert "wikitablequest" in result.stdout


def test_baseline_run_prints_scores_and_goes_on(data, tmp_path):
    command = ("run", "mpdocvqa", data, "--out", tmp_path / "run", "--baseline", "random")
    first = leopard(*command)
    assert first.exit_code == 0, first.output
    assert "| anls |" in first.stdout
    assert "12 samples asked" in first.stderr
    again = leopard(*command, "-q")
    assert "0 samples asked, 12 done before" in again.stderr


def test_workers_share_a_run(data, tmp_path):
    for rank in (1, 0):
        result = leopard(
            "run",
            "mpdocvqa",
            data,
            "--out",
            tmp_path,
            "--baseline",
            "majority",
            "-q",
            "--rank",
            rank,
            "--world",
            2,
        )
        assert result.exit_code == 0, result.output
    assert "12 of 12" in result.stdout


@pytest.mark.parametrize("options", [("--workers", 3), ("--executor", "rank", "--workers", 2)])
def test_processes_share_a_run(options, data, tmp_path):
    command = ("run", "mpdocvqa", data, "--baseline", "random", "-q", "--out")
    assert leopard(*command, tmp_path / "one").exit_code == 0
    result = leopard(*command, tmp_path / "many", *options)
    assert result.exit_code == 0, result.output
    assert "12 samples asked, 0 done before" in result.stderr
    assert stable(read_records(tmp_path / "many")) == stable(read_records(tmp_path / "one"))
    files = list((tmp_path / "many").glob("records.*.jsonl"))
    assert len(files) == options[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_killed_ray_workers_lose_and_double_nothing(data, tmp_path):
    ray = pytest.importorskip("ray")
    command = ("run", "mpdocvqa", data, "--baseline", "random", "-q", "--out")
    assert leopard(*command, tmp_path / "one").exit_code == 0
    flag = tmp_path / "killed"
    real = evaluate_command._run_quietly

    def run_or_die(*args, settings, **kwargs):
        if settings.rank == 1 and not flag.exists():
            flag.write_text("")
            real(*args, settings=settings, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, settings=settings, **kwargs)

    with mock.patch.object(evaluate_command, "_run_quietly", run_or_die):
        try:
            result = leopard(*command, tmp_path / "ray", "--executor", "ray", "--workers", 2)
        finally:
            ray.shutdown()
    assert result.exit_code == 0, result.output
    assert flag.exists()
    assert stable(read_records(tmp_path / "ray")) == stable(read_records(tmp_path / "one"))


def test_an_unknown_executor_is_named(data, tmp_path):
    result = leopard(
        "run", "mpdocvqa", data, "--out", tmp_path, "--baseline", "random", "--executor", "dask"
    )
    assert result.exit_code == 2
    assert "use one of local, ray, rank" in result.output


def test_replay_and_rescore(data, two_runs, tmp_path):
    result = leopard(
        "run", "mpdocvqa", data, "--out", tmp_path / "c", "--replay", two_runs[0], "-q"
    )
    assert result.exit_code == 0, result.output
    again = leopard("rescore", tmp_path / "c")
    assert "0 of 12 samples score differently" in again.stderr


def test_compare_and_report(two_runs, tmp_path):
    result = leopard("compare", *two_runs)
    assert result.exit_code == 0, result.output
    assert "| anls |" in result.stdout
    result = leopard("report", two_runs[0], "--gallery", 2, "--out", tmp_path / "r")
    assert (tmp_path / "r" / "report.html").exists()
    result = leopard("leaderboard", two_runs[0], "--out", tmp_path / "board.html")
    assert "board.html" in result.stdout


def test_server_is_asked(data, tmp_path):
    server = Server()
    try:
        result = leopard(
            "run",
            "mpdocvqa",
            data,
            "--out",
            tmp_path,
            "--server",
            server.url,
            "--server-model",
            "m",
            "--limit",
            2,
            "-q",
        )
    finally:
        server.http.shutdown()
        server.http.server_close()
        server.thread.join()
    assert result.exit_code == 0, result.output
    assert len(server.bodies) == 2
    assert json.loads((tmp_path / "run.json").read_text())["model"] == "m"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--baseline", "x"), "random, majority, ocr"),
        (("--baseline", "random", "--model", "m"), "give one of them"),
        (("--server", "http://127.0.0.1:9/v1"), "--server-model"),
        (("--view", "x", "--baseline", "random"), "question-only"),
    ],
)
def test_wrong_options_end_with_one_line(options, word, data, tmp_path):
    result = leopard("run", "mpdocvqa", data, "--out", tmp_path, *options)
    assert result.exit_code == 2
    assert word in result.stderr
    assert "Traceback" not in result.output


def test_local_model_brings_its_encoding_and_weights_hash(data, tmp_path, monkeypatch):
    from leopard.inference import loading
    from leopard.processor.settings import ProcessorSettings

    class Processor:
        settings = ProcessorSettings(policy="fill")

    class Local(ScriptedGenerator):
        processor = Processor()

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(loading, "load_generator", lambda *a, **k: Local(by_content, "tiny"))
    monkeypatch.setattr(loading, "resolve_model", lambda name: str(folder))
    result = leopard("run", "mpdocvqa", data, "--out", tmp_path / "run", "-q", "--model", folder)
    assert result.exit_code == 0, result.output
    identity = json.loads((tmp_path / "run" / "run.json").read_text())["identity"]
    assert identity["encoding"]["policy"] == "fill"
    assert len(identity["fingerprint"]) == 64
    (folder / "model.safetensors").write_bytes(b"others")
    changed = leopard("run", "mpdocvqa", data, "--out", tmp_path / "run", "-q", "--model", folder)
    assert changed.exit_code == 2
    assert "fingerprint" in changed.stderr


def test_runs_of_other_tasks_are_not_compared(data, two_runs, tmp_path):
    from tests.evaluation.fixtures.builders import build

    other = build("docvqa", tmp_path / "docvqa")
    evaluate(other, tmp_path / "d", name="docvqa")
    result = leopard("compare", two_runs[0], tmp_path / "d")
    assert result.exit_code == 2
    assert "one task" in result.stderr


def test_a_real_model_gives_the_same_answers_in_any_batch(data, tmp_path, tiny_model_folder):
    logs = []
    for batch in (1, 5):
        out = tmp_path / str(batch)
        result = leopard(
            "run",
            "mpdocvqa",
            data,
            "--out",
            out,
            "--model",
            tiny_model_folder,
            "-q",
            "--limit",
            5,
            "--batch-size",
            batch,
            "--max-new-tokens",
            4,
        )
        assert result.exit_code == 0, result.output
        logs.append([(r["id"], r["raw"], r["error"], r["scores"]) for r in read_records(out)])
    assert logs[0] == logs[1]
    assert all(error == "" for _, _, error, _ in logs[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_error_in_a_ray_worker_is_one_line(tmp_path):
    ray = pytest.importorskip("ray")
    try:
        result = leopard(
            "run", "mpdocvqa", tmp_path, "--out", tmp_path / "out", "--baseline", "random",
            "--executor", "ray", "--workers", 1,
        )  # fmt: skip
    finally:
        ray.shutdown()
    assert result.exit_code == 2
    assert "holds no val.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("ray")
    result = leopard(
        "run", "mpdocvqa", tmp_path, "--out", tmp_path / "out", "--executor", "ray",
        "--baseline", "random", "--address", "127.0.0.1:9",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "leopard: no Ray cluster at 127.0.0.1:9" in result.stderr
