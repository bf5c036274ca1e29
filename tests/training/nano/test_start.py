"""The starting circuit: before any lesson it finds and spells."""

from __future__ import annotations

import pytest
import torch

from leopard.inference.loading import DEFAULT_MODEL, SHIPPED_MODELS
from leopard.model import LeopardForConditionalGeneration
from leopard.model.tiling import Grids
from leopard.processor import LeopardProcessor
from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.training.nano.characters import BLANK, NUM_CLASSES, SLOTS, Glyph, cell_slots
from leopard.training.nano.codes import byte_classes, class_codes, page_code
from leopard.training.nano.meaning import ASKED_SLOPES, Asked, Meaning
from leopard.training.nano.meaning_stage import begins_in
from leopard.training.nano.package import (
    nano_processor,
    nano_tokenizer,
    new_model,
    new_surroundings,
    take_meaning,
)
from leopard.training.nano.start import (
    ANSWER_TOKEN,
    ASSISTANT_TOKEN,
    END_TOKEN,
    START_TOKEN,
    SURE_RESTS,
    heard_from,
)
from leopard.training.nano.start_counting import FARTHEST, fitted_turns
from leopard.training.nano.start_pages import PAGE_LAYER
from leopard.training.nano.zones import (
    AROUND,
    AXIS,
    CODE,
    COLUMN_FLAG,
    COUNTED,
    HEAD,
    IDENTITY,
    IMAGE,
    OF_PAGE,
    ORDINAL,
    PAGE_CODE,
    PAGE_CODE_SIZE,
    PAGE_END,
    PAGE_LENGTH,
    PLACE_LENGTH,
    ROPE_THETA,
    ROW,
    SIDE,
    TEXT,
    TILE,
    TILE_BITS,
    axis_codes,
    slot_frame,
    wave_angles,
)
from tests.training.nano.test_characters import line
from tests.training.nano.test_meaning import grids_of

COUNTING_LAYER = 1
"""The layer that counts and gathers."""
LABELLED = (
    ("Registered office", "Bergen"),
    ("Total amount due", "9912.50"),
    ("Quarterly report", "Harbour 7"),
    ("Signed by", "Ingrid Kowalski"),
    ("Order number", "07-4752"),
)


def cells(lines: list[Glyph]) -> torch.Tensor:
    """A crop as slots, (1, cells, slots)."""
    slots, _ = cell_slots(lines, 13, 13)
    return torch.from_numpy(slots.reshape(1, 169, -1)).long()


def studied() -> torch.Tensor:
    texts = [f"{label}: {value}" for label, value in LABELLED]
    return cells([glyph for n, text in enumerate(texts) for glyph in line(text, 4, 20 + 56 * n)])


@pytest.fixture(scope="module")
def model() -> LeopardForConditionalGeneration:
    """As it is before any meaning is learned."""
    return new_model(seed=1)


@pytest.fixture(scope="module")
def shipped() -> LeopardForConditionalGeneration:
    """What comes with the package."""
    return LeopardForConditionalGeneration.from_pretrained(
        SHIPPED_MODELS / DEFAULT_MODEL, dtype=torch.float32
    ).eval()


def test_the_tokens_that_the_circuit_knows_are_those_of_the_tokenizer() -> None:
    tokenizer = nano_tokenizer()
    names = ["<|begin_of_text|>", "<|eot_id|>", "\n\n"]
    assert tokenizer.convert_tokens_to_ids(names) == [START_TOKEN, END_TOKEN, ANSWER_TOKEN]
    ids = said_before("Which?", [1], nano_processor())
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


def test_codes_of_pages_tell_them_apart_and_prefer_none() -> None:
    codes = torch.stack([page_code(number) for number in range(1, 50)])
    alike = codes @ codes.T
    torch.testing.assert_close(alike.diag(), torch.full((len(codes),), 2.0))
    assert (alike - 2 * torch.eye(len(codes))).max() < 1.32


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


def said_before(question: str, crops: list[int], processor: LeopardProcessor) -> list[int]:
    """Tokens up to the answer."""
    parts = (*(ImagePart() for _ in crops), TextPart(question))
    messages = [Message("user", parts)]
    return list(processor.prompt_builder.encode(messages, crops, ending="answer").input_ids)


def embedded(
    model: LeopardForConditionalGeneration,
    ids: list[int],
    slots: torch.Tensor,
    grids: Grids | None = None,
) -> torch.Tensor:
    """Embeddings with visual tokens in their places, (1, length, dim)."""
    visual = model.model.connector(model.model.vision_encoder.spelling.known(slots, grids))
    tokens = torch.tensor(ids)
    places = torch.nonzero(tokens == nano_processor().image_token_id).flatten()
    text = model.get_input_embeddings()(tokens)
    return text.index_copy(0, places, visual.flatten(0, 1))[None]


@torch.no_grad()
def answered(
    model: LeopardForConditionalGeneration,
    question: str,
    pages: list[torch.Tensor],
    grids: Grids | None = None,
) -> str:
    """What the model says, greedily, seeing true slots, (crops, cells, slots) a page.

    Tiles stand beside each other unless grids say otherwise.
    """
    crops = [len(page) for page in pages]
    grids = grids_of(crops) if grids is None else grids
    ids, said = said_before(question, crops, nano_processor()), ""
    while len(said) < 30:
        inputs = embedded(model, ids, torch.cat(pages), grids)
        hidden = model.model.language_model(inputs_embeds=inputs).last_hidden_state
        token = int(model.lm_head(hidden[0, -1]).argmax())
        if token == END_TOKEN:
            break
        ids.append(token)
        said += chr(token)
    return said


@pytest.mark.parametrize(("label", "value"), LABELLED)
def test_what_stands_beside_a_label_is_read_out(
    shipped: LeopardForConditionalGeneration, label: str, value: str
) -> None:
    assert answered(shipped, f"What is the {label}?", [studied()]) == value


def test_what_is_said_of_how_to_answer_is_not_looked_for(
    shipped: LeopardForConditionalGeneration,
) -> None:
    question = "What is the Order number?\nAnswer the question using a single word or phrase."
    assert answered(shipped, question, [studied()]) == "07-4752"


def test_where_nothing_fits_it_says_so(shipped: LeopardForConditionalGeneration) -> None:
    assert answered(shipped, "What is the Blood type?", [studied()]) == "Not answerable"


@pytest.mark.parametrize(("label", "said"), [("Order number", "Yes"), ("Blood type", "No")])
def test_a_question_of_yes_or_no_is_answered_by_whether_anything_is_meant(
    shipped: LeopardForConditionalGeneration, label: str, said: str
) -> None:
    unit = shipped.model.language_model.layers[PAGE_LAYER].mlp.gate_proj.weight[0]
    learned = unit.detach().clone()
    with torch.no_grad():
        unit.zero_()
        unit[TEXT] = 4.0  # whatever is asked
    assert answered(shipped, f"What is the {label}?", [studied()]) == said
    with torch.no_grad():
        unit.copy_(learned)
    assert answered(shipped, f"What is the {label}?", [studied()]) not in ("Yes", "No")


def row_of_crops(texts: dict[str, float], count: int) -> torch.Tensor:
    """A row of tiles, with texts that begin so many pixels from the left, after a thumbnail."""
    glyphs = [glyph for text, x in texts.items() for glyph in line(text, x, 76)]
    crops = [
        cells([g.scaled((1.0, 1.0), (-364.0 * n, 0.0)) for g in glyphs if g.box.left // 364 == n])
        for n in range(count)
    ]
    return torch.cat([torch.zeros_like(crops[0]), *crops])


@pytest.mark.parametrize(
    ("label_at", "value_at"),
    [(40, 480), (364 - 8 * 6, 480), (40, 2 * 364 + 60)],
    ids=["the next crop", "a label across the edge", "the crop after"],
)
def test_a_label_is_known_in_crops_further_right(
    shipped: LeopardForConditionalGeneration, label_at: int, value_at: int
) -> None:
    page = row_of_crops({"Signed by:": label_at, "Kowalski": value_at}, 3)
    others = row_of_crops({"Quarterly report": 40, "Harbour": 480}, 3)
    assert answered(shipped, "What is the Signed by?", [page, others]) == "Kowalski"


@pytest.mark.parametrize(("row", "staff"), [("Lund", "2140"), ("Bergen", "1763")])
def test_the_head_of_a_column_is_known_in_tiles_further_down(
    shipped: LeopardForConditionalGeneration, row: str, staff: str
) -> None:
    columns = (4, 140, 260)
    table = (("City", "Staff", "Budget"), ("Oslo", "3312", "99.50"), ("Lund", "2140", "80.10"))
    upper, lower = (
        cells(
            [
                glyph
                for n, texts in enumerate(rows)
                for text, x in zip(texts, columns, strict=True)
                for glyph in line(text, x, first + 42 * n)
            ]
        )
        for rows, first in ((table, 200), ((("Bergen", "1763", "70.20"),), 34))
    )
    page = torch.cat([torch.zeros_like(upper), upper, lower])
    assert answered(shipped, f"What is the Staff of {row}?", [page], [(2, 1)]) == staff


def test_text_is_read_on_across_the_edge_of_a_crop(
    shipped: LeopardForConditionalGeneration,
) -> None:
    page = row_of_crops({"Order number: 07-": 364 - 6 * 17, "475299": 364}, 2)
    assert answered(shipped, "What is the Order number?", [page]) == "07-475299"


@torch.no_grad()
def test_an_answer_is_counted_from_where_it_began_in_any_turn(
    model: LeopardForConditionalGeneration,
) -> None:
    value, builder = "Ingrid Kowalski", nano_processor().prompt_builder
    turns = [
        Message("user", (ImagePart(), TextPart("What is the Signed by?"))),
        Message("assistant", (TextPart(value),)),
    ]
    again = [
        Message("user", (TextPart("And who has signed it, by the name that is printed below?"),)),
        Message("assistant", (TextPart(value),)),
    ]
    ids = list(builder.encode([*turns, *again], [1], ending="closed").input_ids)
    inputs = embedded(model, ids, studied())
    states = model.model.language_model(inputs_embeds=inputs, output_hidden_states=True)
    told_of = states.hidden_states[COUNTING_LAYER + 1][0]
    angles = torch.tensor(wave_angles())
    starts = [n + 1 for n, i in enumerate(ids) if i == ASSISTANT_TOKEN]
    assert len(starts) == 2
    for start in starts:
        for count in range(len(value)):
            told = told_of[start + 1 + count, COUNTED : COUNTED + ORDINAL].view(-1, 2)
            expected = torch.stack([(angles * count).cos(), (angles * count).sin()], 1)
            assert torch.cosine_similarity(told, expected, dim=1).min() > 0.97


@pytest.mark.parametrize("slope", ASKED_SLOPES)
def test_the_longest_prompt_holds_nothing_far_that_is_heard_as_near(slope: float) -> None:
    near, beyond = heard_from(slope)
    cosines, sines = fitted_turns(near, beyond, -3.0)
    turned = torch.arange(FARTHEST)[:, None] * ROPE_THETA ** (-torch.arange(len(cosines)) / 32)
    logits = turned.cos() @ cosines + turned.sin() @ sines
    torch.testing.assert_close(logits[: len(near)], near.float(), atol=0.1, rtol=0)
    assert logits[beyond:].max() < -1


@torch.no_grad()
def compared(
    pages: list[int], slots: torch.Tensor, *, told: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the fourth layer, against resting, and those that were learned, of all beginnings.

    What pages tell counts so much more than before any lesson.
    """
    torch.manual_seed(5)
    meaning = Meaning(new_surroundings()).eval()
    for part in (meaning.around.heading, meaning.number.weight):
        part *= told
    model = new_model(seed=1)
    take_meaning(model, meaning)
    begun = begins_in(slots.numpy().astype("uint8"), grids_of(pages))
    token, line_number = torch.from_numpy(begun).nonzero().T
    question = "What is the Order number?"
    places = torch.stack([token, line_number], 1)
    document = Asked(slots, grids_of(pages), places, (question,), torch.tensor([0]))
    expected = meaning([document])[0][0][0, 1:]
    ids = said_before(f"{question}\nAnswer briefly.", pages, nano_processor())
    inputs = embedded(model, ids, slots, grids_of(pages))
    states = model.model.language_model(inputs_embeds=inputs, output_hidden_states=True)
    layer = model.model.language_model.layers[3]
    normed = layer.input_layernorm(states.hidden_states[3])[0]
    query = layer.self_attn.q_proj(normed[-1]).unflatten(-1, (16, HEAD))
    keys = layer.self_attn.k_proj(normed).unflatten(-1, (16, HEAD))
    logits = torch.einsum("hd,lhd->hl", query, keys) / HEAD**0.5
    images = torch.nonzero(torch.tensor(ids) == nano_processor().image_token_id).flatten()
    first_of_sure = torch.tensor([1, 2 + len(SURE_RESTS)])
    rest, sharpness = SURE_RESTS[0]
    found, rests = (logits[first_of_sure[line_number], at] for at in (images[token], 0))
    return (found - rests) / sharpness + float(meaning.nothing) + rest, expected


def test_the_layers_compare_what_was_learned_to_be_compared() -> None:
    page = row_of_crops({"Order number: 07-": 200, "Signed by": 500, "Kowalski": 600}, 2)
    found, expected = compared([3], page)
    assert len(found) > 4
    torch.testing.assert_close(found, expected, atol=0.15 * float(expected.abs().max()), rtol=0)
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1] > 0.99


def test_the_layers_tell_pages_apart_as_was_learned() -> None:
    pages, titles = [4, 1, 7, 3], ("Lund Office", "Brook Works", "Order of Kowalski", "Number")
    crops = []
    for count, title in zip(pages, titles, strict=True):
        for number in range(count):
            rows = line(title, 4, 20) if number == min(1, count - 1) else []
            crops.append(cells([*rows, *line("x", 64, 200), *line("Kowalski", 200, 200)]))
    slots = torch.cat(crops)
    found, expected = compared(pages, slots, told=10)
    begun = begins_in(slots.numpy().astype("uint8"), grids_of(pages))
    counts = torch.from_numpy(begun).view(len(slots), -1).sum(1)
    ends = counts.cumsum(0)[torch.tensor(pages).cumsum(0) - 1] - 1
    same = expected[ends[[0, 2, 3]]]  # crops with the same print, in three pages
    assert same.max() - same.min() > 0.3 * expected.abs().max()
    torch.testing.assert_close(found, expected, atol=0.15 * float(expected.abs().max()), rtol=0)
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1] > 0.99


@torch.no_grad()
def test_the_page_that_is_named_is_found_and_told_as_was_learned() -> None:
    torch.manual_seed(5)
    meaning = Meaning(new_surroundings()).eval()
    meaning.around.heading *= 24
    meaning.number.weight *= 12
    meaning.of_page[0] = -0.2  # some page is named
    meaning.ask_page.weight[AROUND:].normal_(0, 0.2)
    model, pages = new_model(seed=1), [4, 1, 7] + [1] * 9
    take_meaning(model, meaning)
    crops = []
    for number, count in enumerate(pages):
        title = ("Lund Office", "Brook Works", "Order of Kowalski")[number % 3]
        for at in range(count):
            crops.append(cells(line(title, 4, 20) if at == min(1, count - 1) else []))
    slots, question = torch.cat(crops), "What is printed under Brook Works?"
    places = torch.tensor([[0, 0]])
    document = Asked(slots, grids_of(pages), places, (question,), torch.tensor([0]))
    logits = meaning([document])[1][0]
    shares = torch.cat([meaning.no_page[None, None], logits], 1).softmax(1)[0, 1:]
    owner = torch.arange(len(pages)).repeat_interleave(torch.tensor(pages))
    codes = torch.stack([page_code(1 + page) for page in range(len(pages))])[owner]
    ids = said_before(f"{question}\nAnswer briefly.", pages, nano_processor())
    states = model.model.language_model(
        inputs_embeds=embedded(model, ids, slots, grids_of(pages)), output_hidden_states=True
    ).hidden_states[PAGE_LAYER + 1][0]
    images = torch.tensor(ids) == nano_processor().image_token_id
    told = states[images, PAGE_CODE : PAGE_CODE + PAGE_CODE_SIZE].view(len(slots), SIDE**2, -1)
    expected = codes[:, None].expand_as(told)
    torch.testing.assert_close(told / PAGE_LENGTH, expected, atol=0.06, rtol=0)
    found = states[-1, OF_PAGE : OF_PAGE + PAGE_CODE_SIZE + 1] / PAGE_LENGTH
    assert shares.sum() > 0.5
    learned = torch.cat([shares @ codes, shares.sum()[None]])
    torch.testing.assert_close(found, learned, atol=0.1, rtol=0)


@torch.no_grad()
def test_the_last_cells_of_first_crops_are_marked(model: LeopardForConditionalGeneration) -> None:
    pages = [7, 1, 1, 13, 2, 1, 7, 13]
    ids = said_before("?", pages, nano_processor())
    inputs = embedded(model, ids, torch.zeros(sum(pages), SIDE * SIDE, SLOTS).long())
    states = model.model.language_model(inputs_embeds=inputs, output_hidden_states=True)
    marks = states.hidden_states[1][0, torch.tensor(ids) == nano_processor().image_token_id]
    crop, cell = torch.nonzero(marks[:, PAGE_END].view(-1, SIDE * SIDE) > 0.1).T
    starts = [sum(pages[:n]) for n in range(len(pages))]
    assert crop.tolist() == [
        s + k for s, n in zip(starts, pages, strict=True) for k in range(min(n, 2))
    ]
    assert (cell == SIDE * SIDE - 1).all()
