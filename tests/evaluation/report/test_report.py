import csv
import io
import re

import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.encoding import Encoding
from leopard.evaluation.report.charts import Bar, bars
from leopard.evaluation.report.gallery import choose, entries, status_of, tile_edges
from leopard.evaluation.report.leaderboard import board, published
from leopard.evaluation.report.pages import load_run, markdown, write_leaderboard, write_report
from leopard.evaluation.runner import RunSettings
from leopard.evaluation.tasks import TASK_NAMES, get_task
from leopard.schema.geometry import CropGeometry, ImageSize
from tests.evaluation.fixtures.builders import picture
from tests.evaluation.helpers import by_content, evaluate, many_pages

TRICKY = "=1+1 <script>alert(1)</script>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    data = many_pages(root / "data", documents=3)
    for page in range(3):
        (data / f"images/d0_p{page}.jpg").write_bytes(picture("big", size=(900, 1200), fmt="JPEG"))
    (data / "images/d2_p1.jpg").unlink()
    encoding = Encoding(geometry=CropGeometry(), max_crops=50, policy="published")

    def script(request):
        return TRICKY if "Question 0 of 0" in str(request.messages) else by_content(request)

    evaluate(data, root / "run", script=script, encoding=encoding)
    return root / "run", data


def test_html_stands_alone_and_escapes_what_models_say(finished):
    folder, data = finished
    files = write_report(folder, data=data, gallery=8)
    assert [file.name for file in files] == ["report.html", "report.md", "records.csv"]
    html = files[0].read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', html)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "data:image/jpeg;base64," in html
    assert html.count('class="entry"') == 8
    assert "could not be built from the data and count as wrong" in html
    assert '<figure class="gold">' in html
    assert "Beside published scores" in html
    assert "By images" not in html or "samples" in html


def test_csv_holds_every_sample_and_no_formula(finished):
    folder, data = finished
    write_report(folder, data=data, gallery=1)
    rows = list(csv.DictReader(io.StringIO((folder / "records.csv").read_text())))
    assert len(rows) == 12
    assert rows[0]["raw"] == f"'{TRICKY}"
    assert {"anls", "accuracy", "leopard"} <= set(rows[0])


def test_markdown_says_what_the_score_rests_on(finished):
    text = markdown([load_run(finished[0])])
    assert "| anls |" in text
    assert "samples scored: 12 of 12" in text
    assert "4 samples could not be built" in text


def test_gallery_without_data_shows_texts(finished, tmp_path):
    run = load_run(finished[0])
    found = entries(run.task, run.records, tmp_path / "gone", "full", 5)
    assert len(found) == 5
    assert all(entry.pages == () for entry in found)


def test_gallery_shows_errors_of_every_kind_first(finished):
    records = load_run(finished[0]).records
    kinds = [status_of(record, "anls") for record in choose(records, "anls", 12)]
    assert kinds[0] == "failed"
    assert set(kinds) == {status_of(record, "anls") for record in records}
    assert len(choose(records, "anls", 3)) == 3


def test_unreadable_page_leaves_its_place_in_the_gallery(finished):
    folder, data = finished
    page = data / "images/d1_p0.jpg"
    before = page.read_bytes()
    page.write_bytes(b"broken")
    try:
        run = load_run(folder)
        found = entries(run.task, run.records, data, "full", 12)
    finally:
        page.write_bytes(before)
    assert any(picture.uri == "" for entry in found for picture in entry.pages)


def test_unfinished_and_partial_runs_say_so(tmp_path):
    data = many_pages(tmp_path / "data")
    evaluate(data, tmp_path / "a", settings=RunSettings(rank=0, world=3))
    assert "Unfinished" in markdown([load_run(tmp_path / "a")])
    evaluate(data, tmp_path / "b", settings=RunSettings(limit=2))
    assert "Only the first 2 samples" in markdown([load_run(tmp_path / "b")])


def test_tiles_meet_where_the_processor_cuts():
    size = ImageSize(1000, 1400)
    assert tile_edges(size, None) == ([], [])
    # A canvas of 728 x 1092 holds the page at 0.728: 1019.2 rows, 36 of padding above.
    across, down = tile_edges(size, "3x2")
    assert across == [0.5]
    assert down == pytest.approx([(364 - 36) / 1020, (728 - 36) / 1020])


def test_no_run_no_report(tmp_path):
    with pytest.raises(EvaluationError, match="not the folder of a run"):
        write_report(tmp_path)


def test_published_scores_are_whole():
    rows = published()
    assert {row.task for row in rows} <= set(TASK_NAMES)
    assert all(0 <= row.score <= 100 and row.metric and row.source for row in rows)
    scores = {(row.task, row.model): row.score for row in rows if row.kind == "paper"}
    assert scores["mpdocvqa", "Leopard-LLaVA-Pro"] == 70.60
    assert scores["docvqa", "Qwen2-VL-7B"] == 94.50
    assert len(scores) == 13 * 12


def test_leaderboard_puts_our_runs_beside_the_published(finished, tmp_path):
    file = write_leaderboard([finished[0]], tmp_path / "deep" / "board.html")
    html = file.read_text()
    assert 'class="ours"' in html
    assert "as in the paper" in html
    assert get_task("dude").title in html
    rows = board("mpdocvqa", [])
    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)


def test_bars_are_drawn_to_scale():
    svg = bars([Bar("a <b>", 0.5, 0.4, 0.6), Bar("x" * 61, 1.2), Bar("none", 0.0, 0.0, 0.0)], "t")
    assert 'width="180.0"' in svg
    assert svg.count("whisker") == 1
    assert "a &lt;b&gt;" in svg
    assert "\u2026" in svg
