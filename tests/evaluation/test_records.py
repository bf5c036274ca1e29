import json

import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.records import (
    RecordLog,
    read_file,
    read_manifest,
    read_records,
    worker_file,
    write_manifest,
    write_merged,
)


def record(name, index=0, **more):
    return {"id": name, "index": index, **more}


@pytest.fixture
def folder(tmp_path):
    write_manifest(tmp_path, {"identity": {"task": "x"}})
    return tmp_path


def test_records_are_durable_and_ordered(folder):
    with RecordLog(folder, 1, 2) as log:
        log.append(record("b", 1, text="é\ud800"))
    with RecordLog(folder, 0, 2) as log:
        log.append(record("a", 0))
    assert [row["id"] for row in read_records(folder)] == ["a", "b"]
    write_merged(folder, read_records(folder))
    assert [row.get("text") for row in read_records(folder)] == [None, "é\ud800"]


def test_two_writers_of_one_rank_are_refused(folder):
    with RecordLog(folder, 0, 1), pytest.raises(EvaluationError, match="another process"):
        RecordLog(folder, 0, 1)
    with RecordLog(folder, 0, 1), pytest.raises(EvaluationError, match="another array size"):
        RecordLog(folder, 0, 2)
    with RecordLog(folder, 0, 2), RecordLog(folder, 1, 2):
        pass


def test_doubled_samples_are_refused(folder):
    line = json.dumps(record("a")) + "\n"
    worker_file(folder, 0, 2).write_text(line)
    worker_file(folder, 1, 2).write_text(line)
    with pytest.raises(EvaluationError, match="by two workers"):
        read_records(folder)
    worker_file(folder, 1, 2).write_text(line.replace('"a"', '"b"') * 2)
    with pytest.raises(EvaluationError, match="recorded twice"):
        read_records(folder)


def test_merged_records_win_over_leftovers(folder):
    with RecordLog(folder) as log:
        log.append(record("a", 0, score=1), record("b", 1, score=1))
        with pytest.raises(EvaluationError, match="still writing"):
            write_merged(folder, [])
    leftover = worker_file(folder, 0, 1).read_text()
    write_merged(folder, [record("a", 0, score=2), record("b", 1, score=2)])
    # As if the process had died between the two steps.
    worker_file(folder, 0, 1).write_text(leftover)
    assert [row["score"] for row in read_records(folder)] == [2, 2]


def test_damaged_lines_are_named(folder):
    worker_file(folder, 0, 1).write_text('{"id": "a", "index": 0}\nnot json\n')
    with pytest.raises(EvaluationError, match="line 2"):
        read_records(folder)
    with pytest.raises(EvaluationError, match="line 2"):
        list(read_file(worker_file(folder, 0, 1)))


def test_a_folder_without_manifest_is_no_run(tmp_path):
    with pytest.raises(EvaluationError, match="not the folder of a run"):
        read_manifest(tmp_path)
