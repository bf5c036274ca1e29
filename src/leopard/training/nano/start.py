"""The small language model before its first lesson.

Finding text on a page and spelling it out is what language models learn last and dearest: millions
of sequences. Here the model starts out with a circuit for it, written into its weights, and
training refines that instead of discovering it. The stream has zones (`zones`): in a
visual token the codes of its characters, slot by slot, and what stands around it; in a letter of
text its code, the code of the one before it, what is meant and what is to be said.

    layer 0   text: copy the codes of the two letters before, make a vector of the three, mark
              letters of answers and colons; image: the end of the left cell, about where it is,
              and which cells are the last ones of a page's thumbnail and first tile
    layer 1   text: gather what the question asks for, count the answer's characters; image: the
              label of its image and a code of its number
    layer 2   text: look for the page that is named, among headings and labels; tell whether yes or
              no is the answer
    layer 3   text: look for a line of a cell where something begins, with that around it, on the
              page found; of both lines of cells the surer one is chosen; its ordinal, and the
              count, make the one due
    layer 4   the head of each slot looks for the ordinal that is due, in the row of what was found,
              after the letters said last, and says the character of the slot; where nothing is
              meant, it says so; where yes or no is the answer, it says yes if anything is meant

What a question asks for, and what stands around, is learned (`meaning`); the rest is written.
Layers 0 and 1 know positions (rotary), the others do not, so that finding is the same near and far
(SmolLM3's NoPE layers). Starting from structure rather than noise follows mimetic initialisation
(Trockman and Kolter 2023, arXiv 2305.09828); matching by the letters before is the induction head
(Olsson et al. 2022, arXiv 2209.11895).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from leopard.schema.samples import NO, NOT_ANSWERABLE, YES
from leopard.training.nano.characters import (
    LAST_PER_LINE,
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
)
from leopard.training.nano.codes import byte_classes, class_codes
from leopard.training.nano.meaning import ASKED_LENGTH, ASKED_SLOPES, Meaning
from leopard.training.nano.start_counting import (
    COUNT_GAIN,
    COUNTING_HEADS,
    add_ordinals,
    count_characters,
    fitted_turns,
    tell_asides,
)
from leopard.training.nano.start_heads import (
    HALF,
    IMAGE_MARK,
    NOISE,
    PREVIOUS_TILE,
    RESTING,
    TEXT_MARK,
    Heads,
    Likeness,
    Peak,
)
from leopard.training.nano.start_pages import (
    PAGE_LAYER,
    find_page_ends,
    look_for_page,
    mark_labels,
    prefer_page,
    tell_pages,
)
from leopard.training.nano.start_units import (
    TRIPLE_SIZE,
    Phrase,
    ask_for_check,
    check,
    choose,
    mean_to_meant,
    say,
    seen_before,
    triple_letters,
)
from leopard.training.nano.zones import (
    AGREED,
    ANSWER,
    ANSWER_FLAG,
    ANSWERING,
    AROUND,
    AROUNDS,
    ASIDE,
    ASSISTANT,
    AXIS,
    BEFORE,
    BEGUN,
    BREAK,
    CHECKED,
    CHOSEN,
    CODE,
    COLUMN_FLAG,
    DIM,
    FLAG,
    FOUND,
    HEAD,
    IDENTITY,
    IMAGE,
    IMAGE_SCALE,
    LAST_OF_LEFT,
    LEFT_PER_LINE,
    LETTER,
    MEANS,
    MEANT,
    ORDINAL,
    ORDINALS,
    OWN,
    OWN_SIZE,
    OWN_TRIPLE,
    PICTURE,
    PLACE_LENGTH,
    PLACE_SIZE,
    ROW,
    RUNS,
    SAID,
    SIDE,
    SPECIAL,
    START,
    START_FLAG,
    START_SCALE,
    SURE,
    SURE_SIZE,
    TARGET,
    TEXT,
    TEXT_SCALE,
    TILE,
    TILE_BITS,
    TWO_BEFORE,
    USER,
    around_line,
    asked_numbers,
    axis_codes,
    directions,
    ordinal_of_slot,
    place_of_line,
    slot_frame,
)

START_TOKEN = 257
"""Id of the token that every prompt begins with."""
END_TOKEN = 261
"""Id of the token that ends an answer."""
ANSWER_TOKEN = 267
"""Id of the token that every answer comes after, and every question."""
LOUD = 7.0
"""How loud a character is said that was found; nothing found is said by 5."""
IMAGE_START_TOKEN = 262
"""Id of the token that an image begins with."""
USER_TOKEN, ASSISTANT_TOKEN = 265, 266
"""Ids of the words that say who speaks, two tokens before."""


OWN_SPREAD = 0.04
"""Size of the numbers that each token has of its own."""


# -- the whole --------------------------------------------------------------------------------


@torch.no_grad()
def initialise_language_model(model: Any, head: nn.Linear, meaning: Meaning) -> None:
    """Write the starting circuit into the weights.

    Args:
        model: The inner decoder of a SmolLM3 model of five layers, DIM wide, 16 heads of 64.
        head: Its output layer.
        meaning: What was learned of questions.
    """
    codes = class_codes()
    _embed(model.get_input_embeddings().weight, head.weight, codes)
    for layer in model.layers:
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            getattr(layer.self_attn, part).weight.normal_(0, NOISE)
        layer.mlp.down_proj.weight.normal_(0, NOISE)
    heads = [Heads(layer.self_attn) for layer in model.layers]
    _carry_letters(heads[0])
    _tell_tiles(heads[0])
    tell_asides(heads[0])
    find_page_ends(heads[0])
    triple_letters(model.layers[0].mlp, meaning)
    mark_labels(model.layers[0].mlp)
    count_characters(heads[1])
    tell_pages(heads[1], meaning, AROUND_LENGTH)
    _gather(heads[1])
    mean_to_meant(model.layers[1].mlp, 0, meaning, ASKED_SIZE)
    look_for_page(heads[PAGE_LAYER], meaning, _asked(), AROUND_LENGTH)
    _look(heads[3], meaning)
    ask_for_check(
        model.layers[PAGE_LAYER].mlp, meaning.check.weight[0] @ _asked(), float(meaning.check.bias)
    )
    checking = choose(model.layers[3].mlp, add_ordinals(model.layers[3].mlp))
    check(model.layers[3].mlp, checking)
    _find_next(heads[4])
    _say_phrases(model.layers[4].mlp, codes)
    for slot in range(PLACES):
        heads[4].carry(slot, slot_frame(slot) / IMAGE_SCALE, directions(SAID, CODE))


def _say_phrases(mlp: Any, codes: Tensor) -> None:
    """Layer 4: what is said where nothing is read out."""
    chosen = tuple(range(CHOSEN, CHOSEN + LINES_PER_CELL))
    unit = 0
    for text, where, unless in (
        (NOT_ANSWERABLE, (), (*chosen, CHECKED)),
        (YES, (CHECKED, AGREED), ()),
        (NO, (CHECKED,), (AGREED,)),
    ):
        spelled = torch.stack([codes[byte_classes()[ord(char)] - 1] for char in text])
        phrase = Phrase(spelled, where, unless)
        unit = say(mlp, unit, phrase, math.tanh(COUNT_GAIN / 2))


@torch.no_grad()
def initialise_connector(connector: Any) -> None:
    """Write features of `Spelling` into the zones of visual tokens, nothing lost.

    GELU is a straight line far from zero, so the projector's two layers begin as a linear map.
    """
    far, small = 8.0, 0.1
    width, bags = SLOTS * CODE, LINES_PER_CELL * AROUND
    first, second = connector.linear_1, connector.linear_2
    for linear in (first, second):
        linear.weight.normal_(0, NOISE)
        linear.bias.zero_()
    ordinals = RUNS - ORDINALS
    rows = width + bags + ordinals + 2 * LINES_PER_CELL
    columns, inputs = rows + SIDE, rows + 2 * SIDE
    first.weight[:inputs] += torch.eye(inputs) * small
    first.bias.fill_(far)
    zones = (
        (0, width, 1.0),
        (AROUNDS, bags, 1.0),
        (ORDINALS, ordinals, PLACE_LENGTH),
        (RUNS, LINES_PER_CELL, 1.0),
        (BEGUN, LINES_PER_CELL, 1.0),
    )
    at = 0
    for zone, size, length in zones:
        second.weight[zone : zone + size, at : at + size] += torch.eye(size) * length / small
        at += size
    second.weight[ROW : ROW + AXIS, rows:columns] += axis_codes().T / small
    second.weight[COLUMN_FLAG, columns] += 2 / small
    second.weight[COLUMN_FLAG, columns + SIDE - 1] -= 2 / small
    marks = torch.zeros(DIM)
    marks[IMAGE] = FLAG
    marks[TILE : TILE + TILE_BITS] = PLACE_LENGTH  # see `_tell_tiles`
    second.bias.copy_(marks - second.weight.sum(1) * far)


def _embed(embedding: Tensor, head: Tensor, codes: Tensor) -> None:
    """Letters have codes; other tokens something of their own; all are text."""
    embedding.zero_()
    head.normal_(0, NOISE)
    generator = torch.Generator().manual_seed(7)
    own = torch.randn(len(embedding), OWN_SIZE, generator=generator) * OWN_SPREAD
    embedding[:, OWN : OWN + OWN_SIZE] = own
    embedding[:, TEXT] = FLAG
    embedding[:, SPECIAL] = ANSWER_FLAG
    for token, number in byte_classes().items():
        embedding[token, SPECIAL] = 0
        embedding[token, LETTER : LETTER + CODE] = codes[number - 1]
        head[token, SAID : SAID + IDENTITY] = codes[number - 1, :IDENTITY] * LOUD
    head[END_TOKEN, TEXT] = 5 / (FLAG * TEXT_SCALE)  # said where no character is,
    head[END_TOKEN, ANSWER] = -5 / (ANSWER_FLAG * TEXT_SCALE)  # but not at once
    embedding[START_TOKEN] = 0
    embedding[START_TOKEN, START] = START_FLAG
    embedding[ANSWER_TOKEN, ANSWER] = ANSWER_FLAG
    embedding[ASSISTANT_TOKEN, ASSISTANT] = ANSWER_FLAG
    scale = math.sqrt(DIM) / float(embedding[ASSISTANT_TOKEN].norm())
    # So that the token it marks has ANSWER_FLAG exactly, by looking back.
    embedding[ASSISTANT_TOKEN, ASSISTANT] *= TEXT_SCALE / scale
    embedding[USER_TOKEN, USER] = ANSWER_FLAG
    embedding[IMAGE_START_TOKEN, OWN : OWN + OWN_SIZE] = 0  # lines of cells may look there
    embedding[IMAGE_START_TOKEN, PICTURE] = ANSWER_FLAG
    embedding[ord("\n"), BREAK] = ANSWER_FLAG


EMBEDDED_SCALE = math.sqrt(DIM / (FLAG**2 + 1.25 + OWN_SIZE * OWN_SPREAD**2))
"""What the first norm makes of a 1 in letters: a mark, a code, and something of their own."""


# -- layer by layer ---------------------------------------------------------------------------


def _carry_letters(heads: Heads) -> None:
    """Layer 0: the two letters before to text, the end of the left cell to image."""
    heads.look_back(0, Peak(1), TEXT_MARK, TEXT_MARK)
    heads.carry(0, directions(LETTER, CODE) / EMBEDDED_SCALE, directions(BEFORE, CODE))
    heads.look_back(1, Peak(2), TEXT_MARK, TEXT_MARK)
    heads.carry(1, directions(ASSISTANT, 1) / TEXT_SCALE, directions(ANSWERING, 1))
    heads.carry_besides(1, directions(LETTER, CODE) / EMBEDDED_SCALE, directions(TWO_BEFORE, CODE))
    not_first = IMAGE_MARK | {COLUMN_FLAG: -2 * IMAGE_SCALE}
    width = LAST_PER_LINE * CODE
    for line in range(LINES_PER_CELL):
        own = directions(PLACES * CODE + line * width, width) / IMAGE_SCALE
        left_width = LEFT_PER_LINE * CODE
        left = directions(LAST_OF_LEFT + line * left_width, left_width)
        for step, (distance, query) in enumerate(
            ((1, not_first), (PREVIOUS_TILE, {COLUMN_FLAG: 2 * IMAGE_SCALE}))
        ):
            head = 2 + line + step * LINES_PER_CELL
            heads.look_back(head, Peak(distance), query, IMAGE_MARK)
            heads.carry(head, own[:left_width], left)
        head = 2 + 2 * LINES_PER_CELL + line  # what was carried on makes room for beginnings
        heads.look_back(head, Peak(0), IMAGE_MARK, IMAGE_MARK)
        heads.carry(head, own, -directions(PLACES * CODE + line * width, width))


TILE_WAVES = (16, 16, 16, 20, 20, 20, 24, 24)
"""Rotations that tell where in the sequence, sign by sign: they turn once in about 4 crops, in 12
and in 37, so that no two places of a long document look alike."""
SHARPNESS = 8.0
OWN_LOGIT = 20.0
"""Low, because it varies with how much a cell shows, and the first token's varies less."""


def _tell_tiles(heads: Heads) -> None:
    """Layer 0: eight signs say in which part of three slow turns a visual token is.

    Such a head attends to the first token or to its own, by the cosine of the distance to the first
    and a phase; the one counts 0, the other -2, and the connector has added 1.
    """
    both = TEXT_MARK | IMAGE_MARK  # text finds itself, which counts nothing
    step = math.sqrt(SHARPNESS * math.sqrt(HEAD))
    value = -2 * directions(IMAGE, 1) / (FLAG * IMAGE_SCALE)
    assert len(TILE_WAVES) == TILE_BITS
    for bit, wave in enumerate(TILE_WAVES):
        phase = math.pi * (bit - TILE_WAVES.index(wave)) / TILE_WAVES.count(wave)
        head = 2 + 3 * LINES_PER_CELL + bit
        heads.look_back(head, Peak(0, highest=OWN_LOGIT, rest=None), both, both)
        heads.rest(head, RESTING, OWN_LOGIT, IMAGE_MARK)
        heads.query[head, wave, IMAGE] = step / (FLAG * IMAGE_SCALE)
        heads.key[head, wave, START] = step / (START_FLAG * START_SCALE) * math.cos(phase)
        heads.key[head, HALF + wave, START] = step / (START_FLAG * START_SCALE) * math.sin(phase)
        heads.carry(head, value, directions(TILE + bit, 1) * PLACE_LENGTH)


FIXED = (45, 46, 47)
"""Numbers of a slot's head for what must be reached, for what is never found, and for resting."""


def _match_letters(
    heads: Heads,
    slot: int,
    zones: tuple[int, ...],
    *,
    logit: float,
    share: float,
    besides: float,
) -> None:
    """Prefer visual tokens that have these letters before a slot; else rest on the first token.

    What must be reached is taken off every visual token by its own mark instead of being given to
    the first token: the norm makes marks and letters of a token louder or fainter together, by how
    much the token shows, and so the sign of what remains does not depend on it.

    Args:
        heads: Of the layer.
        slot: Slot and head.
        zones: Where text has the last letters, the last one first.
        logit: What one letter that fits is worth.
        share: Share of the letters that must fit.
        besides: Logit that must be reached by other things than letters.
    """
    line, place = divmod(slot, PLACES_PER_LINE)
    gain = math.sqrt(logit * math.sqrt(HEAD))
    due, never, rest = FIXED
    heads.clear(slot)
    for back, zone in enumerate(zones, start=1):
        part = slice((back - 1) * IDENTITY, back * IDENTITY)
        heads.query[slot, part] = directions(zone, IDENTITY) * gain / TEXT_SCALE
        heads.key[slot, part] = seen_before(line, place, back)[:IDENTITY] * gain / IMAGE_SCALE
        # Rests unless most of the letters that there are fit.
        heads.query[slot, due, zone + IDENTITY] = gain**2 * share / (0.5 * TEXT_SCALE) / 20
    heads.query[slot, due, TEXT] = besides * math.sqrt(HEAD) / (FLAG * TEXT_SCALE) / 20
    heads.key[slot, due, IMAGE] = -20 / (FLAG * IMAGE_SCALE)
    heads.query[slot, never, TEXT] = 1 / (FLAG * TEXT_SCALE)
    heads.key[slot, never, TEXT] = -300 * math.sqrt(HEAD) / (FLAG * TEXT_SCALE)
    heads.rest(slot, rest, 40.0, IMAGE_MARK | {SPECIAL: ANSWER_FLAG * TEXT_SCALE})


ROW_LOGIT, TILE_LOGIT, ORDINAL_LOGIT = 28.0, 24.0, 60.0
"""What it is worth that a slot is in the row of what is meant, in its part of the sequence, and
that it has the ordinal that is due."""
LAST_LOGIT, LAST_SHARE = 12.0, 0.4
"""What one of the last letters is worth, and how much of them must fit: not all, where the page is
misread."""
FIRST_BONUS = 7.0
"""By so much less must be reached for the first character, which no letters come before."""
RUN_BONUS = 4.0
"""By so much less where text goes on from the crop before, which is in another part."""
UNCHOSEN = 60.0
"""By so much more where the other line of a token is meant, or nothing."""
MET = 0.94
"""Share of these that must be reached."""


def _find_next(heads: Heads) -> None:
    """Layer 4: the head of a slot looks for the place that is due: so text is read out in order.

    The last letters count too, so that of several places that may be meant one is read.
    """
    due = MET * (ROW_LOGIT + TILE_LOGIT + ORDINAL_LOGIT)
    for slot in range(PLACES):
        line = slot // PLACES_PER_LINE
        _match_letters(
            heads, slot, (LETTER, BEFORE), logit=LAST_LOGIT, share=LAST_SHARE, besides=due
        )
        place = place_of_line(line)
        meant = directions(FOUND + line * PLACE_SIZE, PLACE_SIZE)
        row, tile = slice(0, AXIS), slice(AXIS, AXIS + TILE_BITS)
        at = 2 * IDENTITY
        heads.prefer(slot, at, Likeness(meant[row], place[row], ROW_LOGIT, AXIS / 2))
        ordinal, here = directions(TARGET + line * ORDINAL, ORDINAL), ordinal_of_slot(slot)
        heads.prefer(slot, at + AXIS, Likeness(ordinal, here, ORDINAL_LOGIT, ORDINAL / 2))
        heads.query[slot, FIXED[-1], ANSWERING] -= heads.query[slot, FIXED[-1], SPECIAL]
        gate = UNCHOSEN * math.sqrt(HEAD) / TEXT_SCALE / 20
        heads.query[slot, FIXED[0], TEXT] += gate / FLAG
        heads.query[slot, FIXED[0], CHOSEN + line] = -gate
        heads.key[slot, FIXED[0], RUNS + line] = 20 * (RUN_BONUS / due) / IMAGE_SCALE
        bonus = FIRST_BONUS * math.sqrt(HEAD) / (ANSWER_FLAG * TEXT_SCALE) / 20
        heads.query[slot, FIXED[0], ANSWERING] = -bonus
        at = FIXED[-1] + 1
        heads.prefer(slot, at, Likeness(meant[tile], place[tile], TILE_LOGIT, TILE_BITS))


ASKED_REACH = 220
"""Tokens back to which they gather: a question, how to answer it, and the answer so far."""
RISING_REACH, TO_LABEL = 140, SIDE**2 + 13
"""The same for the mean in which the beginning counts most; and fewest tokens back to the label of
the last image: its cells and a question of a few words."""
HIGHEST, LOWEST = 14.0, 5.0
"""Attention logit of the token itself, where logits fall with the distance and where they rise."""
ASKED_SIZE = 0.06
"""How large what is asked for is in the stream, as a share of what it was when it was learned."""
LOUDER = 1.03
"""How much louder the norms make it on its way."""
AROUND_LENGTH = 4.0
"""How much shorter what stands around a line is in the stream than it was when it was learned."""
FIRST_GATHERING = 1 + COUNTING_HEADS[-1]
"""First head of layer 1 that gathers; those before count characters."""


def _gather(heads: Heads) -> None:
    """Layer 1: means of a question's letters, the last one's counting most, or the first one's."""
    length = ASKED_LENGTH * ASKED_SIZE / (TRIPLE_SIZE * LOUDER)
    for number, slope in enumerate(ASKED_SLOPES):
        head = FIRST_GATHERING + number
        _read_back(heads, head, slope)
        asked = torch.eye(DIM)[asked_numbers(number)] * length
        heads.carry(head, directions(OWN_TRIPLE, AROUND) / TEXT_SCALE, asked)


def _read_back(heads: Heads, head: int, slope: float) -> None:
    """Text attends to letters of questions before it, and to none from some distance on."""
    root, least = math.sqrt(HEAD), 3.0
    near, beyond = heard_from(slope)
    heads.clear(head)
    heads.query[head, :RESTING, TEXT] = root / (FLAG * TEXT_SCALE)
    for half, part in enumerate(fitted_turns(near, beyond, -least)):
        first = half * HALF
        heads.key[head, first : first + len(part), TEXT] = part / (FLAG * TEXT_SCALE)
    heads.key[head, RESTING, IMAGE] = -400 / (FLAG * IMAGE_SCALE)
    heads.key[head, RESTING, SPECIAL] = -400 / (ANSWER_FLAG * TEXT_SCALE)
    heads.key[head, RESTING, ASIDE] = -400 / TEXT_SCALE
    heads.rest(head, RESTING, least, TEXT_MARK)
    heads.rest(head, RESTING, 10.0, IMAGE_MARK)


def heard_from(slope: float) -> tuple[Tensor, int]:
    """Attention logits of letters by their distance, and the distance from which none is heard.

    They change in a straight line, so the shares of a question's letters stay the same however much
    stands behind it. Where they rise, they must end before the label of the last image.

    Args:
        slope: What a token's distance costs.

    Returns:
        Logits from distance 0 on, (distances,), and the distance.
    """
    if slope > 0:
        return HIGHEST - slope * torch.arange(ASKED_REACH + 1).double(), ASKED_REACH + 60
    return LOWEST - slope * torch.arange(RISING_REACH + 1).double(), TO_LABEL


BEGIN_LOGIT = 40.0
"""What it is worth that something begins."""
PLACE_REST, PLACE_SHARPNESS = -4.0, 60.0
"""The head of a line that brings the place: attention logit at which it rests, over that of nothing
meant; and how sharp it is, so that it brings one place."""
SURE_RESTS = (
    (-0.5, 24.0),
    (0.9, 1.0),
    (4.0, 2.7),
    (6.3, 2.5),
    (9.3, 1.5),
    (13.4, 1.1),
    (25.9, 0.44),
)
"""The same of the heads that tell how sure it is, a step each. The first one is sharp: it decides
whether anything is meant. The others by search: of the questions of held-out documents that are
answered right, fewest are to be lost because a line that is less sure reaches as many steps."""


def _look(heads: Heads, meaning: Meaning) -> None:
    """Layer 3: lines of cells where something begins that has what is asked for around it."""
    nothing = float(meaning.nothing)
    for line in range(LINES_PER_CELL):
        first = line * (1 + len(SURE_RESTS))
        _look_near(heads, first, line, meaning, PLACE_SHARPNESS)
        heads.rest(first, REST, (nothing + PLACE_REST) * PLACE_SHARPNESS, TEXT_MARK)
        place = directions(FOUND + line * PLACE_SIZE, PLACE_SIZE)
        heads.carry(first, place_of_line(line) / IMAGE_SCALE, place)
        for head, (rest, sharpness) in enumerate(SURE_RESTS, start=first + 1):
            _look_near(heads, head, line, meaning, sharpness)
            heads.rest(head, REST, (nothing + rest) * sharpness, TEXT_MARK)
            read = directions(IMAGE, 1) / (FLAG * IMAGE_SCALE)
            told = directions(SURE + line, 1) * SURE_SIZE
            if head == first + 1:
                told = told + directions(MEANT + line, 1) * SURE_SIZE
            heads.carry(head, read, told)


REST = AROUND + 1


def _look_near(heads: Heads, head: int, line: int, meaning: Meaning, sharpness: float) -> None:
    """Attend to lines where something begins, by what stands around them."""
    root = math.sqrt(HEAD)
    scale = math.sqrt(sharpness * root)
    heads.clear(head)
    longer = scale * AROUND_LENGTH
    heads.query[head, :AROUND] = meaning.ask.weight @ _asked() * longer
    heads.query[head, :AROUND, TEXT] = meaning.ask.bias * longer / (FLAG * TEXT_SCALE)
    heads.key[head, :AROUND] = around_line(line) * scale / IMAGE_SCALE
    heads.query[head, AROUND, TEXT] = 1 / (FLAG * TEXT_SCALE)
    heads.key[head, AROUND, BEGUN + line] = BEGIN_LOGIT * sharpness * root / IMAGE_SCALE
    heads.key[head, AROUND, IMAGE] = -BEGIN_LOGIT * sharpness * root / (FLAG * IMAGE_SCALE)
    heads.key[head, AROUND, TEXT] = -300 * root / (FLAG * TEXT_SCALE)
    heads.rest(head, REST, 40.0, IMAGE_MARK)
    prefer_page(heads, head, REST, float(meaning.page_gain) * sharpness)


def _asked() -> Tensor:
    """What gives what a question asks for, as it was learned, (MEANS * AROUND, DIM)."""
    means = [torch.eye(DIM)[asked_numbers(mean)] for mean in range(MEANS)]
    return torch.cat(means) / (ASKED_SIZE * TEXT_SCALE)
