from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leopard.curation.annotation.settings import AnnotateSettings
from leopard.executors.local import LocalExecutor
from tests.curation.annotation.server import INPUT_USD, OUTPUT_USD, ChatServer


@pytest.fixture
def server() -> Iterator[ChatServer]:
    made = ChatServer()
    yield made
    made.close()


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight synthetic samples in two shards, with their plan."""
    pytest.importorskip("typst")
    from functools import partial

    from leopard.curation.plan import Plan, save_plan
    from leopard.curation.synthesis.settings import load_preset
    from leopard.curation.work import make_shard

    folder = tmp_path_factory.mktemp("synthetic")
    plan = Plan(settings=load_preset("smoke"), num_samples=8, shard_size=4)
    save_plan(plan, folder)
    for _ in LocalExecutor().map(partial(make_shard, plan, folder=folder), plan.units):
        pass
    return folder


def settings_for(url: str, **changes: object) -> AnnotateSettings:
    endpoint = {
        "base_url": url,
        "model": "m",
        "input_usd_per_million": INPUT_USD,
        "output_usd_per_million": OUTPUT_USD,
        "max_output_tokens": 512,
        "timeout_s": 30.0,
        "api_key_env": "LEOPARD_TEST_KEY",
    }
    pace = {"concurrency": 8, "pause_s": 0.005, "longest_pause_s": 0.05, "tries": 12, "asks": 4}
    values = {
        "jobs": ["paraphrase", "rationale", "questions", "judge"],
        "cap_usd": 50.0,
        "annotator": endpoint,
        "judge_model": {**endpoint, "model": "j"},
        "pace": pace,
        **changes,
    }
    return AnnotateSettings.model_validate(values)
