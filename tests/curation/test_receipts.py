"""Receipts for lessons: everything asked for is printed, as the text layer says."""

from __future__ import annotations

import re

import pypdfium2 as pdfium
import pytest

from leopard.curation.reading_pages import TRAIN_FONTS
from leopard.curation.receipts import LEGAL, ReceiptWriter, write_receipts
from leopard.curation.synthesis.printer import printer


def printed(pdf: bytes, number: int = 0) -> str:
    document = pdfium.PdfDocument(pdf)
    try:
        text = document[number].get_textpage().get_text_range()
    finally:
        document.close()
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("seed", range(12))
def test_every_answer_is_printed_on_its_receipt(seed: int) -> None:
    press = printer()
    receipts = write_receipts(seed, press.available(TRAIN_FONTS))
    assert 1 <= len(receipts) <= 3
    for receipt in receipts:
        pdf, warnings = press.pdf(receipt.source)
        assert not warnings
        text = printed(pdf)
        assert len({question for question, _, _ in receipt.qa}) == len(receipt.qa)
        for question, answer, family in receipt.qa:
            assert answer in text, (question, answer)
            assert family == "lookup"


def test_questions_about_one_of_several_say_which() -> None:
    several = next(found for seed in range(40) if len(found := write_receipts(seed, ("x",))) == 3)
    for number, receipt in enumerate(several, start=1):
        seller = receipt.qa[0][1]
        for question, answer, _ in receipt.qa:
            assert f" {number}: " in question or f" {seller}: " in question
            assert answer != seller or seller not in question


def test_one_seed_makes_one_receipt() -> None:
    fonts = ("Carlito", "Caladea")
    first, again, other = (ReceiptWriter(n, fonts=fonts).write_receipt() for n in (1, 1, 2))
    assert first == again
    assert first != other


def test_sellers_are_of_many_kinds() -> None:
    sellers = [ReceiptWriter(n, fonts=("x",)).write_receipt().qa[0][1] for n in range(200)]
    assert len(set(sellers)) > 190
    with_form = [name for name in sellers if name.lower().endswith(tuple(x.lower() for x in LEGAL))]
    assert 60 < len(with_form) < 160
    assert max(map(len, sellers)) <= 34
