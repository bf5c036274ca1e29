"""Exercises: sequences, weights, and pointers that hit the printed characters."""

from __future__ import annotations

import numpy as np
import pytest

from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.training.nano.characters import BLANK, Glyph, cell_slots, character_class
from leopard.training.nano.dialogue import UNKNOWN, StudiedPage, Teacher
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.package import nano_processor
from leopard.training.nano.pointers import BEGINNING, SPELL
from leopard.training.nano.whereabouts import NOWHERE
from tests.training.nano.test_characters import line


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher(nano_processor().prompt_builder, seed=1)


def page(*texts: str, questions: tuple[tuple[str, str, str], ...] = ()) -> StudiedPage:
    glyphs: list[Glyph] = []
    for number, text in enumerate(texts):
        glyphs += line(text, 4, 20 + 28 * number)
    slots, places = cell_slots(glyphs, 13, 13)
    lines = tuple(printed_lines(glyphs, places))
    tokens = slots.reshape(169, -1)
    return StudiedPage(tokens, np.any(tokens, axis=1), lines, questions, 1)


def test_lines_and_their_pointers_match_character_by_character() -> None:
    studied = page("Total due: 12.50", "Ship to: Oslo")
    assert [each.text for each in studied.lines] == ["Total due: 12.50", "Ship to: Oslo"]
    assert all(len(each.text) == len(each.pointers) for each in studied.lines)
    assert all(pointer != UNKNOWN for each in studied.lines for pointer in each.pointers)


def test_leader_dots_split_a_line() -> None:
    assert [each.text for each in page("Rank ........ 7th place").lines] == ["Rank", "7th place"]


def test_answers_point_at_the_slots_that_hold_their_characters(teacher: Teacher) -> None:
    asked = (("What is due?", "12.50", "lookup"), ("Where to?", "Oslo harbour", "lookup"))
    studied = page("Total due: 12.50", "Ship to: Oslo harbour", questions=asked)
    exercise = teacher.conversation([studied], teacher.questions([studied]))
    start = exercise.image_starts[0]
    pointed = 0
    for token_id, goal in zip(exercise.input_ids, exercise.targets, strict=True):
        position, slot, _ = goal
        if goal != NOWHERE:
            found = int(studied.tokens[position - start, slot])
            spoken = chr(token_id)
            assert found == (BLANK if spoken == " " else character_class(spoken))
            pointed += 1
    assert pointed == len("12.50" + "Oslo harbour")
    assert len(exercise.weights) == len(exercise.input_ids)
    (second,) = exercise.turn_starts
    header = exercise.input_ids[second : second + 2]
    assert teacher.builder.tokens.id("user") == header[1]


def test_a_conversation_is_what_the_processor_writes(teacher: Teacher) -> None:
    studied = page("Total due: 12.50", questions=(("What is due?", "12.50", "lookup"),))
    turns = teacher.questions([studied])
    exercise = teacher.conversation([studied], [*turns, *turns])
    messages = [
        Message("user", (ImagePart(), TextPart("What is due?"))),
        Message("assistant", (TextPart("12.50"),)),
        Message("user", (TextPart("What is due?"),)),
        Message("assistant", (TextPart("12.50"),)),
    ]
    encoded = teacher.builder.encode(messages, [1], ending="closed")
    assert exercise.input_ids == encoded.input_ids
    answers = [weight == 1.0 for weight in exercise.weights]
    assert answers == [bool(flag) for flag in encoded.answer_mask]


def test_answers_that_stand_twice_are_asked_without_pointers(teacher: Teacher) -> None:
    studied = page("Sent: 7 May", "Paid: 7 May", questions=(("Which day?", "7 May", "lookup"),))
    (turn,) = teacher.questions([studied])
    assert set(turn.goals) == {NOWHERE}


def test_questions_that_two_pages_answer_differently_are_left_out(teacher: Teacher) -> None:
    first = page("Rank: 3rd", questions=(("Rank?", "3rd", "lookup"),))
    second = page("Rank: 9th", questions=(("Rank?", "9th", "lookup"),))
    assert teacher.questions([first, second]) == []


def test_what_is_asked_as_missing_is_not_on_the_page(teacher: Teacher) -> None:
    here = page("Rank: 3rd", questions=(("What is the rank?", "3rd", "lookup"),))
    there = page("Voltage: 12 V", questions=(("What is the voltage?", "12 V", "lookup"),))
    turn = teacher.unanswerable([here], [there])
    assert turn is not None
    assert turn.question == "What is the voltage?"
    assert teacher.unanswerable([here], [here]) is None


def test_reading_on_quotes_what_stands_once(teacher: Teacher) -> None:
    studied = page("Registered office in Bergen harbour")
    turn = teacher.read_on([studied])
    assert turn is not None
    quote = (
        turn.question.rsplit('"', 2)[1] if '"' in turn.question else turn.question.split(": ")[1]
    )
    whole = studied.lines[0].text
    assert whole.count(quote.rstrip(".")) == 1
    assert whole.endswith(turn.answer) or turn.answer in whole
    assert turn.goals[0][2] == BEGINNING
    assert all(goal[2] & SPELL for goal in turn.goals[1:])


def test_labels_are_asked_for_as_they_stand_unless_another_page_has_them(teacher: Teacher) -> None:
    first = page("Total due: 12.50", "Ship to: Oslo")
    assert {turn.answer for turn in teacher.labelled([first], most=9)} == {"12.50", "Oslo"}
    turns = teacher.labelled([first, page("Total due: 13.70")], most=9)
    assert [turn.answer for turn in turns] == ["Oslo"]
    assert "ship to" in turns[0].question.lower()
    assert turns[0].is_led_to
    assert len(teacher.labelled([first], most=1)) == 1
