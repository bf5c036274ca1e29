import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from leopard.errors import BudgetError, ConfigError, EvaluationError, GenerationError
from leopard.evaluation.cache import AnswerCache
from leopard.evaluation.encoding import Encoding
from leopard.evaluation.fake import ScriptedGenerator
from leopard.evaluation.generators.base import ModelResponder
from leopard.evaluation.records import read_records, worker_file, write_merged
from leopard.evaluation.runner import RunSettings, Subject, run
from leopard.evaluation.scoring import rescored
from leopard.evaluation.tasks import get_task
from leopard.schema.geometry import CropGeometry
from tests.evaluation.helpers import by_content, evaluate, many_pages, stable


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return many_pages(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    return evaluate(data, tmp_path_factory.mktemp("reference"))


def test_a_record_tells_all(data, tmp_path):
    encoding = Encoding(geometry=CropGeometry(), max_crops=50, policy="published")
    record = evaluate(data, tmp_path, encoding=encoding)[0]
    assert record["id"] == "0"
    assert [image["label"] for image in record["images"]] == [
        "images/d0_p0.jpg",
        "images/d0_p1.jpg",
        "images/d0_p2.jpg",
    ]
    assert record["images"][0] | {"sha256": ""} == {
        "label": "images/d0_p0.jpg",
        "sha256": "",
        "width": 48,
        "height": 32,
        "grid": None,
        "tiles": 0,
        "visual_tokens": 169,
    }
    assert len(record["images"][0]["sha256"]) == 64
    assert record["prompt"].startswith("<image><image><image> Question 0 of 0?\nAnswer the")
    assert set(record["scores"]) == {"anls", "accuracy", "leopard", "leopard_accuracy"}
    for field in ("raw", "parsed", "usage", "timings", "error", "dropped_images", "truncated"):
        assert field in record


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_scores_do_not_depend_on_batch_size(batch_size, data, reference, tmp_path):
    got = evaluate(data, tmp_path, settings=RunSettings(batch_size=batch_size))
    assert stable(got) == stable(reference)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_scores_do_not_depend_on_the_number_of_workers(world, data, reference, tmp_path):
    for rank in reversed(range(world)):
        evaluate(data, tmp_path, settings=RunSettings(rank=rank, world=world))
    assert stable(read_records(tmp_path)) == stable(reference)


def test_scores_do_not_depend_on_the_order_of_the_samples(data, reference, tmp_path):
    rows = json.loads((data / "val.json").read_text())["data"]
    other = many_pages(tmp_path / "data")
    random.Random(3).shuffle(rows)
    (other / "val.json").write_text(json.dumps({"data": rows}))
    got = evaluate(other, tmp_path / "run")
    assert {r["id"]: r["scores"] for r in got} == {r["id"]: r["scores"] for r in reference}


class Crash(BaseException):
    """Stands for a killed process inside a test."""


def crash_after(count):
    seen = []

    def script(request):
        seen.append(request)
        if len(seen) > count:
            raise Crash
        return by_content(request)

    return script


@pytest.mark.parametrize("crash_at", [0, 1, 7, 13])
@pytest.mark.parametrize("world", [1, 3])
def test_interrupted_run_goes_on_with_other_workers(crash_at, world, data, reference, tmp_path):
    with pytest.raises(Crash):
        evaluate(data, tmp_path, script=crash_after(crash_at), settings=RunSettings(batch_size=2))
    # The crash cut a line in the middle as well.
    with worker_file(tmp_path, 0, 1).open("ab") as file:
        file.write(b'{"id": "cut')
    for rank in range(world):
        settings = RunSettings(rank=rank, world=world, batch_size=3)
        evaluate(data, tmp_path, settings=settings)
    evaluate(data, tmp_path)
    assert stable(read_records(tmp_path)) == stable(reference)


CHILD = """
import sys, time
sys.path[:0] = [{root!r}]
from pathlib import Path
from tests.evaluation.helpers import by_content, evaluate
from leopard.evaluation.runner import RunSettings
def slow(request):
    time.sleep(0.02)
    return by_content(request)
evaluate(Path({data!r}), Path({out!r}), script=slow, settings=RunSettings(batch_size=1))
"""


def test_sigkill_and_resume_lose_and_double_nothing(data, reference, tmp_path, request):
    root = str(request.config.rootpath)
    code = CHILD.format(root=root, data=str(data), out=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    log = worker_file(tmp_path, 0, 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size > 4000):
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = len(read_records(tmp_path))
    assert 0 < before < len(reference)
    for rank in range(2):
        evaluate(data, tmp_path, settings=RunSettings(rank=rank, world=2))
    assert stable(read_records(tmp_path)) == stable(reference)


def test_going_on_with_other_settings_is_refused(data, tmp_path):
    evaluate(data, tmp_path, settings=RunSettings(limit=2))
    with pytest.raises(EvaluationError, match="limit: was 2, is 3"):
        evaluate(data, tmp_path, settings=RunSettings(limit=3))
    other = Subject(responder=ModelResponder(ScriptedGenerator(by_content), "weights-2"))
    with pytest.raises(EvaluationError, match="fingerprint"):
        run(get_task("mpdocvqa"), data, other, tmp_path, RunSettings(limit=2))


def test_one_bad_sample_does_not_take_its_batch_along(data, tmp_path):
    def script(request):
        text = by_content(request)
        if "Question 1 of 2" in request.messages[0].parts[3].text:
            raise GenerationError("the model broke")
        return text

    records = evaluate(data, tmp_path, script=script, settings=RunSettings(batch_size=8))
    failed = [record for record in records if record["error"]]
    assert [record["error"] for record in failed] == ["the model broke"]
    assert set(failed[0]["scores"].values()) == {0.0}
    assert not failed[0]["unparsed"]
    assert len(records) == 20


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), OSError("gone"), BudgetError("x")]
)
def test_failures_are_recorded_with_their_reason(error, data, tmp_path):
    def script(_request):
        raise error

    records = evaluate(data, tmp_path, script=script, settings=RunSettings(limit=2))
    assert all(str(error) in record["error"] for record in records)


def test_broken_images_are_counted_as_wrong(tmp_path):
    data = many_pages(tmp_path / "data", documents=2, questions=1)
    (data / "images/d0_p1.jpg").write_bytes(b"no picture")
    (data / "images/d1_p1.jpg").unlink()
    records = evaluate(data, tmp_path / "run")
    assert "not a picture" in records[0]["error"]
    assert records[0]["problem"] == ""
    assert "a file is missing" in records[1]["problem"]
    assert get_task("mpdocvqa").total(records, "anls") == 0.0


def test_cache_answers_again_without_the_model(data, tmp_path):
    cache = AnswerCache(tmp_path / "cache")
    first = evaluate(data, tmp_path / "a", cache=cache)
    asked = []

    def counting(request):
        asked.append(request)
        return by_content(request)

    again = AnswerCache(tmp_path / "cache")
    second = evaluate(data, tmp_path / "b", script=counting, cache=again)
    assert stable(second) == stable(first)
    # Empty answers are never kept.
    assert len(asked) == sum(not record["raw"] for record in first)
    assert again.hits + again.misses == len(first)


def test_changed_pixels_or_weights_miss_the_cache(tmp_path):
    data = many_pages(tmp_path / "data", documents=1, questions=1)
    key = evaluate(data, tmp_path / "a")[0]["key"]
    assert evaluate(data, tmp_path / "b", settings=RunSettings(batch_size=1))[0]["key"] == key
    responder = ModelResponder(ScriptedGenerator(by_content), "weights-2")
    run(get_task("mpdocvqa"), data, Subject(responder=responder), tmp_path / "c")
    other_weights = read_records(tmp_path / "c")[0]["key"]
    encoding = Encoding(geometry=CropGeometry(), max_crops=50, policy="fill")
    other_policy = evaluate(data, tmp_path / "d", encoding=encoding)[0]["key"]
    page = data / "images/d0_p0.jpg"
    page.write_bytes(page.read_bytes() + b"\0")
    other_bytes = evaluate(data, tmp_path / "e")[0]["key"]
    assert len({key, other_weights, other_policy, other_bytes}) == 4


def test_damaged_cache_file_counts_as_none(data, tmp_path):
    cache = AnswerCache(tmp_path)
    evaluate(data, tmp_path / "a", cache=cache, settings=RunSettings(limit=1))
    for file in tmp_path.glob("??/*.json"):
        file.write_text("{")
    assert cache.get("ab" * 32) is None


def test_scores_are_made_again_from_the_log_alone(data, reference, tmp_path):
    records = evaluate(data, tmp_path)
    for record in records:
        record["scores"] = {"anls": 9.0}
    write_merged(tmp_path, rescored(get_task("mpdocvqa"), records))
    assert stable(read_records(tmp_path)) == stable(reference)
    assert [path.name for path in tmp_path.glob("records*")] == ["records.jsonl"]
    # A run can go on after that.
    assert stable(evaluate(data, tmp_path)) == stable(reference)


def test_too_many_images_are_told(tmp_path):
    data = many_pages(tmp_path / "data", documents=1, questions=1)
    encoding = Encoding(geometry=CropGeometry(), max_crops=2, policy="published")
    record = evaluate(data, tmp_path / "run", encoding=encoding)[0]
    assert record["dropped_images"] == 1
    assert "grid" not in record["images"][0]


def test_batches_do_not_tear_documents_that_fit(data, tmp_path):
    generator = ScriptedGenerator(by_content)
    for size in (6, 3):
        responder = ModelResponder(generator)
        settings = RunSettings(batch_size=size)
        run(
            get_task("mpdocvqa"), data, Subject(responder=responder), tmp_path / str(size), settings
        )
    assert generator.calls[:5] == [4] * 5
    assert generator.calls[5:] == [3, 1, 3, 1, 3, 1, 3, 1, 3, 1]


def test_progress_and_counts(data, tmp_path):
    seen = []
    responder = ModelResponder(ScriptedGenerator(by_content))
    settings = RunSettings(batch_size=8)
    counts = run(
        get_task("mpdocvqa"),
        data,
        Subject(responder=responder),
        tmp_path,
        settings,
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(8, 20), (16, 20), (20, 20)]
    assert (counts.done_before, counts.asked, counts.failed, counts.broken) == (0, 20, 0, 0)


@pytest.mark.parametrize(
    ("values", "word"),
    [({"view": "x"}, "view"), ({"rank": 2, "world": 2}, "rank"), ({"batch_size": 0}, "batch_size")],
)
def test_impossible_settings_are_refused(values, word):
    with pytest.raises(ConfigError, match=word):
        RunSettings(**values)


def test_pages_are_asked_for_and_read(data, tmp_path):
    settings = RunSettings(ask_pages=True, limit=1)
    record = evaluate(data, tmp_path, script=lambda _: "May 1\nPages: 1, 3", settings=settings)[0]
    assert record["prompt"].endswith("Pages: 1, 2")
    assert record["parsed"] == "May 1"
    assert record["pages_named"] == [0, 2]
