"""Reading pages back: text that runs together is found, text that belongs together is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leopard.curation.randomness import stream
from leopard.curation.synthesis.documents import RejectedError, check_document, make_document
from leopard.curation.synthesis.markup import marked, typst_text
from leopard.curation.synthesis.printed import PrintedPage, read_pdf
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.settings import load_preset

pytest.importorskip("typst")


def page(body: str) -> PrintedPage:
    source = (
        "#set document(date: none)\n#set page(width: 300pt, height: auto)\n"
        '#set text(font: "Lato", size: 11pt, hyphenate: false, fallback: false)\n'
    )
    pdf, warnings = printer().pdf(source + body)
    assert not warnings
    (found,) = read_pdf(pdf)
    return found


def table(width: float, *, is_marked: bool) -> str:
    """A header row over a row of numbers, in columns of so many points."""
    names = {"t0.h.k": "Warehouse", "t0.h.0": "Pallets", "t0.h.1": "Capacity"}
    values = {"t0.0.k": "Oslo", "t0.0.0": "7,046", "t0.0.1": "17,148"}
    cells = [
        f"[#strong[{marked(element, text) if is_marked else typst_text(text)}]]"
        for element, text in (names | values).items()
    ]
    widths = ", ".join([f"{width}pt"] * 3)
    return f"#table(columns: ({widths}), stroke: none, inset: 5pt, {', '.join(cells)})"


@pytest.mark.parametrize("is_marked", [True, False])
def test_headers_that_read_as_one_word_are_found(is_marked: bool) -> None:
    # "Warehouse" is about 54 pt wide, and its column leaves it 44.
    narrow, wide = (page(table(width, is_marked=is_marked)) for width in (54, 80))
    assert "WarehousePallets" in narrow.text
    assert narrow.num_clashes == wide.num_clashes == 0
    assert narrow.num_touching > 0
    assert wide.num_touching == 0


def test_headers_with_a_blank_between_read_as_one_phrase() -> None:
    assert page(table(57, is_marked=True)).num_touching > 0
    assert page(table(57, is_marked=False)).num_touching == 0  # might be two words of a sentence


@pytest.mark.parametrize(
    "body",
    [
        f"#strong[{typst_text('Hub:')}] {marked('f1', 'Rosario')}",
        f"{typst_text('It costs')} #box[{marked('f1', '4.20 EUR')}]{typst_text('.')}",
        f"#box[{marked('t0.h.0', 'Share')}{typst_text(':')} {marked('t0.0.0', '12%')}]",
        f'{marked("t0.0.k", "Soup")} #box(width: 1fr, repeat(text("."))) {marked("t0.0.0", "4")}',
        typst_text("An ordinary sentence (with brackets, of some length) that goes on and on."),
    ],
)
def test_sentences_labels_and_leaders_touch_nothing(body: str) -> None:
    assert page(body).num_touching == 0


def test_documents_with_touching_text_are_rejected() -> None:
    settings = load_preset("smoke")
    for attempt in range(20):
        try:
            document = make_document(stream("touching", attempt), settings, held_out=False)
        except RejectedError:
            continue
        first, *rest = document.pages
        broken = replace(document, pages=(replace(first, num_touching=1), *rest))
        with pytest.raises(RejectedError, match="touching text"):
            check_document(broken, broken.facts, settings)
        return
    pytest.fail("no document of twenty was printed as meant")
