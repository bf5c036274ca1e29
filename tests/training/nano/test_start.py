"""The starting circuit: before any lesson it finds and spells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leopard.model import LeopardForConditionalGeneration
from leopard.processor import LeopardProcessor
from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.training.nano.asking import AskingLessons
from leopard.training.nano.characters import BLANK, NUM_CLASSES, SLOTS, Glyph, cell_slots
from leopard.training.nano.codes import byte_classes, class_codes
from leopard.training.nano.dialogue import Exercise, StudiedPage, Teacher, Turn
from leopard.training.nano.known import KnownLessons, SmallLanguageModel
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.package import nano_processor, nano_tokenizer, new_model
from leopard.training.nano.start import (
    ABOVE_DISTANCES,
    ANSWER_TOKEN,
    ASSISTANT_TOKEN,
    END_TOKEN,
    FIRST_GATHERING,
    START_TOKEN,
)
from leopard.training.nano.zones import (
    AXIS,
    CODE,
    COLUMN_FLAG,
    COUNTED,
    FLAG,
    IDENTITY,
    IMAGE,
    ORDINAL,
    PLACE_LENGTH,
    ROW,
    SIDE,
    TILE,
    TILE_BITS,
    axis_codes,
    slot_frame,
    wave_angles,
)
from tests.training.nano.test_characters import line

COUNTING_LAYER = 1
"""The layer that counts and gathers."""
LABELLED = (
    ("Registered office", "Bergen"),
    ("Total amount due", "9912.50"),
    ("Quarterly report", "Harbour 7"),
    ("Signed by", "Ingrid Kowalski"),
    ("Order number", "07-4752"),
)


def cells(lines: list[Glyph]) -> StudiedPage:
    slots, places = cell_slots(lines, 13, 13)
    tokens = slots.reshape(169, -1)
    return StudiedPage(tokens, np.any(tokens, axis=1), tuple(printed_lines(lines, places)), (), 1)


def studied() -> StudiedPage:
    texts = [f"{label}: {value}" for label, value in LABELLED]
    return cells([glyph for n, text in enumerate(texts) for glyph in line(text, 4, 20 + 56 * n)])


@pytest.fixture(scope="module")
def model() -> LeopardForConditionalGeneration:
    return new_model(seed=1)


@pytest.fixture(scope="module")
def lessons(model: LeopardForConditionalGeneration) -> AskingLessons:
    return AskingLessons(SmallLanguageModel(model))


def test_the_tokens_that_the_circuit_knows_are_those_of_the_tokenizer() -> None:
    tokenizer = nano_tokenizer()
    names = ["<|begin_of_text|>", "<|eot_id|>", "\n\n"]
    assert tokenizer.convert_tokens_to_ids(names) == [START_TOKEN, END_TOKEN, ANSWER_TOKEN]
    ids = said_before("Which?", [studied()], nano_processor())
    assert ids[0] == START_TOKEN
    assert ids.count(START_TOKEN) == 1


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
    torch.testing.assert_close(slot_frame(2) @ visual[20], codes[6], atol=0.04, rtol=0)
    assert visual[:, IMAGE].min() > 5


def test_visual_tokens_begin_by_knowing_their_row_and_the_edges_of_the_crop(
    model: LeopardForConditionalGeneration,
) -> None:
    slots = torch.zeros(1, SIDE * SIDE, SLOTS, dtype=torch.long)
    visual = model.model.connector(model.model.vision_encoder.spelling.known(slots))[0].detach()
    for token in (0, 20, 168):
        row, column = divmod(token, SIDE)
        rows = axis_codes() @ visual[token, ROW : ROW + AXIS]
        assert rows.argmax() == row
        edge = {0: 2.0, SIDE - 1: -2.0}.get(column, 0.0)
        assert float(visual[token, COLUMN_FLAG]) == pytest.approx(edge, abs=0.05)


def test_the_first_layer_tells_crops_apart(model: LeopardForConditionalGeneration) -> None:
    crops = 6
    slots = torch.zeros(crops, SIDE * SIDE, SLOTS, dtype=torch.long)
    with torch.no_grad():
        visual = model.model.connector(model.model.vision_encoder.spelling.known(slots))
        start = model.get_input_embeddings()(torch.tensor([[START_TOKEN]]))
        inputs = torch.cat([start, visual.flatten(0, 1)[None]], 1)
        hidden = model.model.language_model(inputs_embeds=inputs, output_hidden_states=True)
    signs = hidden.hidden_states[1][0, 1:, TILE : TILE + TILE_BITS]
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


def said_before(question: str, pages: list[StudiedPage], processor: LeopardProcessor) -> list[int]:
    """Tokens up to the answer."""
    parts = (*(ImagePart() for _ in pages), TextPart(question))
    crops = [page.num_crops for page in pages]
    messages = [Message("user", parts)]
    return list(processor.prompt_builder.encode(messages, crops, ending="answer").input_ids)


@torch.no_grad()
def answered(whole: SmallLanguageModel, question: str, pages: list[StudiedPage]) -> str:
    """What the model says, greedily, seeing true slots."""
    processor = nano_processor()
    ids, said = said_before(question, pages, processor), ""
    starts = [n for n, i in enumerate(ids) if i == processor.image_token_id][
        :: 169 * pages[0].num_crops
    ]
    exercise = Exercise(ids, [], [], starts)
    while len(said) < 30:
        kept = torch.ones(len(ids), dtype=torch.bool)
        embedded = whole.embedded(torch.tensor(ids), exercise, pages, kept)
        hidden = whole.decoder(inputs_embeds=embedded).last_hidden_state
        token = int(whole.head(hidden[0, -1]).argmax())
        if token == END_TOKEN:
            break
        ids.append(token)
        said += chr(token)
    return said


@pytest.mark.parametrize(("label", "value"), LABELLED)
def test_the_untrained_circuit_reads_out_what_stands_beside_a_label(
    lessons: AskingLessons, label: str, value: str
) -> None:
    assert answered(lessons.whole, f"What is the {label}?", [studied()]) == value


def test_what_is_said_of_how_to_answer_is_not_looked_for(lessons: AskingLessons) -> None:
    question = "What is the Order number?\nAnswer the question using a single word or phrase."
    assert answered(lessons.whole, question, [studied()]) == "07-4752"


def test_where_nothing_fits_it_says_so(lessons: AskingLessons) -> None:
    assert answered(lessons.whole, "What is the Zebra voltage?", [studied()]) == "Not answerable"


def row_of_crops(texts: dict[str, float], count: int) -> StudiedPage:
    """A row of crops, with texts that begin so many pixels from the left."""
    glyphs = [glyph for text, x in texts.items() for glyph in line(text, x, 20)]
    crops = [
        cells([g.scaled((1.0, 1.0), (-364.0 * n, 0.0)) for g in glyphs if g.box.left // 364 == n])
        for n in range(count)
    ]
    tokens = np.concatenate([crop.tokens for crop in crops])
    return StudiedPage(tokens, np.any(tokens, axis=1), (), (), count)


@pytest.mark.parametrize(
    ("label_at", "value_at"),
    [(40, 480), (40, 364 + 330), (364 - 8 * 6, 480), (40, 2 * 364 + 60)],
    ids=["the next crop", "its last column", "a label across the edge", "the crop after"],
)
def test_a_label_is_known_in_crops_further_right(
    lessons: AskingLessons, label_at: int, value_at: int
) -> None:
    page = row_of_crops({"Signed by:": label_at, "Kowalski": value_at}, 3)
    others = row_of_crops({"Quarterly report": 40, "Harbour": 480}, 3)
    tokens = np.concatenate([page.tokens, others.tokens])
    both = StudiedPage(tokens, np.any(tokens, axis=1), (), (), 6)
    said = answered(lessons.whole, "What is the Signed by?", [both])
    assert said == "Kowalski"


def test_text_is_read_on_across_the_edge_of_a_crop(lessons: AskingLessons) -> None:
    page = row_of_crops({"Order number: 07-": 364 - 6 * 17, "475299": 364}, 2)
    assert answered(lessons.whole, "What is the Order number?", [page]) == "07-475299"


def test_an_answer_is_counted_from_where_it_began_in_any_turn(lessons: AskingLessons) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages, value = [studied()], "Ingrid Kowalski"
    turn = Turn("What is the Signed by?", value, ((-1, -1, 0),) * len(value), 0)
    exercise = teacher.conversation(pages, [turn, turn])
    states = KnownLessons(lessons.whole, COUNTING_LAYER + 1).known(exercise, pages).states.float()
    angles = torch.tensor(wave_angles())
    starts = [n + 1 for n, i in enumerate(exercise.input_ids) if i == ASSISTANT_TOKEN]
    for start in starts:
        for count in range(len(value)):
            told = states[start + 1 + count, COUNTED : COUNTED + ORDINAL].view(-1, 2)
            expected = torch.stack([(angles * count).cos(), (angles * count).sin()], 1)
            assert torch.cosine_similarity(told, expected, dim=1).min() > 0.97


def test_what_is_asked_is_gathered_from_letters_never_from_visual_tokens(
    lessons: AskingLessons,
) -> None:
    teacher = Teacher(nano_processor().prompt_builder, seed=1)
    pages = [studied()] * 3
    turn = Turn("What is the Quarterly harbour?", "report", ((-1, -1, 0),) * 6, 0)
    exercise = teacher.conversation(pages, [turn])
    whole = lessons.whole
    known = KnownLessons(whole, COUNTING_LAYER).known(exercise, pages)
    layer = whole.decoder.layers[COUNTING_LAYER]
    with torch.no_grad():
        states = known.states.float()[None]
        turns = whole.decoder.rotary_emb(states, known.positions[None])
        normed = layer.input_layernorm(states)
        whole.pointers.hear(COUNTING_LAYER, normed, known.crowd, turns)
        asked = torch.tensor([exercise.input_ids.index(ANSWER_TOKEN, exercise.image_starts[-1])])
        shares = whole.pointers.log_attention(COUNTING_LAYER, 0, asked).exp()[0]
    is_image = known.states[: shares.shape[-1], IMAGE] > FLAG / 2
    assert int(is_image.sum()) == 3 * 169
    question = exercise.input_ids.index(ord("Q"), exercise.image_starts[-1])
    head = FIRST_GATHERING + len(ABOVE_DISTANCES)
    assert float(shares[head, is_image].sum()) < 1e-3
    # Most goes to the label, the end of the question.
    assert float(shares[head, question : question + 17].sum()) > 0.5
