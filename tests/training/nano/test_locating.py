"""Locating lessons: states worked out once teach where answers stand."""

from __future__ import annotations

import pytest
import torch

from leopard.training.nano.dialogue import StudiedPage, Teacher
from leopard.training.nano.known import (
    KnownPool,
    KnownStates,
    SequenceSettings,
    SmallLanguageModel,
)
from leopard.training.nano.locating import TAUGHT, LocatingLessons, PrintedQuestions
from leopard.training.nano.loudness import Loudness
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.zones import STARTS
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


@pytest.fixture
def whole() -> SmallLanguageModel:
    return untrained(TAUGHT)


def pool(whole: SmallLanguageModel) -> KnownPool[LocatingLessons]:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    settings = SequenceSettings(first=2, fresh=1, pool=3, batch=2, misread=0.0)
    ask = PrintedQuestions(teacher, settings.turns)
    return KnownPool(LocatingLessons(whole), ask, lambda: [studied()], settings, seed=1)


def test_known_states_are_those_of_the_whole_model(whole: SmallLanguageModel) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    turns = teacher.questions(pages, is_printed_only=True)
    assert len(turns) == 2  # nothing is located for a count
    exercise = teacher.conversation(pages, turns)
    known = LocatingLessons(whole).known(exercise, pages)
    kept = torch.ones(len(exercise.input_ids), dtype=torch.bool)
    with torch.no_grad():
        embedded = whole.embedded(known.ids, exercise, pages, kept)
        states = whole.decoder(inputs_embeds=embedded, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(known.states.float(), states[0].float(), atol=0.01, rtol=0.01)
    assert [look.position for look in known.looks] == [look.position for look in exercise.looks]


def test_sequences_stand_further_on_as_if_pages_came_before(whole: SmallLanguageModel) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    exercise = teacher.conversation(pages, teacher.questions(pages, is_printed_only=True))
    lessons = LocatingLessons(whole)
    near = lessons.known(exercise, pages)
    far = lessons.known(exercise, pages, further=500)
    assert far.positions[0] == near.positions[0] == 0
    assert (far.positions[1:] == near.positions[1:] + 500).all()
    assert far.looks == near.looks
    assert not torch.equal(far.states, near.states)  # where in the sequence is told in them


def test_a_pool_keeps_what_was_worked_out_and_takes_in_more(whole: SmallLanguageModel) -> None:
    known = pool(whole)
    assert len(known.draw()) == 2
    first = list(known.known)
    known.draw()
    assert len(known.known) == 3
    known.draw()
    assert len(known.known) == 3
    assert sum(any(each is old for old in first) for each in known.known) >= 1
    assert all(isinstance(each, KnownStates) for each in known.known)


def test_a_few_steps_teach_where_the_answers_of_a_page_stand(whole: SmallLanguageModel) -> None:
    torch.manual_seed(0)
    known = pool(whole)
    taught = [p for p in whole.parameters() if p.requires_grad]
    optimiser = Loudness(taught, lr=0.03, zones=STARTS)
    figures = []
    for _ in range(12):
        optimiser.zero_grad()
        figures.append(known.lessons.learn(known.draw()))
        optimiser.step()
    assert figures[-1]["loss"] < 0.8 * figures[0]["loss"]
    assert figures[-1]["meant"] >= figures[0]["meant"]
    assert figures[-1]["first"] > 0.5
    assert all(p.grad is None for p in whole.parameters() if not p.requires_grad)
