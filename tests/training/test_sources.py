"""Samples from shards of both kinds and from lists of files."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from leopard.curation.pixels import draw
from leopard.documents import LoadOptions
from leopard.errors import DataError, DocumentError
from leopard.inference.leopard import question_about
from leopard.schema.samples import PixelImage
from leopard.schema.shards import write_shard
from leopard.training.sources import FileSource, ShardSource, open_source
from tests.conftest import draw_page
from tests.training.conftest import blank_pdf, pixel_sample, vector_sample

OPTIONS = LoadOptions(crop_size=56, max_crops=12)


def test_rows_of_all_shards_with_sizes_before_pixels(shards: Path) -> None:
    source = open_source(shards / "pixels", split=None, draw=draw, options=OPTIONS)
    assert [len(group) for group in source.groups] == [10, 14]
    for row in range(24):
        record = source.record(row)
        assert record.id == f"s-{row}"
        assert len(record.sizes) == row % 4
        sizes = [(image.width, image.height) for image in source.images(row)]
        assert sizes == [(size.width, size.height) for size in record.sizes]


def test_only_the_split_asked_for(shards: Path) -> None:
    source = ShardSource.open(shards / "pixels", split="val", draw=draw)
    rows = [row for group in source.groups for row in group]
    assert [source.record(row).id for row in rows] == ["s-9", "s-19"]
    assert len(source.images(1)) == 19 % 4


def test_vector_pages_are_drawn_clean_or_as_scans(tmp_path: Path) -> None:
    pdf = blank_pdf(100, 140)
    samples = [vector_sample(1, pdf), vector_sample(2, pdf, augment_seed=5)]
    write_shard(tmp_path / "v.parquet", samples, pdfs={hashlib.sha256(pdf).hexdigest(): pdf})
    source = ShardSource.open(tmp_path, split=None, draw=draw)
    (clean,), (scan,) = source.images(0), source.images(1)
    assert clean.size == scan.size == (100, 140)
    assert clean.getextrema() == ((255, 255),) * 3
    assert scan.getextrema() != clean.getextrema()


def test_a_source_travels_to_a_worker_without_its_caches(shards: Path) -> None:
    source = ShardSource.open(shards / "pixels", split=None, draw=draw)
    before = source.images(7)
    sent = pickle.dumps(source)
    assert len(sent) < 4000
    again = pickle.loads(sent)
    assert [image.tobytes() for image in again.images(7)] == [i.tobytes() for i in before]


def test_damaged_images_and_wrong_sizes_are_named(tmp_path: Path) -> None:
    good = pixel_sample(1, 1)
    (image,) = good.images
    assert isinstance(image, PixelImage)
    from dataclasses import replace

    bad = replace(good, id="cut", images=(replace(image, data=image.data[:60]),))
    lying = replace(good, id="lying", images=(replace(image, width=image.width + 1),))
    write_shard(tmp_path / "s.parquet", [bad, lying])
    source = ShardSource.open(tmp_path, split=None, draw=draw)
    with pytest.raises(DataError, match=r"sample cut in .*cannot be read"):
        source.images(0)
    with pytest.raises(DataError, match=r"sample lying in .* the shard says 113 x 112"):
        source.images(1)


def test_files_with_questions_are_shown_as_when_the_model_is_asked(tmp_path: Path) -> None:
    draw_page(1, (200, 150)).save(tmp_path / "one.png")
    (tmp_path / "two.pdf").write_bytes(blank_pdf(300, 200))
    lines = [
        {"files": ["one.png", "two.pdf"], "question": "What?", "answer": "This."},
        {"files": "one.png", "turns": [{"question": "A?", "answer": "1"},
                                       {"question": "B?", "answer": "2"}]},
    ]  # fmt: skip
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    source = open_source(tmp_path / "list.jsonl", split=None, draw=draw, options=OPTIONS)
    assert isinstance(source, FileSource)
    record = source.record(0)
    assert record.messages[0] == question_about("What?", 2)
    sizes = [(image.width, image.height) for image in source.images(0)]
    assert sizes == [(size.width, size.height) for size in record.sizes]
    assert [message.num_images for message in source.record(1).messages] == [1, 0, 0, 0]


@pytest.mark.parametrize("line", ['{"files": "a.pdf"}', "[1]", "{", '{"files": 1, "question": 2}'])
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(f'{{"files": "x", "question": "q", "answer": "a"}}\n{line}\n')
    with pytest.raises(DataError, match="line 2: not understood"):
        FileSource.open(path, OPTIONS)


def test_missing_files_and_lists_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        FileSource.open(tmp_path / "no.jsonl", OPTIONS)
    with pytest.raises(DataError, match="no shard"):
        open_source(tmp_path, split=None, draw=draw, options=OPTIONS)
    path = tmp_path / "list.jsonl"
    path.write_text('{"files": "gone.pdf", "question": "q", "answer": "a"}\n')
    with pytest.raises(DocumentError, match=r"gone\.pdf"):
        FileSource.open(path, OPTIONS).record(0)
