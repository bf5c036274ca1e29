"""The published results: pages say what the records say, and the README says what the pages say."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest
from safetensors import safe_open

import leopard
from leopard.config import load
from leopard.evaluation.suite.pages import fill_card, markdown, table
from leopard.evaluation.suite.settings import SuiteSettings

ROOT = Path(__file__).parents[2]
SHIPPED = Path(leopard.__file__).parent / "model" / "shipped" / "leopard-nano"
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


def test_the_model_card_has_the_scores_of_the_records() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert fill_card(card, RESULTS) == card
    lookups = next(f for f in RESULTS["figures"] if f["title"] == "Held-out documents, lookups")
    assert f"| {lookups['title']} | {100 * lookups['value']:.1f} |" in card


def test_the_model_card_says_how_large_the_model_is() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    with safe_open(SHIPPED / "model.safetensors", framework="numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    config = json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    assert f"{sum(prod(shape) for shape in shapes) / 1e6:.1f} million parameters" in card
    assert f"{text['num_hidden_layers']} layers, {text['hidden_size']} wide" in card


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


def test_the_readme_says_how_lookups_are_scored() -> None:
    lookups = next(f for f in RESULTS["figures"] if f["title"] == "Held-out documents, lookups")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = f"scores {100 * lookups['value']:.1f} of 100 on {lookups['samples']} lookups"
    assert said in " ".join(readme.split())
