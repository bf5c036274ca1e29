"""The starting circuit: before any lesson it finds and spells more than chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leopard.training.nano.characters import BLANK, PLACES, SLOTS, cell_slots
from leopard.training.nano.dialogue import StudiedPage, Teacher
from leopard.training.nano.language_stage import LanguageLessons
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.package import nano_processor, new_model
from leopard.training.nano.start import (
    CODE,
    DIM,
    LETTER,
    START_TOKEN,
    SlotReader,
    character_codes,
    slot_frames,
)
from tests.training.nano.test_characters import line

TEXTS = (
    "Registered office in Bergen",
    "Total amount due 12.50 EUR",
    "Quarterly harbour report",
    "Signed by Ingrid Kowalski",
)


def studied() -> StudiedPage:
    glyphs = [glyph for n, text in enumerate(TEXTS) for glyph in line(text, 4, 20 + 28 * n)]
    slots, places = cell_slots(glyphs, 13, 13)
    tokens = slots.reshape(169, -1)
    return StudiedPage(tokens, np.any(tokens, axis=1), tuple(printed_lines(glyphs, places)), (), 1)


@pytest.fixture(scope="module")
def lessons() -> LanguageLessons:
    model = new_model(seed=1)
    return LanguageLessons(model, SlotReader(model.get_input_embeddings()))


def test_prompts_begin_with_the_token_the_circuit_rests_on() -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    exercise = teacher.copying([studied()], num_characters=20)
    assert exercise is not None
    assert exercise.input_ids[0] == START_TOKEN
    assert exercise.input_ids.count(START_TOKEN) == 1


def test_slots_of_a_line_share_no_direction() -> None:
    frames = slot_frames()
    assert frames.shape == (SLOTS + SLOTS - PLACES, CODE, DIM)
    first_line = frames[: PLACES // 2].flatten(0, 1)
    torch.testing.assert_close(
        first_line @ first_line.T, torch.eye(len(first_line)), atol=1e-5, rtol=0
    )


def test_capitals_are_like_their_small_letters() -> None:
    codes = torch.nn.functional.normalize(character_codes()[:, :-1], dim=1)
    alike = codes[ord("A")] @ codes[ord("a")]
    assert alike > 0.5
    assert abs(codes[ord("A")] @ codes[ord("z")]) < alike


def test_true_slots_are_seen_in_the_code_of_the_text(lessons: LanguageLessons) -> None:
    front = lessons.front
    assert isinstance(front, SlotReader)
    slots = torch.zeros(169, SLOTS, dtype=torch.long)
    empty = front(slots)
    slots[0, 2] = BLANK
    seen = (front(slots) - empty)[0]
    code = lessons.decoder.get_input_embeddings().weight[ord(" "), LETTER : LETTER + CODE]
    torch.testing.assert_close(front.frames[2] @ seen, code, atol=1e-4, rtol=0)


def test_the_untrained_circuit_finds_letters_by_the_letters_before(
    lessons: LanguageLessons,
) -> None:
    torch.manual_seed(0)
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    batch = []
    for _ in range(4):
        exercise = teacher.copying(pages, num_characters=80)
        assert exercise is not None
        batch.append((exercise, pages))
    figures = lessons.learn(batch, pointer_weight=1.0)
    lessons.zero_grad()
    # One of 14 heads and 169 tokens by chance.
    assert figures["found"] > 0.1


def test_leaving_out_empty_tokens_keeps_the_goals(lessons: LanguageLessons) -> None:
    torch.manual_seed(0)
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    exercise = teacher.copying(pages, num_characters=80)
    assert exercise is not None
    whole = lessons.learn([(exercise, pages)], pointer_weight=1.0)
    thin = lessons.learn([(exercise, pages)], pointer_weight=1.0, empty_share=0.0)
    lessons.zero_grad()
    assert thin["found"] == pytest.approx(whole["found"], abs=0.2)
