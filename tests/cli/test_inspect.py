import json

import PIL.Image
import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from tests.parity.cases import IDEFICS2_FOLDER

LETTER = "1700x2200"


@pytest.fixture(scope="module")
def run():
    app = build_app()

    def call(*words):
        return CliRunner().invoke(app, ["inspect", *map(str, words)])

    return call


@pytest.fixture
def page_file(tmp_path):
    path = tmp_path / "page [1].png"
    PIL.Image.new("RGB", (800, 600), "teal").save(path)
    return path


def test_sizes_are_planned_without_files(run):
    result = run("--size", LETTER, "--size", "3000x150", "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [page["num_tiles"] for page in record["pages"]] == [30, 0]
    assert record["visual_tokens"] == (31 + 1) * 169
    assert record["unused_crops"] == 18
    assert record["policy"] == "published"


def test_the_policy_can_be_chosen(run):
    record = json.loads(run("--size", "3000x150", "--policy", "fill", "--json").stdout)
    assert record["pages"][0] == {
        "label": "image 1", "width": 3000, "height": 150, "rows": 1, "cols": 8, "num_tiles": 8,
        "num_crops": 9, "visual_tokens": 1521, "share_of_budget": 0.18,
    }  # fmt: skip


def test_the_table_shows_pages_and_totals(run):
    output = run("--size", LETTER, "--max-crops", "40").stdout
    for text in ("image 1", LETTER, "6x5", "30 of 39", "5239", "77.5%", "9 crops unused"):
        assert text in output


def test_files_are_measured_and_drawn(run, page_file, tmp_path):
    picture = tmp_path / "out.png"
    result = run(page_file, "--picture", picture)
    assert result.exit_code == 0
    assert "800x600" in result.stdout
    assert "[1].png" in result.stdout.replace("\n", "")
    assert f"Picture: {picture}" in result.stderr
    with PIL.Image.open(picture) as sheet:
        assert (0, 128, 128) in {colour for _, colour in sheet.getcolors(1 << 24)}


def test_good_files_go_on_beside_bad_ones(run, page_file, tmp_path):
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7 nothing")
    result = run(page_file, bad, "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 2
    assert len(record["pages"]) == len(record["failures"]) == 1
    assert result.stderr.startswith(f"leopard: {bad}: ")
    assert "Failed: 1, see below" in run(page_file, bad).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "17"], "size '17' is not understood"),
        (["--size", "0x5"], "size 0x5 is not a picture"),
        (["--size", LETTER, "--policy", "greedy"], "'greedy' is unknown"),
        (["--size", LETTER, "x.png"], "either files or sizes"),
        (["missing.pdf"], "missing.pdf: there is no such file"),
        (["--size", LETTER, "--on-too-many", "last"], "on_too_many_images"),
        (["--size", LETTER, "--picture", "no/such/folder/a.png"], "cannot be written"),
        (["--size", LETTER, "--picture", "a.unknown"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_too_many_pages_are_refused_or_chosen_and_named(run):
    sizes = [word for _ in range(6) for word in ("--size", "90x90")]
    refused = run(*sizes, "--max-crops", "4")
    assert refused.exit_code == 2
    assert "6 images but max_crops is 4" in refused.stderr
    chosen = run(*sizes, "--max-crops", "4", "--on-too-many", "first", "--json")
    assert json.loads(chosen.stdout)["dropped_pages"] == ["image 5", "image 6"]
    table = run(*sizes, "--max-crops", "2", "--on-too-many", "uniform").stdout
    assert "Left out: 4 pages (image 2, image 3, image 4, ...)." in table


def test_skipped_files_of_a_folder_are_counted(run, page_file):
    (page_file.parent / "notes.xyz").write_text("hello")
    assert "Skipped: 1 (" in run(page_file.parent).stdout


def test_settings_of_a_model_count(run, tiny_model_folder):
    record = json.loads(run("--size", "90x90", "--model", tiny_model_folder, "--json").stdout)
    assert record["crop_size"] == 56
    assert record["max_crops"] == 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_is_cut_short_is_a_bad_file(run, page_file, tmp_path, kind):
    whole = tmp_path / f"whole.{kind.lower()}"
    PIL.Image.effect_noise((400, 300), 60).convert("RGB").save(whole, kind)
    torn = tmp_path / f"torn.{kind.lower()}"
    torn.write_bytes(whole.read_bytes()[:2000])
    result = run(page_file, whole, torn, "--json")
    assert result.exit_code == 2
    record = json.loads(result.stdout)
    assert [page["label"] for page in record["pages"]] == [str(page_file), str(whole)]
    (failure,) = record["failures"]
    assert f"{torn}: the image is damaged or cut short" in failure
    assert failure in result.stderr
    alone = run(torn)
    assert alone.exit_code != 0
    assert alone.stdout == ""


def test_limits_are_named_and_can_be_raised(run, make_limited):
    files, option, value = make_limited
    refused = run(*files, option, value[0])
    assert option in refused.stderr
    assert run(*files, option, value[1]).exit_code == 0


@pytest.fixture(params=["--max-pages", "--max-megapixels", "--max-megabytes"])
def make_limited(request, tmp_path):
    """Files, and for one option a value that is too small and one that will do."""
    paths = [tmp_path / f"{number}.bmp" for number in range(3)]
    for path in paths:
        PIL.Image.new("RGB", (1000, 500)).save(path)
    values = {
        "--max-pages": ("2", "3"),
        "--max-megapixels": ("0.4", "0.5"),
        "--max-megabytes": ("1", "1.5"),
    }
    files = paths if request.param == "--max-pages" else paths[:1]
    return files, request.param, values[request.param]


def test_a_limit_of_nothing_is_refused(run):
    assert "max_seconds is 0" in run("--size", LETTER, "--max-seconds", "0").stderr


def test_a_model_that_is_not_there_is_one_line(run, page_file):
    result = run(page_file, "--model", "nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith("leopard: nowhere: there is no such folder")
    assert result.stderr.count("\n") == 1


def test_a_model_without_crops_says_so(run, page_file):
    result = run(page_file, "--model", IDEFICS2_FOLDER)
    assert result.exit_code == 2
    assert "shows every page whole, as 64 visual tokens" in result.stderr
