"""States worked out once: those of the whole model, kept in a pool."""

from __future__ import annotations

import pytest
import torch

from leopard.training.nano.asking import TAUGHT, AskingLessons
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher
from leopard.training.nano.known import (
    APART,
    KnownPool,
    KnownStates,
    SequenceSettings,
    SmallLanguageModel,
)
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.pointers import SPELLING_LAYER
from tests.training.nano.test_dialogue import page

QUESTIONS = (
    ("What is the total due?", "12.50", "lookup"),
    ("Where does it ship to?", "Oslo", "lookup"),
    ("How many lines are there?", "3", "count"),
)


def studied() -> StudiedPage:
    return page("Total due: 12.50", "Ship to: Oslo", "Terms: none", questions=QUESTIONS)


def untrained(taught: tuple[str, ...]) -> SmallLanguageModel:
    whole = SmallLanguageModel(new_model(seed=1))
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(any(part in name for part in taught))
    return whole


def asked(pages: list[StudiedPage]) -> Exercise:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    return teacher.conversation(pages, teacher.questions(pages)[:1])


@pytest.fixture(scope="module")
def lessons() -> AskingLessons:
    return AskingLessons(untrained(TAUGHT))


def test_known_states_are_those_of_the_whole_model(lessons: AskingLessons) -> None:
    pages = [studied()]
    exercise, whole = asked(pages), lessons.whole
    known = lessons.known(exercise, pages)
    kept = torch.ones(len(exercise.input_ids), dtype=torch.bool)
    with torch.no_grad():
        embedded = whole.embedded(known.ids, exercise, pages, kept)
        all_states = whole.decoder(inputs_embeds=embedded, output_hidden_states=True).hidden_states
    expected = all_states[SPELLING_LAYER][0].float()
    torch.testing.assert_close(known.states.float(), expected, atol=0.02, rtol=0.01)


def test_sequences_stand_further_on_as_if_pages_came_before(lessons: AskingLessons) -> None:
    pages = [studied()]
    exercise = asked(pages)
    near = lessons.known(exercise, pages)
    far = lessons.known(exercise, pages, further=500)
    assert far.positions[0] == near.positions[0] == 0
    assert (far.positions[1:] == near.positions[1:] + 500).all()
    assert not torch.equal(far.states, near.states)  # where in the sequence is told in them


def test_turns_stand_apart(lessons: AskingLessons) -> None:
    pages = [studied()]
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    exercise = teacher.conversation(pages, teacher.questions(pages))
    positions = lessons.known(exercise, pages).positions
    steps = positions.diff()
    assert sorted(set(steps.tolist())) == [1, 1 + APART]
    assert (steps > 1).nonzero().squeeze(1).add(1).tolist() == exercise.turn_starts


def test_a_pool_keeps_what_was_worked_out_and_takes_in_more(lessons: AskingLessons) -> None:
    settings = SequenceSettings(first=2, fresh=1, pool=3, batch=2, misread=0.0)
    pool = KnownPool(lessons, asked, lambda: [studied()], settings, seed=1)
    assert len(pool.draw()) == 2
    first = list(pool.known)
    pool.draw()
    assert len(pool.known) == 3
    pool.draw()
    assert len(pool.known) == 3
    assert sum(any(each is old for old in first) for each in pool.known) >= 1
    assert all(isinstance(each, KnownStates) for each in pool.known)
