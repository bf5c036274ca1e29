import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from leopard.documents import Limits, LoadOptions, iter_pages, load_pages, page_sizes
from leopard.documents.loader import ABSENT_PAGES
from leopard.documents.pdf import PDFDocument
from leopard.errors import DocumentError, DocumentFormatError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from tests.documents.conftest import encrypted_pdf, pdf_bytes

Make = Callable[..., Path]


def test_sources_of_every_kind_become_pages_in_the_order_given(
    make_pdf: Make, make_image: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    make_image("scans/p10.png")
    make_image("scans/p9.png")
    (folder / "notes.txt").write_text("x")
    pdf = make_pdf(num_pages=2)
    image = Image.new("RGBA", (7, 9))
    loaded = load_pages([pdf, image, str(folder)])
    assert [page.label for page in loaded.pages] == [
        f"{pdf}, page 1",
        f"{pdf}, page 2",
        "image 2",
        f"{folder}/p9.png",
        f"{folder}/p10.png",
    ]
    assert {page.image.mode for page in loaded.pages} == {"RGB"}
    assert [page.num_pages for page in loaded.pages] == [2, 2, 1, 1, 1]
    assert loaded.failures == []
    assert loaded.skipped == {"unknown file type": 1}


def test_a_single_name_is_taken_as_one_source(make_pdf: Make) -> None:
    assert len(load_pages(str(make_pdf())).pages) == 1


def test_page_range_is_applied_to_each_document_and_absent_pages_are_counted(
    make_pdf: Make,
) -> None:
    sources = [make_pdf("a.pdf", 5), make_pdf("b.pdf", 2)]
    loaded = load_pages(sources, options=LoadOptions(pages="2-3"))
    assert [(page.source[-5:], page.number) for page in loaded.pages] == [
        ("a.pdf", 2),
        ("a.pdf", 3),
        ("b.pdf", 2),
    ]
    assert loaded.skipped == {ABSENT_PAGES: 1}


def test_document_with_none_of_the_pages_is_an_error(make_pdf: Make) -> None:
    with pytest.raises(DocumentError, match=r"a\.pdf: pages 7-9 were asked for and it has 2"):
        load_pages([make_pdf("a.pdf", 2)], options=LoadOptions(pages="7-9"))


def test_password_is_used(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(encrypted_pdf("pw"))
    assert len(load_pages([path], options=LoadOptions(password="pw")).pages) == 2
    with pytest.raises(DocumentFormatError, match="no password"):
        load_pages([path])


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(),
        LoadOptions(target_dpi=50),
        LoadOptions(max_side_px=123),
        LoadOptions(pages="2"),
        LoadOptions(limits=Limits(max_pixels=30_000)),
    ],
)
def test_sizes_are_known_before_drawing(
    make_pdf: Make, make_image: Make, options: LoadOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [make_pdf("a.pdf", 2), make_pdf("b.pdf", 3, 960, 540)]
    if not options.pages:
        sources.append(make_image("c.png", (150, 99)))
    pages = load_pages(sources, options=options).pages
    monkeypatch.setattr(PDFDocument, "render", None)
    sizes = page_sizes(sources, options=options)
    assert sizes.sizes == [page.size for page in pages]
    assert [info.label for info in sizes.pages] == [page.label for page in pages]


def test_resolution_falls_as_pages_share_the_crops(make_pdf: Make) -> None:
    one = page_sizes([make_pdf("a.pdf", 1)]).sizes[0]
    four = page_sizes([make_pdf("b.pdf", 4)]).sizes[0]
    many = page_sizes([make_pdf("c.pdf", 20)]).sizes[0]
    assert one == ImageSize(2184, 2826)
    assert one.area > four.area > many.area
    assert many == ImageSize(612, 792)
    wider = page_sizes([make_pdf("c.pdf", 20)], options=LoadOptions(max_crops=500)).sizes[0]
    assert wider.area > many.area


def test_resolution_asked_for_is_kept(make_pdf: Make) -> None:
    options = LoadOptions(target_dpi=144)
    assert page_sizes([make_pdf()], options=options).sizes == [ImageSize(1224, 1584)]


def test_images_keep_their_pixels_unless_bounded(make_image: Make) -> None:
    path = make_image("a.png", (800, 400))
    assert load_pages([path]).pages[0].size == ImageSize(800, 400)
    bounded = load_pages([path], options=LoadOptions(max_side_px=200)).pages[0]
    assert bounded.size == ImageSize(200, 100)


def test_bad_sources_are_collected_and_the_others_go_on(
    make_pdf: Make, make_image: Make, tmp_path: Path
) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 broken")
    (tmp_path / "text.txt").write_text("hello")
    good, image = make_pdf(), make_image("z.png")
    sources = [tmp_path / "bad.pdf", good, "missing.png", tmp_path / "text.txt", image]
    loaded = load_pages(sources, on_error="collect")
    assert [page.source for page in loaded.pages] == [str(good), str(image)]
    assert len(loaded.failures) == 3
    for error in loaded.failures:
        assert isinstance(error, DocumentError)
        assert "\n" not in str(error)
        assert error.remedy
    with pytest.raises(DocumentError):
        load_pages(sources)


def test_damaged_page_is_collected_and_the_other_pages_go_on(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = PDFDocument.render

    def draw_or_fail(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        if number == 2:
            raise DocumentFormatError("broken", source=self.source, page=2, remedy="mend it")
        return draw(self, number, size)

    monkeypatch.setattr(PDFDocument, "render", draw_or_fail)
    loaded = load_pages([make_pdf(num_pages=3)], on_error="collect")
    assert [page.number for page in loaded.pages] == [1, 3]
    assert [error.page for error in loaded.failures] == [2]


def test_page_limit_counts_all_documents(make_pdf: Make) -> None:
    options = LoadOptions(limits=Limits(max_pages=5))
    sources = [make_pdf("a.pdf", 3), make_pdf("b.pdf", 3), make_pdf("c.pdf", 2)]
    loaded = load_pages(sources, options=options, on_error="collect")
    assert [page.source[-5:] for page in loaded.pages] == ["a.pdf"] * 3 + ["c.pdf"] * 2
    (error,) = loaded.failures
    assert isinstance(error, DocumentLimitError)
    assert "3 pages after 3 of other documents and the limit is 5" in str(error)
    chosen = LoadOptions(pages="1", limits=Limits(max_pages=3))
    assert len(load_pages(sources, options=chosen).pages) == 3


def test_file_size_limit_is_checked_before_reading(make_pdf: Make) -> None:
    with pytest.raises(DocumentLimitError, match="max_bytes"):
        load_pages([make_pdf()], options=LoadOptions(limits=Limits(max_bytes=100)))


def test_too_high_resolution_is_refused_by_the_pixel_limit(make_pdf: Make) -> None:
    options = LoadOptions(target_dpi=2400)
    with pytest.raises(DocumentLimitError, match=r"page 1: .*lower target_dpi"):
        load_pages([make_pdf()], options=options)


def test_slow_document_ends_at_the_time_limit_with_the_pages_it_gave(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_slowly(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        time.sleep(1.5)
        return Image.new("RGB", (1, 1))

    path = make_pdf(num_pages=4)
    monkeypatch.setattr(PDFDocument, "render", draw_slowly)
    options = LoadOptions(limits=Limits(max_seconds=1.2))
    loaded = load_pages([path], options=options, on_error="collect")
    assert len(loaded.pages) == 1
    assert [type(error) for error in loaded.failures] == [DocumentLimitError]


def test_pages_are_drawn_only_when_asked_for(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = PDFDocument.render

    def note(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        drawn.append(number)
        return draw(self, number, size)

    monkeypatch.setattr(PDFDocument, "render", note)
    with iter_pages([make_pdf(num_pages=3)]) as stream:
        assert len(stream) == 3
        assert [info.number for info in stream.infos] == [1, 2, 3]
        assert drawn == []
        assert next(stream).number == 1
        assert drawn == [1]
    assert drawn == [1]


def test_no_sources_are_no_pages() -> None:
    assert load_pages([]).pages == []


def test_temporary_files_are_removed(
    make_pdf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, temporary = tmp_path / "bin", tmp_path / "tmp"
    programs.mkdir()
    temporary.mkdir()
    ready = make_pdf("ready.pdf", 2)
    (programs / "soffice").write_text(f"#!/bin/sh\nmkdir out; cp {ready} out/document.pdf\n")
    (programs / "soffice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (tmp_path / "a.rtf").write_bytes(b"{\\rtf1 x}")
    pages = load_pages([tmp_path / "a.rtf"]).pages
    assert [page.label for page in pages] == [
        f"{tmp_path}/a.rtf, page 1",
        f"{tmp_path}/a.rtf, page 2",
    ]
    assert list(temporary.iterdir()) == []


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, leopard.documents; "
        "print([m for m in ('PIL', 'pypdfium2', 'numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pdf_bytes_of_the_tests_are_what_they_seem() -> None:
    assert pdf_bytes(2).startswith(b"%PDF-")


def test_pictures_can_be_proven_without_drawing_documents(make_pdf: Make, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    Image.effect_noise((300, 200), 50).convert("RGB").save(torn)
    torn.write_bytes(torn.read_bytes()[:1000])
    good = tmp_path / "good.png"
    Image.new("RGB", (90, 60)).save(good)
    sources = [torn, make_pdf("a.pdf", 2), good]
    assert len(page_sizes(sources).pages) == 4
    proven = page_sizes(sources, on_error="collect", prove=True)
    assert [failure.source for failure in proven.failures] == [str(torn)]
    loaded = load_pages(sources, on_error="collect")
    assert proven.sizes == [page.size for page in loaded.pages]
    with pytest.raises(DocumentError, match="damaged or cut short"):
        page_sizes(sources, prove=True)
    with iter_pages(sources, on_error="collect") as stream:
        stream.prove()
        assert [page.size for page in stream] == proven.sizes
        assert len(stream.failures) == 1


def test_pages_for_reading_are_put_on_white_up_to_whole_crops(make_pdf: Make) -> None:
    path = make_pdf(num_pages=1)
    how = LoadOptions(reading_dpi=100, max_tiles_per_page=12)
    (plain,) = load_pages([path], options=LoadOptions(target_dpi=100)).pages
    (page,) = load_pages([path], options=how).pages
    assert page_sizes([path], options=how).sizes == [page.size]
    assert page.size.width % 364 == page.size.height % 364 == 0
    info = iter_pages([path], options=how).infos[0]
    assert info.page_size.width <= plain.size.width
    rest = page.image.crop((info.page_size.width, 0, *page.image.size))
    assert rest.width == 0 or rest.getextrema() == ((255, 255),) * 3
    below = page.image.crop((0, info.page_size.height, *page.image.size))
    assert below.height == 0 or below.getextrema() == ((255, 255),) * 3


def test_pictures_are_as_they_are_whatever_is_best_for_reading(make_image: Make) -> None:
    path = make_image("photo.png")
    (plain,) = load_pages([path]).pages
    (page,) = load_pages([path], options=LoadOptions(reading_dpi=100)).pages
    assert page.size == plain.size
