import builtins

import pytest

from leopard.documents.tables import (
    Cell,
    Table,
    TableStyle,
    cells_from_rows,
    render_pages,
    render_table,
)
from leopard.errors import DocumentFormatError, HelperMissingError


def _has_ink(image, box):
    return image.crop(box).convert("L").getextrema()[0] < 128


def test_a_spanning_cell_covers_its_columns():
    texts = Cell("left column"), Cell("right column")
    spanned = render_table([[Cell("Total", cols=2)], texts])
    plain = render_table([[Cell("Total"), Cell("")], texts])
    assert spanned.mode == "RGB"
    assert spanned.size == plain.size
    # Only the rule between the two upper cells is missing.
    different = [
        (x, y)
        for x in range(plain.width)
        for y in range(plain.height)
        if spanned.getpixel((x, y)) != plain.getpixel((x, y))
    ]
    assert different
    assert len({x for x, _ in different}) <= 3
    assert max(y for _, y in different) < plain.height / 2 + 2


def test_markup_in_a_cell_stays_text():
    tricky = '#panic() *bold* $x$ \\ " [ ] @ref <label>'
    image = render_table([[Cell(tricky)]])
    assert _has_ink(image, (0, 0, *image.size))


def test_wide_tables_wrap_at_the_page_width():
    style = TableStyle()
    image = render_table([[Cell("word " * 80), Cell("word " * 80)]], style=style)
    assert image.width <= style.max_width_pt * style.dpi / 72 + 1


def test_long_tables_go_on_to_further_pages_with_their_header():
    rows = cells_from_rows([["No", "Value"], *([str(i), "x"] for i in range(120))])
    pages = render_pages([Table(rows, "Long table")])
    assert len(pages) > 1
    assert len({page.size for page in pages}) == 1
    assert len(render_pages(["A paragraph.", Table(rows[:4])])) == 1
    assert render_table(rows).height > pages[0].height


def test_spans_that_overlap_or_leave_the_table_are_clipped():
    cells = [
        [Cell("a"), Cell("b", rows=9)],
        [Cell("c", cols=4)],
        [Cell("d"), Cell("e", is_header=True)],
    ]
    assert render_table(cells).width > 10


def test_header_only_tables_and_cut_headers_are_drawn():
    header = [[Cell("a", is_header=True), Cell("b", is_header=True)]]
    cut = [[Cell("a", rows=2, is_header=True), Cell("b", is_header=True)], [Cell("c")]]
    for cells in (header, cut):
        assert render_table(cells, style=TableStyle(rules="rows")).height > 10


def test_nothing_to_draw_is_an_error():
    with pytest.raises(DocumentFormatError, match="no cell"):
        render_table([])
    with pytest.raises(DocumentFormatError, match="nothing to draw"):
        render_pages([])


def test_same_input_gives_the_same_pixels():
    rows = cells_from_rows([["A", "B"], ["1", "2"]])
    assert render_table(rows).tobytes() == render_table(rows).tobytes()


def test_missing_typst_names_the_command(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "typst":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HelperMissingError, match="pip install typst"):
        render_table([[Cell("x")]])
