"""Checks on what a model wrote."""

from __future__ import annotations

import pytest

from leopard.curation.annotation.answers import (
    lost_or_new_numbers,
    same_answer,
    ungrounded,
    wrong_equation,
)


@pytest.mark.parametrize(
    ("given", "right", "decimal", "same"),
    [
        ("Paris.", " paris", ".", True),
        ("1,250.50", "1250.5", ".", True),
        ("$1,250.50", "1250.50", ".", True),
        ("-$3", "-3", ".", True),
        ("12 %", "12", ".", True),
        ("EUR 5", "5 EUR", ".", True),
        ("seven", "7", ".", True),
        ("1.250", "1250", ",", True),
        ("1.250", "1250", ".", False),
        ("7", "-7", ".", False),
        ("12", "12.1", ".", False),
        ("Rome", "Paris", ".", False),
        ("", "Paris", ".", False),
        ("Not answerable", "12", ".", False),
        ("b, a", "A, B", ".", True),
        ("a, a, b", "a, b", ".", False),
        ("2024-01-02", "2024-01-02", ".", True),
        ("2024-01-03", "2024-01-02", ".", False),
        ("nan", "NaN", ".", True),
        ("nan", "3", ".", False),
    ],
)
def test_same_answer(given: str, right: str, decimal: str, same: bool) -> None:
    assert same_answer(given, (right,), decimal) is same


def test_any_of_the_right_answers_will_do() -> None:
    assert same_answer("USA", ("United States", "USA"))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("12 + 7.5 = 19.5.", ""),
        ("12 + 7.5 = 20.5.", "12 + 7.5 = 20.5"),
        ("(30 - 20) / 20 = 50%", ""),
        ("2 + 3 x 4 = 14", ""),
        ("2 + 3 x 4 = 20", "2 + 3 x 4 = 20"),
        ("10 / 3 = 3.33", ""),
        ("10 / 3 = 3.34", "10 / 3 = 3.34"),
        ("10 / 0 = 5", ""),
        ("$1,200.00 - $200.00 = $1,000.00", ""),
        ("1,200 \u2212 200 = 900", "1,200 \u2212 200 = 900"),
        ("So 5 = five", ""),
    ],
)
def test_calculations_come_out(text: str, wrong: str) -> None:
    assert wrong_equation(text) == wrong


def test_numbers_come_from_somewhere() -> None:
    page = ["Rent 1,200.00 Food 310.50"]
    assert ungrounded("Rent is 1200.00 on page 2.", page) == ""
    assert ungrounded("1,200.00 + 310.50 = 1,510.50, so 1,510.50.", page) == ""
    assert ungrounded("Rent is 1,300.00.", page) == "1300.00"
    assert ungrounded("The loss is -310.50.", page) == ""


def test_numbers_of_two_wordings() -> None:
    assert not lost_or_new_numbers("Rows over 5,000 in 2023?", "In 2023, which are above 5,000?")
    assert lost_or_new_numbers("Rows over 5,000?", "Rows over 500?")
    assert lost_or_new_numbers("Rows?", "Rows over 5?")
    assert lost_or_new_numbers("From 5 to 5?", "From 5?")
