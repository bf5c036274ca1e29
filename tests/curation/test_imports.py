"""Imports: rows that cannot become samples are counted, whatever is wrong with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from leopard.curation.imports import import_samples
from tests.curation.converters.fixtures import picture, put_parquet

IMAGES = [{"bytes": picture(1), "path": "1.png"}]


@pytest.mark.parametrize(
    "row",
    [
        {"images": IMAGES, "texts": [{"from": "human"}]},
        {"images": IMAGES, "texts": [{"user": "Who?"}]},
        {"images": IMAGES, "texts": [{"role": "user", "content": [{"type": "song"}]}]},
        {"images": IMAGES, "texts": [{"role": "judge", "content": "Who?"}]},
        {"images": [5], "texts": [{"user": "Who?", "assistant": "Ann"}]},
    ],
)
def test_an_odd_row_is_counted_and_the_next_is_read(tmp_path: Path, row: dict[str, object]) -> None:
    good = {"images": IMAGES, "texts": [{"user": "Who?", "assistant": "Ann"}]}
    put_parquet(tmp_path / "a.parquet", [row])
    put_parquet(tmp_path / "b.parquet", [good])
    rejects = Counter[str]()
    samples = list(import_samples(tmp_path, "leopard", rejects))
    assert [len(sample.images) for sample in samples] == [1]
    assert sum(rejects.values()) == 1
