"""A suite makes its sets, asks every model, goes on where it stopped, and writes its pages."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.evaluation.suite.pages import fill_card, markdown, table
from tests.evaluation.fixtures.builders import build

CONFIG = """
title = "A small suite"
about = "For a test."
max_new_tokens = 2
batch_size = 4

[models.ours]
title = "ours"
model = "leopard-nano"
[models.twin]
title = "twin"
untrained_twin_of = "leopard-nano"
[models.random]
title = "random"
baseline = "random"

[sets.made]
title = "Made"
task = "synthetic"
[sets.made.synth]
preset = "nano"
samples = 2
change = ["max_pages=1", "section_weights=[1.0]", "max_turns=4", "min_turns=3"]
[sets.receipts]
title = "Receipts"
task = "receipts"
data = "receipts"
note = "rows of our own"
[sets.absent]
title = "Absent"
task = "tatqa"
data = "tatqa"

[runs.made]
title = "made"
data = "made"
model = "ours"
gallery = 2
breakdowns = ["source"]
[runs.made-blank]
title = "made, blank"
data = "made"
model = "ours"
view = "blind"
[runs.made-twin]
title = "made, twin"
data = "made"
model = "twin"
limit = 3
[runs.receipts]
title = "receipts"
data = "receipts"
model = "random"
gallery = 1
[runs.absent]
title = "absent"
data = "absent"
model = "ours"

[[figures]]
title = "All"
run = "made"
goal = 1.0
[[figures]]
title = "None of this kind"
run = "made"
only = { source = ["no such family"] }
[[comparisons]]
title = "Seen against blank"
first = "made-blank"
second = "made"
expect = "no better"
[[comparisons]]
title = "Twin"
first = "made-twin"
second = "made"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model_folder):
    root = tmp_path_factory.mktemp("suite")
    (root / "suite.toml").write_text(CONFIG)
    build("receipts", root / "data" / "receipts")

    def run(*more):
        words = ["evaluate", "suite", root / "suite.toml", "--out", root / "out"]
        words += ["--work", root / "work", "--data", root / "data", "--model", tiny_model_folder]
        return CliRunner().invoke(build_app(), [str(word) for word in [*words, *more]])

    first = run()
    assert first.exit_code == 0, first.output
    return root, run


def results(root):
    return json.loads((root / "out" / "results.json").read_text())


def test_all_runs_are_counted_and_what_is_absent_is_listed(finished):
    found = results(finished[0])
    assert [run["name"] for run in found["runs"]] == ["made", "made-blank", "made-twin", "receipts"]
    assert found["left_out"] == {"Absent": f"no tatqa in {finished[0] / 'data'}"}
    made = found["runs"][0]
    assert made["documents"] == 2
    assert made["samples"] == made["expected"] >= 6
    assert made["failed"] == made["broken"] == 0
    assert made["tokens_per_image"] > 0
    assert found["runs"][2]["samples"] == 3


def test_figures_and_comparisons_rest_on_the_right_samples(finished):
    found = results(finished[0])
    everything, nothing = found["figures"]
    assert everything["samples"] == found["runs"][0]["samples"]
    assert everything["reached"] == (everything["value"] >= 1.0)
    assert (nothing["samples"], nothing["value"]) == (0, None)
    blank, twin = found["comparisons"]
    assert blank["samples"] == everything["samples"]
    assert blank["difference"] == pytest.approx(blank["b"] - blank["a"])
    assert "expected" in blank["verdict"]
    assert twin["samples"] == 3


def test_pages_are_made_of_the_results_alone(finished):
    root = finished[0]
    found = results(root)
    assert (root / "out" / "README.md").read_text() == markdown(found)
    assert (root / "out" / "results.csv").read_text() == table(found)
    rows = list(csv.DictReader(io.StringIO(table(found))))
    assert {row["kind"] for row in rows} == {"figure", "difference", "score", "run", "group"}
    extra = next(row for row in rows if row["kind"] == "run")
    assert extra["scorer"] == "answerable not called unanswerable"
    assert f"| {extra['title']} | ours | {100 * float(extra['value']):.1f} |" in markdown(found)
    html = (root / "out" / "report.html").read_text()
    assert "answerable not called unanswerable" in html
    assert html.count('class="entry"') == 3
    assert "data:image/jpeg;base64," in html
    assert "Left out: Absent" in html


def test_the_same_command_asks_nothing_again(finished):
    root, run = finished
    before = results(root)
    again = run()
    assert again.exit_code == 0, again.output
    assert "0 asked" in again.stderr
    assert "6 asked" not in again.stderr
    assert results(root) == before


def test_other_samples_go_into_other_folders(finished):
    root, run = finished
    sets = len(list((root / "work/sets/made").iterdir()))
    assert run("--share", "0.5").exit_code == 0
    assert len(list((root / "work/sets/made").iterdir())) == sets + 1
    found = results(root)
    assert found["runs"][0]["documents"] == found["sets"]["made"]["made"]["samples"] == 1
    page = (root / "out" / "README.md").read_text()
    assert "A trial: 50 % of each set" in page
    assert "`max_pages=1`" in page


CARD = "# A model\n\n<!-- scores -->\nold\n<!-- end of scores -->\n\nThe end.\n"


def test_a_model_card_gets_the_scores_and_keeps_the_rest(finished):
    root, run = finished
    card = root / "card.md"
    card.write_text(CARD)
    again = run("--card", card)
    assert again.exit_code == 0, again.output
    text = card.read_text()
    assert text == fill_card(CARD, results(root))
    assert text.startswith("# A model\n\n<!-- scores -->\n")
    assert text.endswith("<!-- end of scores -->\n\nThe end.\n")
    assert "old" not in text
    assert f"| {results(root)['figures'][0]['title']} |" in text


@pytest.mark.parametrize(
    "text",
    [
        "no marks",
        "<!-- scores -->\n",
        "<!-- end of scores -->\n<!-- scores -->\n",
        CARD + CARD,
    ],
)
def test_a_card_without_a_place_for_scores_is_refused_before_any_work(finished, text, tmp_path):
    card = tmp_path / "card.md"
    card.write_text(text)
    said = finished[1]("--card", card, "--work", tmp_path / "work")
    assert said.exit_code == 2
    assert "<!-- end of scores -->" in said.output
    assert card.read_text() == text
    assert not (tmp_path / "work").exists()


def test_a_card_that_cannot_be_read_is_refused(finished, tmp_path):
    said = finished[1]("--card", tmp_path / "none.md", "--work", tmp_path / "work")
    assert said.exit_code == 2
    assert "cannot be read" in said.output
    assert not (tmp_path / "work").exists()
