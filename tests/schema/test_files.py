import os
import subprocess
import sys

import pytest

from leopard.schema.files import is_running, temporary_name, write_text_atomically


def test_a_file_is_replaced_whole_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")
    write_text_atomically(path, "é")
    assert path.read_text(encoding="utf-8") == "é"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_unfinished_files_say_whose_they_are(tmp_path):
    assert temporary_name(tmp_path / "a.txt").name.endswith(f".{os.getpid()}")
    assert temporary_name(tmp_path / "a.txt").name.startswith("a.txt.tmp.")


def test_a_process_runs_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    process.communicate(b"\n")
    assert not is_running(process.pid)
