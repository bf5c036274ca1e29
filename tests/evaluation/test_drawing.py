"""Pages without pixels take the size that the model wants; pictures stay as they are."""

from dataclasses import replace

import pytest

from leopard.documents import LoadOptions, load_pages
from leopard.documents.tables import Table, cells_from_rows, render_pdf
from leopard.errors import ConfigError
from leopard.evaluation.data import drawn_pages
from leopard.evaluation.drawing import read_images
from leopard.evaluation.encoding import Encoding
from leopard.evaluation.runner import RunSettings
from leopard.evaluation.samples import EvalSample, ImageSource, open_image
from leopard.evaluation.views import view
from leopard.schema.geometry import CropGeometry
from tests.evaluation.fixtures.builders import picture

NANO = Encoding(geometry=CropGeometry(), max_crops=50, policy="fill", max_tiles_per_image=12)
WIDE = [[f"column {i}" for i in range(6)], *([f"{r}.{c}" for c in range(6)] for r in range(30))]


@pytest.fixture(scope="module")
def pdf():
    return render_pdf([Table(cells_from_rows(WIDE)), "A line below the table."])


def sizes(contents):
    return [open_image(content, "x").size for content in contents]


def test_pages_are_drawn_as_the_model_draws_files(pdf, tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf)
    options = LoadOptions(max_tiles_per_page=12)
    asked = [page.image.size for page in load_pages([tmp_path / "a.pdf"], options=options).pages]
    assert sizes(read_images(drawn_pages(pdf, "a", dpi=110), NANO)) == asked


def test_without_a_known_model_the_data_set_decides(pdf):
    pages = drawn_pages(pdf, "a", dpi=55)
    assert sizes(read_images(pages, None)) == sizes(read_images(pages, NANO, "data"))
    assert sizes(read_images(pages, None)) != sizes(read_images(pages, NANO))


def test_pictures_keep_their_pixels_beside_drawn_pages(pdf):
    photo = ImageSource("photo", lambda: picture("x", size=(300, 200)))
    found = sizes(read_images([photo, *drawn_pages(pdf, "a", dpi=55)], NANO))
    assert found[0] == (300, 200)
    assert max(found[1]) > 700


def test_blank_pages_are_as_large_as_the_printed_ones(pdf):
    sample = EvalSample(id="1", doc_id="d", question="?", images=drawn_pages(pdf, "a", dpi=55))
    blank = view("blind", sample)
    contents = read_images(blank.images, NANO)
    assert sizes(contents) == sizes(read_images(sample.images, NANO))
    assert open_image(contents[0], "x").getextrema() == ((255, 255),) * 3


def test_labels_count_on(pdf):
    assert [p.label for p in drawn_pages(pdf, "a", dpi=55, first=3)] == ["a, drawn page 3"]


def test_an_unknown_resolution_is_refused():
    with pytest.raises(ConfigError, match="model, data"):
        RunSettings(resolution="high")


def test_pages_for_reading_have_margins_as_files_have(tmp_path):
    small = render_pdf([Table(cells_from_rows([["Total", "12.00"], ["Tax", "1.00"]]))])
    (tmp_path / "a.pdf").write_bytes(small)
    reading = replace(NANO, reading_dpi=100.0)
    options = LoadOptions(max_tiles_per_page=12, reading_dpi=100.0)
    (page,) = load_pages([tmp_path / "a.pdf"], options=options).pages
    (content,) = read_images(drawn_pages(small, "a", dpi=55), reading)
    picture = open_image(content, "a")
    assert picture.size == page.image.size
    assert picture.width % 364 == picture.height % 364 == 0
    assert picture.tobytes() == page.image.tobytes()
