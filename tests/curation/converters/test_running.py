"""Conversions: the same shards after SIGKILL, nothing mixed, everything left out is counted."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from leopard.curation.converters import get_converter, running
from leopard.curation.converters.local_copy import LocalCopy
from leopard.curation.converters.running import ConvertSettings, convert_into, convert_samples
from leopard.errors import ConfigError, DataError
from leopard.schema.shards import check_shard, iter_samples, read_info, shard_paths
from tests.curation.converters.fixtures import BUILDERS, picture, put

SETTINGS = ConvertSettings(shard_size=4)


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """ChartQA with enough charts for several shards, some of them missing."""
    root = tmp_path / "charts"
    rows = [{"imgname": f"{n}.png", "query": "What's it?", "label": f"{n}"} for n in range(60)]
    put(root / "train/train_human.json", rows)
    for n in range(60):
        if n % 10:
            put(root / f"train/png/{n}.png", picture(n, (300, 200)))
    return root


def digest(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def convert(source: Path, target: Path, settings: ConvertSettings = SETTINGS) -> int:
    return convert_into(get_converter("chartqa"), source, target, settings).num_samples


def test_shards_are_whole_and_count_what_was_left_out(charts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told: list[int] = []
    report = convert_into(get_converter("chartqa"), charts, out, SETTINGS, told.append)
    assert (report.num_samples, report.num_multi_image, report.num_images) == (27, 27, 54)
    assert report.num_questions == 54
    assert report.rejects == {"a file is missing": 6}
    assert sum(told) == 27
    assert [check_shard(shard).rows for shard in shard_paths(out)] == [4] * 6 + [3]
    kept = Counter[str]()
    for shard in shard_paths(out):
        kept.update(read_info(shard).rejects)
    assert sum(kept.values()) <= 6
    assert json.loads((out / "chartqa-report.json").read_text())["rejects"] == report.rejects


def test_a_finished_conversion_is_not_done_again(
    charts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = convert_into(get_converter("chartqa"), charts, out, SETTINGS)
    before = digest(out)
    shard_paths(out)[2].unlink()
    assert convert_into(get_converter("chartqa"), charts, out, SETTINGS) == first
    assert digest(out) == before

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(running, "convert_samples", never)
    assert convert_into(get_converter("chartqa"), charts, out, SETTINGS) == first


_DRIVER = """
import sys
from pathlib import Path
from leopard.curation.converters import get_converter
from leopard.curation.converters.running import ConvertSettings, convert_into
source, target = map(Path, sys.argv[1:])
convert_into(get_converter("chartqa"), source, target, ConvertSettings(shard_size=4))
"""


def test_sigkill_loses_and_doubles_nothing(charts: Path, tmp_path: Path) -> None:
    reference, out = tmp_path / "reference", tmp_path / "out"
    convert(charts, reference)
    driver = tmp_path / "driver.py"
    driver.write_text(_DRIVER)
    process = subprocess.Popen([sys.executable, str(driver), str(charts), str(out)])
    while len(list(out.glob("*.parquet"))) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    half = f"chartqa-00003.parquet.tmp.{os.uname().nodename}.4194304"
    (out / half).write_text("half")
    convert(charts, out)
    assert digest(out) == digest(reference)


def test_shard_size_changes_no_sample(charts: Path, tmp_path: Path) -> None:
    convert(charts, tmp_path / "a")
    convert(charts, tmp_path / "b", ConvertSettings(shard_size=11))
    assert list(iter_samples(tmp_path / "a")) == list(iter_samples(tmp_path / "b"))


def test_a_folder_never_mixes_two_conversions(charts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(charts, out)
    before = digest(out)
    with pytest.raises(ConfigError, match="another conversion"):
        convert(charts, out, ConvertSettings(shard_size=4, seed=1))
    put(charts / "train/png/0.png", picture(0))
    with pytest.raises(ConfigError, match="another conversion"):
        convert(charts, out)
    assert digest(out) == before


def test_another_seed_puts_other_images_together(charts: Path) -> None:
    pairs = []
    for seed in (0, 1):
        settings = ConvertSettings(seed=seed)
        found = convert_samples(get_converter("chartqa"), LocalCopy(charts), settings, Counter())
        pairs.append([tuple(sample.provenance["parents"]) for sample in found])
    assert pairs[0] != pairs[1]
    assert sorted(chain(*pairs[0])) == sorted(chain(*pairs[1]))


def test_a_limit_ends_early(charts: Path, tmp_path: Path) -> None:
    assert convert(charts, tmp_path / "out", ConvertSettings(limit=5, shard_size=2)) == 5


def test_nothing_convertible_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    put(tmp_path / "in/train/train_human.json", [{"imgname": "0.png", "query": "?", "label": "1"}])
    with pytest.raises(DataError, match=r"could be converted: a file is missing \(1\)"):
        convert(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("content", [{"a": 1}, [[1]], 5])
def test_an_annotation_of_another_layout_is_named(tmp_path: Path, content: object) -> None:
    put(tmp_path / "in/train_v1.0.json", content)
    with pytest.raises(DataError, match=r"another layout|could be converted"):
        convert_into(get_converter("docvqa"), tmp_path / "in", tmp_path / "out", SETTINGS)


def test_too_many_images_and_repeated_ids_are_counted(tmp_path: Path) -> None:
    pages = [f"d_p{n}" for n in range(51)]
    row = {"questionId": 1, "question": "Who?", "doc_id": "d", "page_ids": pages, "answers": ["A"]}
    short = {**row, "questionId": 2, "page_ids": pages[:2]}
    put(tmp_path / "train.json", {"data": [row, short, short]})
    for page in pages:
        put(tmp_path / f"images/{page}.jpg", picture(1, (20, 20), "JPEG"))
    rejects = Counter[str]()
    copy = LocalCopy(tmp_path)
    found = list(convert_samples(get_converter("mpdocvqa"), copy, SETTINGS, rejects))
    assert [sample.id for sample in found] == ["mpdocvqa-2"]
    assert rejects == {"more than 50 images": 1, "an id repeats": 1}


def test_turns_over_the_limit_are_drawn_and_counted(tmp_path: Path) -> None:
    BUILDERS["dvqa"](tmp_path)
    converter = replace(get_converter("dvqa"), max_turns=3)
    rejects = Counter[str]()
    samples = list(
        convert_samples(converter, LocalCopy(tmp_path), ConvertSettings(assemble=False), rejects)
    )
    assert [len(sample.qa) for sample in samples] == [3, 2, 2, 2, 2]
    assert rejects == {"a question over 3 about one image": 9}
