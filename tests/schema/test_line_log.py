import pytest

from leopard.errors import DataError
from leopard.schema.line_log import LineLog, repair


def test_lines_come_back_and_a_torn_one_is_cut(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    with LineLog(path) as log:
        log.append({"text": "ä\n\ud800"})
        log.append({"n": 2})
    with path.open("ab") as file:
        file.write(b'{"n": 3')
    with LineLog(path) as log:
        assert log.repaired == 7
        assert [record.get("n") for record in log.records()] == [None, 2]
        log.append({"n": 4})
        assert [record.get("n") for record in log.records()] == [None, 2, 4]


def test_only_one_may_write(tmp_path):
    with LineLog(tmp_path / "log"), pytest.raises(DataError, match="another process"):
        LineLog(tmp_path / "log")
    LineLog(tmp_path / "log").close()


@pytest.mark.parametrize("line", ["no", "[1]"])
def test_other_lines_are_named(tmp_path, line):
    path = tmp_path / "log"
    path.write_text(f"{{}}\n{line}\n")
    with LineLog(path) as log, pytest.raises(DataError, match="line 2: not"):
        list(log.records())


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", b""),
        (b"abc", b""),
        (b"a\nbc", b"a\n"),
        (b"a\n", b"a\n"),
        (b"a\n" + b"x" * 200_000, b"a\n"),
    ],
)
def test_half_written_last_line_is_cut(content, kept, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(content)
    assert repair(path) == len(content) - len(kept)
    assert path.read_bytes() == kept
    assert repair(tmp_path / "absent") == 0
