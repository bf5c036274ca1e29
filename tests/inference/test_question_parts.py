"""Questions shared by workers: one line each, whatever dies, with whatever number of workers."""

import json
import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from leopard.errors import DataError, GenerationError
from leopard.executors.local import LocalExecutor
from leopard.executors.ray import RayExecutor
from leopard.inference.fake import FakeGenerator
from leopard.inference.question_parts import Part, answer_in_parts
from leopard.inference.questions import Answerer, BatchSettings, answer_questions
from leopard.schema.generation import SamplingOptions
from leopard.schema.line_log import LineLog
from tests.bounded import apart

IDS = [f"n{number}" for number in range(20)]
SAMPLING = SamplingOptions(max_new_tokens=5)


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "q.jsonl"
    lines = [{"id": name, "files": [], "question": f"Question {name}?"} for name in IDS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def ids(path):
    return Counter(record["id"] for record in records(path))


def work(questions: Path, part: Part, *, ends_after: int = 10**6, log: Path | None = None):
    """Answers a part; raises after so many lines, and notes what it asks."""
    generator = FakeGenerator()
    answerer = Answerer(name="fake", batch=generator.open_batch(), load=lambda _: [])
    settings = BatchSettings(sampling=SAMPLING, part=part.part, parts=part.parts)

    def watch(counts):
        if log is not None:
            with log.open("a") as file:
                file.write(f"{part.part}\n")
        if counts.answered >= ends_after:
            raise GenerationError("the machine was taken away")

    return answer_questions(
        questions, part.answers, answerer, settings, known=part.known, watch=watch
    )


def test_workers_files_become_one(questions, tmp_path):
    out = tmp_path / "deep" / "a.jsonl"
    ended = []
    counts = answer_in_parts(
        out,
        partial(work, questions),
        LocalExecutor(),
        workers=3,
        watch=lambda: ended.append(1),
    )
    assert (counts.done_before, counts.answered, counts.failed) == (0, 20, 0)
    assert ids(out) == Counter(IDS)
    assert len(ended) == 3
    assert list(out.parent.iterdir()) == [out]
    again = answer_in_parts(out, partial(work, questions), LocalExecutor(), workers=2)
    assert (again.done_before, again.answered) == (20, 0)
    assert ids(out) == Counter(IDS)
    # The file is one that a run without workers goes on with.
    alone = work(questions, Part(part=0, parts=1, answers=out))
    assert (alone.done_before, alone.answered) == (20, 0)


def test_a_share_of_the_questions_is_shared_on(questions, tmp_path):
    found = Counter()
    for part in range(2):
        out = tmp_path / f"{part}.jsonl"
        answer_in_parts(out, partial(work, questions), LocalExecutor(), share=(part, 2), workers=3)
        assert len(records(out)) in range(7, 14)
        found += ids(out)
    assert found == Counter(IDS)


def test_what_an_ended_run_left_is_not_asked_again_by_other_workers(questions, tmp_path):
    out, log = tmp_path / "a.jsonl", tmp_path / "asked.txt"
    failing = partial(work, questions, ends_after=4, log=log)
    with pytest.raises(GenerationError, match="taken away"):
        answer_in_parts(out, failing, LocalExecutor(), workers=2)
    assert out.read_text() == ""
    (left,) = (tmp_path / "a.jsonl.parts").iterdir()
    assert len(records(left)) == 4
    counts = answer_in_parts(out, partial(work, questions, log=log), LocalExecutor(), workers=3)
    assert (counts.done_before, counts.answered) == (4, 16)
    assert ids(out) == Counter(IDS)
    assert len(log.read_text().splitlines()) == 20
    assert not (tmp_path / "a.jsonl.parts").exists()


def test_lines_that_were_moved_before_a_crash_are_not_doubled(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    work(questions, Part(part=0, parts=2, answers=out))
    left = tmp_path / "a.jsonl.parts" / "1of2.jsonl"
    left.parent.mkdir()
    left.write_bytes(out.read_bytes() + b'{"id": "torn')
    counts = answer_in_parts(out, partial(work, questions), LocalExecutor(), workers=2)
    assert (counts.done_before, counts.answered) == (10, 10)
    assert ids(out) == Counter(IDS)


def test_a_worker_that_still_writes_is_waited_for_by_people(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    with (
        LineLog(tmp_path / "a.jsonl.parts" / "1of2.jsonl"),
        pytest.raises(DataError, match="another process is writing it"),
    ):
        answer_in_parts(out, partial(work, questions), LocalExecutor(), workers=2)
    with LineLog(out), pytest.raises(DataError, match=r"a\.jsonl: another process"):
        answer_in_parts(out, partial(work, questions), LocalExecutor(), workers=2)


def test_answers_of_other_settings_are_refused(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    out.write_text(json.dumps({"id": "n1", "asked": "x", "run": "other:settings"}) + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl: holds answers of another model"):
        answer_in_parts(out, partial(work, questions), LocalExecutor(), workers=2)


# --- Under Ray -----------------------------------------------------------------------------------


def work_or_die(questions: Path, log: Path, part: Part):
    """The first time, the worker of part 1 is killed after its third line."""
    flag = log.with_name("killed")
    if part.part != 1 or flag.exists():
        return work(questions, part, log=log)
    flag.write_text("")
    try:
        return work(questions, part, ends_after=3, log=log)
    except GenerationError:
        os.kill(os.getpid(), signal.SIGKILL)
        raise


def answer_under_ray(questions: Path, out: Path, log: Path) -> None:
    counts = answer_in_parts(
        out, partial(work_or_die, questions, log), RayExecutor(workers=2), workers=2
    )
    # The worker that was run again found the lines of the one that died.
    assert (counts.done_before, counts.answered, counts.failed) == (3, 17, 0)


def test_killed_ray_workers_lose_and_double_nothing(questions, tmp_path):
    pytest.importorskip("ray")
    out, log = tmp_path / "a.jsonl", tmp_path / "asked.txt"
    apart(300, answer_under_ray, questions, out, log)
    assert (tmp_path / "killed").exists()
    assert ids(out) == Counter(IDS)
    assert len(log.read_text().splitlines()) == 20
    assert not (tmp_path / "a.jsonl.parts").exists()
