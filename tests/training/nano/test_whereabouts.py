"""Where the words of questions and answers are printed."""

from __future__ import annotations

import pytest

from leopard.training.nano.characters import cell_slots
from leopard.training.nano.lessons import PrintedLine, printed_lines
from leopard.training.nano.whereabouts import (
    BEGINNING,
    SPELL,
    Printed,
    answer_goals,
    find_answer,
    question_labels,
)
from tests.training.nano.test_characters import line


def lines(*texts: str) -> list[PrintedLine]:
    glyphs = [glyph for n, text in enumerate(texts) for glyph in line(text, 4, 20 + 28 * n)]
    _, places = cell_slots(glyphs, 13, 13)
    return printed_lines(glyphs, places)


def labels(question: str, *texts: str) -> list[str]:
    text = "\n".join(texts).lower()
    return [question[start:end] for start, end in question_labels(question, text)]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What is the due date?", ["due date"]),
        ('What follows "Ship to"?', ["Ship to"]),
        ("What is the price of Oslo?", ["Oslo"]),
        ("What is the of?", []),
    ],
)
def test_labels_are_the_longest_printed_spans(question: str, found: list[str]) -> None:
    assert labels(question, "Due date: 7 May of", "Ship to: Oslo") == found


def test_an_answer_that_stands_twice_is_told_by_the_label_before_it() -> None:
    printed = lines("Sent: 7 May", "Paid: 7 May")
    assert find_answer(printed, "7 May", ["paid"]) == Printed(1, 6, 11)
    assert find_answer(printed, "7 May", []) is None


def test_an_answer_that_stands_twice_is_told_by_a_label_in_its_row() -> None:
    printed = [
        PrintedLine("Sent", ((0, 0),) * 4, row=0),
        PrintedLine("7 May", ((3, 0),) * 5, row=0),
        PrintedLine("Paid", ((9, 0),) * 4, row=1),
        PrintedLine("7 May", ((12, 0),) * 5, row=1),
    ]
    assert find_answer(printed, "7 May", ["paid"]) == Printed(3, 0, 5)


def test_answers_begin_by_the_label_and_go_on_by_their_letters() -> None:
    pointers = [(3, 0), (3, 1), (3, 2), (4, 0), (-1, -1)]
    goals = answer_goals(pointers)
    assert [goal[2] for goal in goals] == [BEGINNING, SPELL, SPELL, SPELL, 0]
