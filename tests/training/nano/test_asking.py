"""Asking lessons: the last layer learns to answer from states worked out once."""

from __future__ import annotations

import pytest
import torch

from leopard.schema.samples import NOT_ANSWERABLE
from leopard.training.nano.asking import TAUGHT, AskingLessons, AskingSettings, Conversations
from leopard.training.nano.dialogue import Teacher
from leopard.training.nano.known import SmallLanguageModel
from leopard.training.nano.package import nano_processor
from tests.training.nano.test_dialogue import page
from tests.training.nano.test_known import studied, untrained


@pytest.fixture
def whole() -> SmallLanguageModel:
    return untrained(TAUGHT)


def conversations(**changes: float) -> Conversations:
    return Conversations(
        Teacher(nano_processor().prompt_builder, seed=1),
        AskingSettings(**changes),  # type: ignore[arg-type]
    )


def test_what_is_said_is_what_the_whole_model_says(whole: SmallLanguageModel) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    exercise = teacher.conversation(pages, teacher.questions(pages)[:1])  # positions run on
    lessons = AskingLessons(whole)
    known = lessons.known(exercise, pages)
    kept = torch.ones(len(exercise.input_ids), dtype=torch.bool)
    with torch.no_grad():
        embedded = whole.embedded(known.ids, exercise, pages, kept)
        hidden = whole.decoder(inputs_embeds=embedded).last_hidden_state[0]
        logits = whole.head(hidden.float())
        asked = (known.weights[1:] > 0).nonzero().squeeze(1)
        said, _ = lessons._said(known, asked)
    torch.testing.assert_close(said, logits[asked], atol=0.05, rtol=0.02)


def test_a_few_steps_teach_to_say_what_is_printed(whole: SmallLanguageModel) -> None:
    torch.manual_seed(0)
    lessons = AskingLessons(whole)
    ask = conversations(questions=1.0, unanswerable=0.0, turns=3)
    batch = []
    for _ in range(2):
        pages = [studied()]
        exercise = ask(pages)
        assert exercise is not None
        batch.append(lessons.known(exercise, pages))
    taught = [p for p in whole.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(taught, lr=3e-4)
    figures = []
    for _ in range(25):
        optimiser.zero_grad()
        figures.append(lessons.learn(batch))
        optimiser.step()
    assert figures[-1]["loss"] < 0.5 * figures[0]["loss"]
    assert figures[-1]["right"] >= figures[0]["right"] > 0.9  # the circuit knows them already
    assert all(p.grad is None for p in whole.parameters() if not p.requires_grad)


def test_some_turns_ask_for_what_is_not_there() -> None:
    ask = conversations(questions=0.0, unanswerable=1.0, turns=4)
    other = page("Account: 17", questions=(("What is the account?", "17", "lookup"),))
    assert ask([other]) is None  # nothing else has been seen that could be asked
    exercise = ask([studied()])
    assert exercise is not None
    tokenizer = nano_processor().tokenizer
    assert tokenizer.decode(exercise.input_ids).count(NOT_ANSWERABLE) == 4
