"""Pages as lessons meet them: lines and answers that point at the printed characters."""

from __future__ import annotations

import numpy as np

from leopard.training.nano.characters import BLANK, Glyph, cell_slots, character_class
from leopard.training.nano.dialogue import StudiedPage, printed_turn
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.whereabouts import NOWHERE
from tests.training.nano.test_characters import line


def page(*texts: str) -> StudiedPage:
    glyphs: list[Glyph] = []
    for number, text in enumerate(texts):
        glyphs += line(text, 4, 20 + 28 * number)
    slots, places = cell_slots(glyphs, 13, 13)
    lines = tuple(printed_lines(glyphs, places))
    tokens = slots.reshape(169, -1)
    return StudiedPage(tokens, lines, ())


def test_lines_and_their_pointers_match_character_by_character() -> None:
    studied = page("Total due: 12.50", "Ship to: Oslo")
    assert [each.text for each in studied.lines] == ["Total due: 12.50", "Ship to: Oslo"]
    assert all(len(each.text) == len(each.pointers) for each in studied.lines)
    assert all(pointer != (-1, -1) for each in studied.lines for pointer in each.pointers)


def test_leader_dots_split_a_line() -> None:
    assert [each.text for each in page("Rank ........ 7th place").lines] == ["Rank", "7th place"]


def test_answers_point_at_the_slots_that_hold_their_characters() -> None:
    studied = page("Total due: 12.50", "Ship to: Oslo harbour")
    for question, answer in (("What is due?", "12.50"), ("Where to?", "Oslo harbour")):
        turn = printed_turn(studied.lines, question, answer, 0)
        assert turn is not None
        assert (turn.question, turn.answer, turn.image) == (question, answer, 0)
        found = [int(np.asarray(studied.tokens)[token, slot]) for token, slot, _ in turn.goals]
        assert found == [BLANK if char == " " else character_class(char) for char in answer]


def test_answers_that_stand_twice_point_nowhere() -> None:
    studied = page("Sent: 7 May", "Paid: 7 May")
    turn = printed_turn(studied.lines, "Which day?", "7 May", 0)
    assert turn is not None
    assert set(turn.goals) == {NOWHERE}


def test_the_label_in_the_question_tells_answers_that_stand_twice() -> None:
    studied = page("Sent: 7 May", "Paid: 7 May")
    turn = printed_turn(studied.lines, "When was it paid?", "7 May", 0)
    assert turn is not None
    assert turn.goals[0][:2] == studied.lines[1].pointers[len("Paid: ")]


def test_what_is_not_printed_makes_no_turn() -> None:
    assert printed_turn(page("Total due: 12.50").lines, "What is due?", "13.70", 0) is None
    assert printed_turn(page("Total due: 12.50").lines, "What is due?", "", 0) is None
