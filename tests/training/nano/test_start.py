"""The starting circuit: before any lesson it finds and spells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leopard.model import LeopardForConditionalGeneration
from leopard.training.nano.asking import AskingLessons
from leopard.training.nano.characters import BLANK, NUM_CLASSES, SLOTS, cell_slots
from leopard.training.nano.codes import byte_classes, class_codes
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher, Turn
from leopard.training.nano.known import KnownLessons, SmallLanguageModel
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.package import nano_processor, nano_tokenizer, new_model
from leopard.training.nano.pointers import GATHERING_LAYER
from leopard.training.nano.start import ANSWER_TOKEN, ASKED_HEADS, END_TOKEN, START_TOKEN
from leopard.training.nano.zones import (
    AXIS,
    CODE,
    FLAG,
    IDENTITY,
    IMAGE,
    PLACE,
    PLACE_LENGTH,
    PLACE_SIZE,
    ROWS,
    SIDE,
    axis_codes,
    slot_frame,
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
def model() -> LeopardForConditionalGeneration:
    return new_model(seed=1)


@pytest.fixture(scope="module")
def lessons(model: LeopardForConditionalGeneration) -> AskingLessons:
    return AskingLessons(SmallLanguageModel(model), pointer_weight=1.0)


def copying(count: int) -> list[tuple[Exercise, list[StudiedPage]]]:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()]
    batch = []
    for _ in range(count):
        exercise = teacher.copying(pages, num_characters=80)
        assert exercise is not None
        batch.append((exercise, pages))
    return batch


def figures(lessons: AskingLessons, count: int, **known: float) -> dict[str, float]:
    torch.manual_seed(0)
    batch = [lessons.known(exercise, pages, **known) for exercise, pages in copying(count)]
    result = lessons.learn(batch)
    lessons.whole.zero_grad()
    return result


def test_the_tokens_that_the_circuit_knows_are_those_of_the_tokenizer() -> None:
    tokenizer = nano_tokenizer()
    names = ["<|begin_of_text|>", "<|eot_id|>", "\n\n"]
    assert tokenizer.convert_tokens_to_ids(names) == [START_TOKEN, END_TOKEN, ANSWER_TOKEN]
    exercise, _ = copying(1)[0]
    assert exercise.input_ids[0] == START_TOKEN
    assert exercise.input_ids.count(START_TOKEN) == 1


def test_codes_tell_characters_apart_and_capitals_are_like_their_small_letters() -> None:
    codes = class_codes()
    assert codes.shape == (NUM_CLASSES - 1, CODE)
    identity = codes[:, :IDENTITY]
    torch.testing.assert_close(identity.norm(dim=1), torch.ones(len(codes)))
    classes = byte_classes()
    alike = identity @ identity.T - torch.eye(len(codes))
    a, capital = classes[ord("a")] - 1, classes[ord("A")] - 1
    assert alike[a, capital] > 0.8
    digits = [classes[ord(char)] - 1 for char in "0123456789"]
    assert alike[digits][:, digits].max() < 0.65
    assert codes[BLANK - 1, -1] == 0


def test_the_connector_begins_as_an_exact_map(model: LeopardForConditionalGeneration) -> None:
    spelling, connector = model.model.vision_encoder.spelling, model.model.connector
    slots = torch.zeros(1, SIDE * SIDE, SLOTS, dtype=torch.long)
    slots[0, 20, 2] = 7
    visual = connector(spelling.known(slots))[0].detach()
    codes = class_codes()
    torch.testing.assert_close(slot_frame(2) @ visual[20], codes[6], atol=0.02, rtol=0)
    assert visual[:, IMAGE].min() > 5
    assert visual[20, ROWS : ROWS + SIDE].argmax() == 20 // SIDE


def test_visual_tokens_begin_by_knowing_their_row_and_column(
    model: LeopardForConditionalGeneration,
) -> None:
    slots = torch.zeros(1, SIDE * SIDE, SLOTS, dtype=torch.long)
    visual = model.model.connector(model.model.vision_encoder.spelling.known(slots))[0].detach()
    for token in (0, 20, 168):
        row, column = divmod(token, SIDE)
        rows = axis_codes() @ visual[token, PLACE : PLACE + AXIS]
        columns = axis_codes() @ visual[token, PLACE + AXIS : PLACE + 2 * AXIS]
        assert (rows.argmax(), columns.argmax()) == (row, column)


def test_the_first_layer_tells_crops_apart(model: LeopardForConditionalGeneration) -> None:
    crops = 6
    slots = torch.zeros(crops, SIDE * SIDE, SLOTS, dtype=torch.long)
    with torch.no_grad():
        visual = model.model.connector(model.model.vision_encoder.spelling.known(slots))
        start = model.get_input_embeddings()(torch.tensor([[START_TOKEN]]))
        inputs = torch.cat([start, visual.flatten(0, 1)[None]], 1)
        hidden = model.model.language_model(inputs_embeds=inputs, output_hidden_states=True)
    signs = hidden.hidden_states[1][0, 1:, PLACE + 2 * AXIS : PLACE + PLACE_SIZE]
    middles = signs.view(crops, SIDE * SIDE, -1)[:, SIDE * SIDE // 2]
    assert middles.abs().max() < 1.3 * PLACE_LENGTH
    alike = torch.cosine_similarity(middles[:, None], middles[None], dim=-1)
    apart = alike[~torch.eye(crops, dtype=torch.bool)]
    assert apart.max() < 0.9


def test_known_characters_and_sure_shares_are_the_same_feature(
    model: LeopardForConditionalGeneration,
) -> None:
    spelling = model.model.vision_encoder.spelling
    slots = torch.randint(0, NUM_CLASSES, (2, SIDE * SIDE, SLOTS))
    shares = torch.nn.functional.one_hot(slots, NUM_CLASSES).float()
    torch.testing.assert_close(spelling(shares), spelling.known(slots))


def test_the_untrained_circuit_finds_letters_and_spells_lines(lessons: AskingLessons) -> None:
    before = figures(lessons, 4)
    # One of 14 heads and 169 tokens by chance, one of about 60 characters.
    assert before["spelled"] > 0.6
    assert before["right"] > 0.4


def test_misreading_makes_it_harder(lessons: AskingLessons) -> None:
    assert figures(lessons, 2, misread_share=0.9)["right"] < figures(lessons, 2)["right"]


def test_leaving_out_empty_tokens_keeps_the_goals(lessons: AskingLessons) -> None:
    thin = figures(lessons, 1, empty_share=0.0)
    assert thin["spelled"] == pytest.approx(figures(lessons, 1)["spelled"], abs=0.1)


def test_what_is_asked_is_gathered_from_letters_never_from_visual_tokens(
    lessons: AskingLessons,
) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()] * 3
    turn = Turn("What is the Quarterly harbour?", "report", ((-1, -1, 0),) * 6, 0)
    exercise = teacher.conversation(pages, [turn])
    whole = lessons.whole
    known = KnownLessons(whole, GATHERING_LAYER).known(exercise, pages)
    layer = whole.decoder.layers[GATHERING_LAYER]
    with torch.no_grad():
        states = known.states.float()[None]
        turns = whole.decoder.rotary_emb(states, known.positions[None])
        normed = layer.input_layernorm(states)
        whole.pointers.hear(GATHERING_LAYER, normed, known.crowd, turns)
        asked = torch.tensor([exercise.input_ids.index(ANSWER_TOKEN, exercise.image_starts[-1])])
        shares = whole.pointers.log_attention(GATHERING_LAYER, 0, asked).exp()[0]
    is_image = known.states[: shares.shape[-1], IMAGE] > FLAG / 2
    assert int(is_image.sum()) == 3 * 169
    question = exercise.input_ids.index(ord("Q"), exercise.image_starts[-1])
    for head in ASKED_HEADS:
        assert float(shares[head, is_image].sum()) < 1e-3
        # Most goes to the label, the end of the question.
        assert float(shares[head, question : question + 17].sum()) > 0.5
