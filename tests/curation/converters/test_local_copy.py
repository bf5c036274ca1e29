"""Local copies: files are found by the end of their path and never outside the folder."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from leopard.curation.converters import local_copy
from leopard.curation.converters.drafts import pixel_image
from leopard.curation.converters.local_copy import LocalCopy
from leopard.curation.imports import BadRecordError
from leopard.errors import DataError
from tests.curation.converters.fixtures import picture, put


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "a/../../secret.txt"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    put(tmp_path / "secret.txt", "s")
    put(tmp_path / "copy/a/b.txt", "b")
    copy = LocalCopy(tmp_path / "copy")
    with pytest.raises(BadRecordError, match="missing"):
        copy.picture(name)
    with pytest.raises(BadRecordError, match=r"outside the folder|cannot be read"):
        copy.read(name)


def test_damaged_annotation_files_stop_with_a_message(tmp_path: Path) -> None:
    put(tmp_path / "a.json", '{"data": [')
    put(tmp_path / "b.json", b"\xff\xfe")
    put(tmp_path / "deep.json", "[" * 100_000)
    put(tmp_path / "c.parquet", b"PAR1")
    copy = LocalCopy(tmp_path)
    for name in ("a.json", "b.json", "deep.json"):
        with pytest.raises(DataError, match="not JSON"):
            copy.json(name)
    with pytest.raises(DataError, match="not readable as parquet"):
        list(copy.parquet("c.parquet"))
    with pytest.raises(DataError, match="no such folder"):
        LocalCopy(tmp_path / "none")


def test_lines_that_are_no_json_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '\ufeff{"n": 1}\n\n{"n":\n[' + "[" * 100_000 + '\n{"n": 2}')
    rejects = Counter[str]()
    assert [row["n"] for row in LocalCopy(tmp_path).jsonl("a.jsonl", rejects)] == [1, 2]
    assert rejects == {"a line is not JSON": 2}


def test_gzipped_json_is_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.json.gz", gzip.compress(json.dumps({"n": 1}).encode()))
    put(tmp_path / "bomb.json.gz", gzip.compress(b" " * 5000 + b"1"))
    put(tmp_path / "torn.json.gz", gzip.compress(b"[1, 2, 3]" * 99)[:-9])
    monkeypatch.setattr(local_copy, "MAX_JSON_GZ", 4000)
    copy = LocalCopy(tmp_path)
    assert copy.record_json("a.json.gz") == {"n": 1}
    with pytest.raises(BadRecordError, match="too large"):
        copy.record_json("bomb.json.gz")
    with pytest.raises(BadRecordError, match="not JSON"):
        copy.record_json("torn.json.gz")


def test_pages_of_a_pdf_are_drawn_at_150_dots_per_inch(tmp_path: Path) -> None:
    pages = [Image.open(io.BytesIO(picture(n, (72, 144)))) for n in range(2)]
    pages[0].save(tmp_path / "a.pdf", "PDF", save_all=True, append_images=pages[1:])
    put(tmp_path / "b.pdf", b"%PDF-1.4 torn")
    copy = LocalCopy(tmp_path)
    drawn = [pixel_image(page) for page in copy.pdf_pages("a.pdf")]
    assert [(page.width, page.height, page.path) for page in drawn] == [
        (150, 300, "a_p1.png"),
        (150, 300, "a_p2.png"),
    ]
    assert drawn[0].data != drawn[1].data
    with pytest.raises(BadRecordError, match="a PDF cannot be opened"):
        copy.pdf_pages("b.pdf")


def test_the_fingerprint_hangs_on_names_and_sizes(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "one")
    before = LocalCopy(tmp_path).fingerprint
    assert LocalCopy(tmp_path).fingerprint == before
    put(tmp_path / "a.txt", "one more")
    assert LocalCopy(tmp_path).fingerprint != before
