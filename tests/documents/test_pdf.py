import io
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdf
import pytest
from pypdf.generic import NameObject, RectangleObject

from leopard.documents.limits import Limits
from leopard.documents.pdf import PDFDocument
from leopard.errors import DocumentFormatError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from tests.documents.conftest import encrypted_pdf, pdf_bytes

MakePDF = Callable[..., Path]


def _open(path: Path, password: str | None = None, limits: Limits | None = None) -> PDFDocument:
    return PDFDocument(path, source=path.name, limits=limits or Limits(), password=password)


def _changed(tmp_path: Path, change: Callable[[pypdf.PdfWriter], None]) -> Path:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_bytes(2)))
    change(writer)
    path = tmp_path / "changed.pdf"
    with path.open("wb") as stream:
        writer.write(stream)
    return path


def _ink(page: object) -> np.ndarray:
    """Rows and columns that are not white: top, bottom, left, right as shares."""
    dark = np.asarray(page).min(axis=2) < 128
    rows, cols = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    height, width = dark.shape
    return np.array([rows[0] / height, rows[-1] / height, cols[0] / width, cols[-1] / width])


def test_pages_have_sizes_in_points_and_pixels_as_asked(make_pdf: MakePDF) -> None:
    document = _open(make_pdf(num_pages=3))
    assert document.num_pages == 3
    extent = document.extent(3)
    assert (extent.width, extent.height, extent.is_vector) == (612, 792, True)
    page = document.render(1, ImageSize(306, 396))
    assert (page.mode, page.size) == ("RGB", (306, 396))
    assert page.getpixel((0, 0)) == (255, 255, 255)
    assert np.asarray(page).min() < 60


def test_pages_differ_and_are_the_pages_asked_for(make_pdf: MakePDF) -> None:
    document = _open(make_pdf(num_pages=2))
    size = ImageSize(306, 396)
    one, two = document.render(1, size), document.render(2, size)
    assert one.tobytes() != two.tobytes()
    assert document.render(1, size).tobytes() == one.tobytes()


def test_file_can_be_used_again_after_close(make_pdf: MakePDF) -> None:
    document = _open(make_pdf())
    document.close()
    assert document.render(1, ImageSize(61, 79)).size == (61, 79)
    document.close()
    document.close()


def test_rotation_turns_size_and_pixels(tmp_path: Path) -> None:
    def turn(writer: pypdf.PdfWriter) -> None:
        writer.pages[0].rotate(90)

    document = _open(_changed(tmp_path, turn))
    extent = document.extent(1)
    assert (extent.width, extent.height) == (792, 612)
    # The heading at the top left comes to the top right.
    top, _, left, right = _ink(document.render(1, ImageSize(792, 612)))
    assert top < 0.1
    assert left > 0.85
    assert right > 0.9


def test_crop_box_cuts_size_and_pixels(tmp_path: Path) -> None:
    def crop(writer: pypdf.PdfWriter) -> None:
        writer.pages[0].cropbox = RectangleObject((30, 692, 230, 792))

    document = _open(_changed(tmp_path, crop))
    extent = document.extent(1)
    assert (extent.width, extent.height) == (200, 100)
    top, bottom, left, _ = _ink(document.render(1, ImageSize(400, 200)))
    assert 0.3 < top < bottom < 0.7
    assert left < 0.1


def test_filled_in_form_fields_are_drawn(tmp_path: Path) -> None:
    def add_field(writer: pypdf.PdfWriter) -> None:
        # pypdf draws the appearance of the field; a viewer without form support leaves it out.
        from pypdf.generic import ArrayObject, DictionaryObject, StreamObject, TextStringObject

        look = StreamObject()
        look._data = b"0 0 0 rg 0 0 100 50 re f"
        look.update(
            {
                NameObject("/Type"): NameObject("/XObject"),
                NameObject("/Subtype"): NameObject("/Form"),
                NameObject("/BBox"): RectangleObject((0, 0, 100, 50)),
            }
        )
        field = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/FT"): NameObject("/Tx"),
                NameObject("/T"): TextStringObject("name"),
                NameObject("/V"): TextStringObject("x"),
                NameObject("/Rect"): RectangleObject((300, 300, 400, 350)),
                NameObject("/AP"): DictionaryObject({NameObject("/N"): writer._add_object(look)}),
            }
        )
        reference = writer._add_object(field)
        writer.pages[1][NameObject("/Annots")] = ArrayObject([reference])
        writer._root_object[NameObject("/AcroForm")] = DictionaryObject(
            {NameObject("/Fields"): ArrayObject([reference])}
        )

    document = _open(_changed(tmp_path, add_field))
    page = document.render(2, ImageSize(612, 792))
    assert max(page.getpixel((350, 792 - 325))) < 60


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_encrypted_file_opens_with_its_password(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(encrypted_pdf("open sesame", algorithm))
    document = _open(path, "open sesame")
    assert document.num_pages == 2
    assert np.asarray(document.render(2, ImageSize(306, 396))).min() < 60


def test_missing_and_wrong_password_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(encrypted_pdf("open sesame"))
    with pytest.raises(DocumentFormatError, match=r"locked\.pdf: .*encrypted and no password"):
        _open(path)
    with pytest.raises(DocumentFormatError, match=r"locked\.pdf: the password is wrong"):
        _open(path, "wrong")


def test_password_of_an_open_file_is_ignored(make_pdf: MakePDF) -> None:
    assert _open(make_pdf(), "anything").num_pages == 1


def test_file_without_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.pdf"
    with path.open("wb") as stream:
        pypdf.PdfWriter().write(stream)
    locked = tmp_path / "locked.pdf"
    locked.write_bytes(encrypted_pdf("x"))
    for _ in range(2):  # the second time after an error of another kind
        with pytest.raises(DocumentFormatError, match="damaged or has no pages"):
            _open(path)
        with pytest.raises(DocumentFormatError, match="encrypted"):
            _open(locked)


def test_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7\nnothing follows")
    with pytest.raises(DocumentFormatError, match=r"^a\.pdf: the PDF file is damaged .*\(.*\); "):
        _open(path)


def test_broken_cross_references_are_repaired(tmp_path: Path, make_pdf: MakePDF) -> None:
    content = make_pdf(num_pages=2).read_bytes()
    place = content.rindex(b"startxref")
    path = tmp_path / "b.pdf"
    path.write_bytes(content[:place] + b"startxref\n7\n%%EOF")
    assert _open(path).num_pages == 2


def test_broken_page_is_named_and_the_others_stay_readable(tmp_path: Path) -> None:
    def break_page(writer: pypdf.PdfWriter) -> None:
        page = writer.pages[0]
        for key in list(page):
            del page[key]
        page[NameObject("/Type")] = NameObject("/Nonsense")

    path = _changed(tmp_path, break_page)
    document = _open(path)
    failures = []
    for number in (1, 2):
        try:
            document.extent(number)
            document.render(number, ImageSize(100, 100))
        except DocumentFormatError as error:
            failures.append(error.page)
    assert failures == [1]


def test_page_outside_the_document_is_an_error(make_pdf: MakePDF) -> None:
    with pytest.raises(DocumentFormatError, match="page 5"):
        _open(make_pdf()).render(5, ImageSize(10, 10))


def test_too_many_pixels_are_refused_before_drawing(make_pdf: MakePDF) -> None:
    document = _open(make_pdf(), limits=Limits(max_pixels=100))
    with pytest.raises(DocumentLimitError, match=r"page 1: .*11x10.*lower target_dpi"):
        document.render(1, ImageSize(11, 10))


def test_many_threads_draw_the_same_pages(make_pdf: MakePDF) -> None:
    path, size = make_pdf(num_pages=4), ImageSize(153, 198)
    expected = [_open(path).render(n, size).tobytes() for n in (1, 2, 3, 4)]
    found: list[list[bytes]] = []

    def draw() -> None:
        document = _open(path)
        found.append([document.render(n, size).tobytes() for n in (1, 2, 3, 4)])
        document.close()

    threads = [threading.Thread(target=draw) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 6
