"""Settings of annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from leopard.config import load
from leopard.curation.annotation.settings import JOB_ORDER, AnnotateSettings
from leopard.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "configs" / "annotate.toml"


def example(*overrides: str) -> AnnotateSettings:
    return load(AnnotateSettings, EXAMPLE, overrides)


def test_the_example_names_every_job() -> None:
    assert example().jobs == JOB_ORDER


@pytest.mark.parametrize(
    "override",
    [
        "cap_usd=9.0",
        "pace.concurrency=3",
        "pace.tries=1",
        'annotator.base_url="http://127.0.0.1:9/v1"',
        "annotator.input_usd_per_million=5.0",
        'jobs=["judge", "questions", "rationale", "paraphrase"]',
    ],
)
def test_money_and_patience_do_not_change_the_content(override: str) -> None:
    assert example(override).content_hash == example().content_hash


@pytest.mark.parametrize(
    "override",
    [
        'jobs=["paraphrase"]',
        "annotator.model=other",
        "annotator.temperature=0.1",
        "judge_model.model=other",
        "judge.threshold=4.5",
        "questions.per_sample=3",
        "rationale.replace=true",
        "paraphrase.check_meaning=false",
        "pages=images",
        "max_image_side=800",
        "pace.asks=1",
    ],
)
def test_what_decides_the_rows_changes_the_content(override: str) -> None:
    assert example(override).content_hash != example().content_hash


def test_wrong_settings_are_explained(tmp_path: Path) -> None:
    for override, message in (
        ('jobs=["paraphrase", "paraphrase"]', "named twice"),
        ('jobs=["translate"]', "jobs"),
        ("annotator.base_url=localhost", "base_url"),
        ("pace.concurrency=0", "concurrency"),
        ("annotator.key=secret", "annotator.key"),
    ):
        with pytest.raises(ConfigError, match=message):
            example(override)
    config = tmp_path / "a.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    config.write_text(text.replace("input_usd_per_million", "# input_usd_per_million"))
    with pytest.raises(ConfigError, match="input_usd_per_million"):
        load(AnnotateSettings, config)
    head, _, _ = text.partition("[judge_model]")
    config.write_text(head)
    with pytest.raises(ConfigError, match=r"needs a table \[judge_model\]"):
        load(AnnotateSettings, config)
