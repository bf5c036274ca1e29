"""The published results: pages say what the records say, and the README says what the pages say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leopard.config import load
from leopard.evaluation.suite.pages import markdown, table
from leopard.evaluation.suite.settings import SuiteSettings

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "docs" / "results" / "results.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "results" / "README.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines()]


@pytest.mark.parametrize("figure", RESULTS["figures"], ids=lambda figure: figure["title"])
def test_figures_on_the_page_are_those_of_the_records(figure: dict[str, object]) -> None:
    row = next(cells for cells in ROWS if cells and cells[0] == figure["title"])
    assert float(row[1]) == pytest.approx(100 * float(figure["value"]), abs=0.051)  # type: ignore[arg-type]
    assert int(row[3]) == figure["samples"]


def test_the_pages_are_made_of_the_records_and_of_nothing_else() -> None:
    assert markdown(RESULTS) == PAGE
    assert table(RESULTS) == (ROOT / "docs" / "results" / "results.csv").read_text(encoding="utf-8")


def test_every_setting_that_is_not_the_presets_is_on_the_page() -> None:
    suite = load(SuiteSettings, ROOT / "configs" / "eval.toml")
    changes = {name: entry.synth.change for name, entry in suite.sets.items() if entry.synth}
    assert changes["held-out"]
    for name, wanted in changes.items():
        made = RESULTS["sets"][name]["made"]
        runs = [run for run in RESULTS["runs"] if run["set"] == name and run["limit"] is None]
        assert runs
        assert {run["documents"] for run in runs} == {made["samples"]}
        assert tuple(RESULTS["sets"][name]["made"]["change"]) == wanted
        assert all(f"`{change}`" in PAGE for change in wanted)


def test_the_readme_says_how_many_lookups_were_right() -> None:
    lookups = next(f for f in RESULTS["figures"] if f["title"] == "Held-out documents, lookups")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert lookups["value"] == 0, "the README says none"
    assert f"none of the {lookups['samples']} lookups" in readme
