import numpy as np
import pypdfium2 as pdfium
import pytest
import typst

from leopard.documents.pdf import draw_page
from leopard.documents.pdf_text import PrintedWord, pdf_chars, pdf_marks, pdf_words
from leopard.schema.geometry import Box, ImageSize

TEXT = (
    '#link("gt:a.1")[Hello wörld] office #link("gt:b")[concerning internationalisation '
    "representation] understanding responsibilities"
)


def _page(text: str = TEXT, rotation: int = 0) -> pdfium.PdfPage:
    source = (
        "#set page(width: 200pt, height: 300pt, margin: 20pt)\n#set par(justify: true)\n"
        f"#set text(hyphenate: true)\n{text}"
    )
    page = pdfium.PdfDocument(typst.compile(source.encode()))[0]
    if rotation:
        page.set_rotation(rotation)
        page.set_cropbox(10, 150, 190, 290)
    return page


def _dark(page: pdfium.PdfPage, dpi: float) -> np.ndarray:
    width, height = (round(side * dpi / 72) for side in page.get_size())
    return np.asarray(draw_page(page, ImageSize(width, height))).min(axis=2) < 160


def _inside(dark: np.ndarray, box: Box, slack: int = 0) -> np.ndarray:
    rows = slice(max(0, int(box.top) - slack), int(np.ceil(box.bottom)) + slack)
    cols = slice(max(0, int(box.left) - slack), int(np.ceil(box.right)) + slack)
    return dark[rows, cols]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("dpi", [72, 200])
def test_boxes_hold_all_ink_and_each_holds_some(rotation: int, dpi: float) -> None:
    page = _page(rotation=rotation)
    dark = _dark(page, dpi)
    chars = pdf_chars(page, dpi=dpi)
    left = dark.copy()
    for char in chars:
        assert _inside(dark, char.box, 1).any(), char
        _inside(left, char.box, 1)[:] = False
    assert len(chars) > 60
    assert not left.any()


def test_words_come_in_reading_order_with_their_text() -> None:
    words = pdf_words(_page("Total: 12,345 €"), dpi=144)
    assert [word.text for word in words] == ["Total:", "12,345", "€"]
    lefts = [word.boxes[0].left for word in words]
    assert lefts == sorted(lefts)
    assert lefts[0] == pytest.approx(40, abs=4)  # 20 pt margin at two pixels per point


def test_word_broken_at_a_line_end_has_one_box_per_line() -> None:
    words = pdf_words(_page(), dpi=72)
    broken = [word for word in words if len(word.parts) > 1]
    assert broken
    for word in broken:
        assert word.parts[0].endswith("-")
        assert "\x02" not in word.text
        assert len(word.boxes) == len(word.parts) == 2
        assert word.boxes[1].top > word.boxes[0].bottom - 2
        assert word.boxes[1].left < word.boxes[0].left


def test_no_box_is_higher_than_one_line() -> None:
    heights = [box.bottom - box.top for word in pdf_words(_page(), dpi=72) for box in word.boxes]
    assert max(heights) < 14


def test_characters_leave_blanks_out_and_show_line_end_hyphens() -> None:
    text = "".join(char.text for char in pdf_chars(_page(), dpi=72))
    assert text.startswith("Hellowörldoffice")
    assert "-" in text
    assert not any(char.isspace() or char < " " for char in text)


def test_characters_beyond_sixteen_bits_are_one_character() -> None:
    text = [char.text for char in pdf_chars(_page("a 😀 b"), dpi=72)]
    assert text == ["a", "😀", "b"]


def test_characters_of_words_are_all_characters() -> None:
    page = _page()
    joined = "".join(word.text for word in pdf_words(page, dpi=72))
    assert joined == "".join(char.text for char in pdf_chars(page, dpi=72))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_marks_hold_the_words_they_were_put_on(rotation: int) -> None:
    page = _page(rotation=rotation)
    marks = pdf_marks(page, dpi=144)
    assert set(marks) == {"gt:a.1", "gt:b"}
    assert len(marks["gt:a.1"]) == 1
    assert len(marks["gt:b"]) >= 2  # it wraps

    def printed(boxes: list[Box]) -> set[str]:
        return {
            part
            for word in pdf_words(page, dpi=144)
            for part, box in zip(word.parts, word.boxes, strict=True)
            if any(
                mark.left - 1 <= box.center[0] <= mark.right + 1
                and mark.top - 1 <= box.center[1] <= mark.bottom + 1
                for mark in boxes
            )
        }

    assert printed(marks["gt:a.1"]) == {"Hello", "wörld"}
    assert "office" not in printed(marks["gt:b"])
    assert {"concerning", "representation"} & printed(marks["gt:b"])


def test_boxes_grow_with_the_resolution() -> None:
    page = _page()
    for small, large in zip(pdf_chars(page, dpi=72), pdf_chars(page, dpi=144), strict=True):
        assert large.box.left == pytest.approx(2 * small.box.left, abs=1e-3)
        assert large.box.bottom == pytest.approx(2 * small.box.bottom, abs=1e-3)


def test_long_addresses_of_marks_are_whole() -> None:
    uri = "https://gt.invalid/" + "x" * 1000
    assert list(pdf_marks(_page(f'#link("{uri}")[word]'), dpi=72)) == [uri]


def test_page_without_text_has_no_words_and_no_marks() -> None:
    page = _page("#rect(width: 10pt)")
    assert pdf_words(page, dpi=72) == []
    assert pdf_chars(page, dpi=72) == []
    assert pdf_marks(page, dpi=72) == {}


def test_text_of_a_word_joins_its_parts() -> None:
    box = Box(0, 0, 1, 1)
    assert PrintedWord(("con-", "cerning"), (box, box)).text == "con-cerning"


def test_letters_of_a_line_have_one_middle_in_fonts_that_give_them_other_boxes() -> None:
    source = '#text(font: "DejaVu Sans Mono")[Samuel Lund]'
    chars = pdf_chars(pdfium.PdfDocument(typst.compile(source.encode()))[0], dpi=144)
    assert {char.text for char in chars} >= {"l", "a"}
    assert len({char.line_middle for char in chars}) == 1
