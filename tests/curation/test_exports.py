"""Every export format carries the same images and turns, and is read back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from leopard.curation.exports import FORMATS, export_folder, turns
from leopard.curation.imports import import_samples
from leopard.curation.pixels import draw, scan_turn, to_pixels
from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.settings import load_preset
from leopard.errors import ConfigError
from leopard.schema.geometry import ImageSize
from leopard.schema.samples import PixelImage, Sample, VectorPage
from leopard.schema.shards import write_shard

pytest.importorskip("typst")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    maker = SampleMaker(load_preset("smoke"))
    made = [maker.make(index) for index in range(4)]
    pdfs = {hashlib.sha256(m.pdf).hexdigest(): m.pdf for m in made}
    write_shard(folder / "a.parquet", [m.sample for m in made], pdfs=pdfs)
    return folder


def essence(sample: Sample) -> tuple[object, ...]:
    images = [i.data for i in sample.images if isinstance(i, PixelImage)]
    return [(u.split("\n")[-1], a) for u, a in turns(sample)], images


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_a_round_trip_keeps_turns_and_images(style: str, shards: Path, tmp_path: Path) -> None:
    target = tmp_path / style
    assert export_folder(shards, target, style) == 4
    rejects = Counter[str]()
    back = list(import_samples(target, style, rejects))
    assert not rejects
    hf = tmp_path / "hf2"
    export_folder(shards, hf, "hf")
    wanted = [essence(sample) for sample in import_samples(hf, "hf", rejects)]
    assert [essence(sample) for sample in back] == wanted


def test_unknown_formats_and_full_folders_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use one of hf, llava"):
        export_folder(shards, tmp_path / "x", "xml")
    (tmp_path / "y").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        export_folder(shards, tmp_path, "hf")


def test_bad_records_are_counted_by_reason(tmp_path: Path) -> None:
    records = [
        {"id": "1", "image": ["gone.jpg"], "conversations": [{"from": "human", "value": "Q"}]},
        {"id": "2", "image": [], "conversations": []},
        {"id": "3", "conversations": [{"from": "human", "value": "<image> Q"}]},
        {"id": "4", "image": ["../../etc/passwd"], "texts": [{"user": "", "assistant": ""}]},
        {
            "id": "5",
            "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "a"}],
        },
    ]
    (tmp_path / "train.json").write_text(json.dumps(records))
    rejects = Counter[str]()
    kept = list(import_samples(tmp_path, "llava", rejects))
    assert [sample.id for sample in kept] == ["5"]
    assert rejects == {
        "an image is missing": 2,
        "no conversation": 1,
        "images and image tags differ in number": 1,
    }


def test_scans_are_the_same_for_a_seed_and_differ_from_the_clean_page() -> None:
    made = SampleMaker(load_preset("smoke")).make(0)
    clean = made.sample.images[0]
    assert isinstance(clean, VectorPage)
    scanned = [draw(made.pdf, replace(clean, augment_seed=s)) for s in (5, 5, 6)]
    assert scanned[0].tobytes() == scanned[1].tobytes()
    assert scanned[0].tobytes() != scanned[2].tobytes()
    assert scanned[0].size == (clean.width, clean.height)


def test_evidence_boxes_turn_with_the_scan() -> None:
    turn = scan_turn(5, ImageSize(800, 600))
    left, top, right, bottom = turn.box((0.4, 0.4, 0.6, 0.6))
    assert left < 0.4 < 0.6 < right
    assert top < 0.4 < 0.6 < bottom
    assert abs((left + right) / 2 - 0.5) < 1e-4


def test_pixels_have_the_reference_size() -> None:
    made = SampleMaker(load_preset("smoke")).make(1)
    pixels = to_pixels(made.sample, {made.sample.images[0].pdf_ref: made.pdf})
    assert [(i.width, i.height) for i in pixels.images] == [
        (i.width, i.height) for i in made.sample.images
    ]
