import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from leopard.documents import Limits, LoadOptions, load_pages
from leopard.documents.later import LaterImage
from leopard.documents.pdf import PDFDocument
from leopard.errors import DocumentError, DocumentFormatError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import to_rgb
from tests.documents.conftest import pdf_bytes

Make = Callable[..., Path]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of PDF pages as they are drawn."""
    numbers: list[int] = []
    draw = PDFDocument.render

    def note(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        numbers.append(number)
        return draw(self, number, size)

    monkeypatch.setattr(PDFDocument, "render", note)
    return numbers


def test_size_is_known_before_and_pixels_are_those_drawn() -> None:
    picture = Image.effect_noise((40, 30), 60).convert("RGB")
    later = LaterImage(ImageSize(40, 30), lambda: picture)
    assert to_rgb(later) is later
    assert (later.size, later.mode, later.is_drawn) == ((40, 30), "RGB", False)
    assert later.resize((20, 15)).tobytes() == picture.resize((20, 15)).tobytes()
    assert later.is_drawn
    assert later.copy().tobytes() == later.tobytes() == picture.tobytes()


def test_picture_is_drawn_once_by_however_many_threads() -> None:
    calls: list[str] = []

    def draw() -> Image.Image:
        calls.append(threading.current_thread().name)
        time.sleep(0.05)
        return Image.new("RGB", (9, 9), "red")

    later = LaterImage(ImageSize(9, 9), draw)
    with ThreadPoolExecutor(4) as pool:
        pixels = set(pool.map(lambda _: later.tobytes(), range(8)))
    assert len(calls) == 1
    assert pixels == {Image.new("RGB", (9, 9), "red").tobytes()}


def test_what_cannot_be_drawn_raises_the_same_error_each_time() -> None:
    calls: list[int] = []

    def draw() -> Image.Image:
        calls.append(1)
        raise DocumentFormatError("broken", source="a.pdf", remedy="mend it")

    later = LaterImage(ImageSize(9, 9), draw)
    for use in (later.load, later.tobytes, lambda: later.resize((3, 3))):
        with pytest.raises(DocumentFormatError, match="broken"):
            use()
    assert len(calls) == 1


def test_interrupted_drawing_is_done_again() -> None:
    answers = iter([KeyboardInterrupt, None])

    def draw() -> Image.Image:
        if (error := next(answers)) is not None:
            raise error
        return Image.new("RGB", (9, 9))

    later = LaterImage(ImageSize(9, 9), draw)
    with pytest.raises(KeyboardInterrupt):
        later.load()
    assert later.tobytes()


def test_pages_drawn_later_are_those_drawn_now(
    make_pdf: Make, make_image: Make, drawn: list[int]
) -> None:
    sources = [make_pdf("a.pdf", 3), make_image("b.png"), Image.new("RGBA", (7, 9))]
    now = load_pages(sources)
    drawn.clear()
    later = load_pages(sources, later=True)
    assert [page.label for page in later.pages] == [page.label for page in now.pages]
    assert [page.size for page in later.pages] == [page.size for page in now.pages]
    assert drawn == []
    # In any order.
    for one, other in list(zip(now.pages, later.pages, strict=True))[::-1]:
        assert ImageChops.difference(one.image, other.image).getbbox() is None
    assert drawn == [3, 2, 1]


def test_pages_that_cannot_be_drawn_become_failures(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = PDFDocument.render

    def draw_or_fail(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        if number == 2:
            raise DocumentFormatError("broken", source=self.source, page=2, remedy="mend it")
        return draw(self, number, size)

    monkeypatch.setattr(PDFDocument, "render", draw_or_fail)
    path = make_pdf(num_pages=3)
    loaded = load_pages([path, "missing.png"], on_error="collect", later=True)
    assert len(loaded.pages) == 3
    assert len(loaded.failures) == 1
    found = loaded.drawn()
    assert [page.number for page in found.pages] == [1, 3]
    assert [error.source for error in found.failures] == ["missing.png", str(path)]
    with pytest.raises(DocumentError, match="page 2: broken"):
        loaded.pages[1].image.tobytes()


def test_time_limit_counts_and_is_one_failure(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_slowly(self: PDFDocument, number: int, size: ImageSize) -> Image.Image:
        time.sleep(1.5)
        return Image.new("RGB", (size.width, size.height))

    path = make_pdf(num_pages=4)
    monkeypatch.setattr(PDFDocument, "render", draw_slowly)
    options = LoadOptions(limits=Limits(max_seconds=1.2))
    found = load_pages([path], options=options, later=True).drawn()
    assert [page.number for page in found.pages] == [1]
    assert [type(error) for error in found.failures] == [DocumentLimitError]


def test_file_is_closed_after_its_last_page_and_when_pages_are_given_up(
    make_pdf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[PDFDocument] = []
    close = PDFDocument.close

    def note(self: PDFDocument) -> None:
        if self._pdf is not None:
            closed.append(self)
        close(self)

    loaded = load_pages([make_pdf(num_pages=2)], later=True)
    monkeypatch.setattr(PDFDocument, "close", note)
    loaded.pages[1].image.load()
    assert closed == []
    loaded.pages[0].image.load()
    assert len(closed) == 1
    given_up = load_pages([make_pdf(num_pages=2)], later=True)
    given_up.pages[0].image.load()
    closed.clear()
    del given_up
    assert len(closed) == 1


def test_temporary_files_last_as_long_as_a_page_may_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, temporary = tmp_path / "bin", tmp_path / "tmp"
    programs.mkdir()
    temporary.mkdir()
    ready = tmp_path / "ready.pdf"
    ready.write_bytes(pdf_bytes(2))
    (programs / "soffice").write_text(f"#!/bin/sh\nmkdir out; cp {ready} out/document.pdf\n")
    (programs / "soffice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (tmp_path / "a.rtf").write_bytes(b"{\\rtf1 x}")
    pages = load_pages([tmp_path / "a.rtf"], later=True).pages
    assert list(temporary.iterdir())
    pages[0].image.load()
    assert list(temporary.iterdir())
    pages[1].image.load()
    assert list(temporary.iterdir()) == []
