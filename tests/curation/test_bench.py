"""The bench: every line of the table is measured, peers are named even where they cannot run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leopard.cli.curate_parts import rate_table
from leopard.curation.bench import Rate, bench
from leopard.curation.peers import Clock
from leopard.curation.synthesis.settings import load_preset

pytest.importorskip("typst")


def test_all_goals_and_peers_are_on_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    rates = list(bench(load_preset("leopard-instruct"), 6))
    assert sorted(rate.goal for rate in rates if rate.goal) == [5, 20, 35, 60]
    assert all(rate.per_second and rate.per_second > 0 for rate in rates if rate.goal)
    peers = [rate for rate in rates if rate.what.startswith("peer: ")]
    assert len(peers) == 3
    for peer in peers:
        assert (peer.per_second is None) == peer.what.endswith("(not installed)")
    rate_table([*rates, Rate("nothing", None, 3)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rates) + 2
    assert lines[-1].split() == ["-", "3", "nothing"]


def test_the_clock_counts_what_children_use() -> None:
    clock = Clock()
    work = "import time\nwhile time.process_time() < 0.4: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    assert clock.rate(1) < 1 / 0.38
