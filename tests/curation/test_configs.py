"""The example files: each is read by the command that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.schema.shards import iter_samples

pytest.importorskip("typst")
CONFIGS = Path(__file__).parents[2] / "configs"


def test_samples_are_made_from_the_example_settings(tmp_path: Path) -> None:
    arguments = ["curate", "synth", "--config", str(CONFIGS / "synth.toml")]
    result = CliRunner().invoke(build_app(), [*arguments, "--out", str(tmp_path), "--samples", "4"])
    assert result.exit_code == 0, result.output
    samples = list(iter_samples(tmp_path))
    assert len(samples) == 4
    assert {s.provenance["facts"] for s in samples} <= {"shop", "logistics", "finance"}
    assert all(s.id.startswith("bills-") for s in samples)
