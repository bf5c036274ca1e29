"""What questions ask for is learned as a choice among the beginnings of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from leopard.training.nano.characters import cell_slots, character_class
from leopard.training.nano.dialogue import StudiedPage
from leopard.training.nano.lessons import printed_lines
from leopard.training.nano.meaning import Asked, Meaning, question_classes
from leopard.training.nano.meaning_stage import asked_of, begins_in, learn
from leopard.training.nano.package import new_surroundings
from tests.training.nano.test_characters import line

ROWS = (("Order number", "07-4752"), ("Signed by", "Ingrid Kowalski"), ("Total", "99.50"))
QUESTIONS = (
    ("What is the Order number?", "07-4752", "lookup"),
    ("Who signed it?", "Ingrid Kowalski", "lookup"),
    ("How much is it?", "99.50", "cell"),
    ("What is the Blood type?", "Not answerable", "unanswerable"),
    ("How many rows are there?", "3", "count"),
)


def page(rows: tuple[tuple[str, str], ...] = ROWS) -> StudiedPage:
    texts = [f"{label}: {value}" for label, value in rows]
    glyphs = [g for n, text in enumerate(texts) for g in line(text, 4, 20 + 56 * n)]
    slots, places = cell_slots(glyphs, 13, 13)
    tokens = slots.reshape(169, -1)
    printed = tuple(printed_lines(glyphs, places))
    return StudiedPage(tokens, printed, QUESTIONS)


def document(*pages: StudiedPage) -> Asked:
    found = asked_of(pages)
    assert found is not None
    slots, grids, beginnings, questions, goals, checks = found
    places = torch.from_numpy(beginnings)
    return Asked(torch.from_numpy(slots), grids, places, questions, torch.tensor(goals), checks)


def test_questions_mean_the_beginning_of_their_answer_or_none() -> None:
    asked = document(page())
    assert asked.questions == tuple(question for question, _, _ in QUESTIONS[:4])
    assert int(asked.goals[3]) == -1
    tokens = asked.beginnings[asked.goals[:3]][:, 0].tolist()
    assert [token // 13 for token in tokens] == [0, 2, 4]  # their rows of cells
    assert all(token % 13 > 0 for token in tokens)  # behind their labels


def test_of_a_question_of_yes_what_it_asks_after_is_meant_and_of_no_nothing() -> None:
    asked = (("Is there a row with 99.50?", "99.50", "exists"), ("Is 98 a Total?", "No", "exists"))
    checked = document(StudiedPage(page().tokens, page().lines, (*QUESTIONS[:1], *asked)))
    assert checked.checks == (1, 2)
    assert int(checked.goals[2]) == -1
    assert int(checked.beginnings[checked.goals[1]][0]) // 13 == 4  # the row of the total
    meaning = Meaning(new_surroundings())
    before = learn(meaning, [checked])["check_loss"]
    assert meaning.check.weight.grad is not None
    with torch.no_grad():
        meaning.check.weight -= 0.05 * meaning.check.weight.grad
    assert learn(meaning, [checked])["check_loss"] < before


def test_of_several_pages_tokens_are_counted_on() -> None:
    second = StudiedPage(page().tokens, page().lines, ())
    asked = document(second, page())
    assert asked.slots.shape == (2, 169, 20)
    assert (asked.beginnings[asked.goals[:3]][:, 0] >= 169).all()


def test_names_that_answer_a_comparison_are_meant_too_computed_values_are_not() -> None:
    asked = (
        ("Which entry is the greatest?", "Total", "extreme"),
        ("Which is greater, Total or Signed by?", "Signed by", "compare"),
        ("What is twice the total?", "99.50", "sum"),
    )
    found = document(StudiedPage(page().tokens, page().lines, asked))
    assert found.questions == tuple(question for question, _, _ in asked[:2])
    assert found.beginnings[found.goals][:, 0].tolist() == [4 * 13, 2 * 13]  # labels of their rows


def test_beginnings_follow_nothing_or_a_blank() -> None:
    slots = page().tokens.reshape(1, 169, -1).astype(np.uint8)
    found = begins_in(slots, [(0, 0)])
    assert found.shape == (169, 2)
    assert found.sum() == 9  # words, each in a cell of its own


def test_a_word_that_goes_on_in_the_next_tile_does_not_begin_there() -> None:
    glyphs = line("Kowalski", 364 - 40, 20)
    canvas = cell_slots(glyphs, 26, 26)[0].astype(np.uint8)
    tiles = canvas.reshape(2, 13, 2, 13, -1).swapaxes(1, 2).reshape(4, 169, -1)
    slots = np.concatenate([np.zeros_like(tiles[:1]), tiles])
    assert np.argwhere(begins_in(slots, [(2, 2)]).any(1)).flatten().tolist() == [169 + 11]
    assert begins_in(slots, [(0, 0)] * 5).sum() == 2  # as if they were no tiles of one page


def test_a_letter_knows_the_two_before_it() -> None:
    classes = question_classes("ab c")
    a, b = character_class("a"), character_class("b")
    assert classes[0].tolist() == [a, 0, 0]
    assert classes[1].tolist() == [b, a, 0]
    assert classes[3, 2] == b


def test_lessons_teach_what_is_meant() -> None:
    torch.manual_seed(0)
    meaning = Meaning(new_surroundings())
    optimiser = torch.optim.Adam(meaning.parameters(), lr=3e-3)
    documents = [document(page()), document(page(ROWS[::-1]))]
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        figures = learn(meaning, documents)
        optimiser.step()
        losses.append(figures["loss"])
    assert losses[-1] < 0.3 * losses[0]
    assert figures["right"] == 1.0


@torch.no_grad()
def test_lines_know_what_stands_in_the_tile_before() -> None:
    torch.manual_seed(0)
    meaning = Meaning(new_surroundings())
    left, right = line("Signed by:", 200, 20), line("Kowalski", 64, 20)
    crops = np.stack([cell_slots(glyphs, 13, 13)[0].reshape(169, -1) for glyphs in (left, right)])
    slots = torch.from_numpy(np.concatenate([np.zeros_like(crops[:1]), crops]))

    def key(place: int, grids: tuple[tuple[int, int], ...]) -> torch.Tensor:
        begun = torch.tensor([[169 * (place - 1) + 2, 1]])
        asked = Asked(slots[-place:], grids, begun, ("?",), torch.tensor([-1]))
        return meaning.keys([asked])[0][0]

    alone, beside, below = key(1, ((0, 0),)), key(3, ((1, 2),)), key(3, ((2, 1),))
    assert not torch.allclose(alone, beside, atol=1e-2)
    assert not torch.allclose(beside, below, atol=1e-2)


def paged(pages: tuple[int, ...], titles: tuple[str, ...]) -> Asked:
    """Crops with one value each, below the title of the page in its first tile."""
    crops = []
    for count, title in zip(pages, titles, strict=True):
        for number in range(count):
            rows = line(title, 4, 20) if number == min(1, count - 1) else []
            rows = [*rows, *line("x", 64, 200), *line("Kowalski", 200, 200)]
            crops.append(cell_slots(rows, 13, 13)[0].reshape(169, -1))
    places = torch.tensor([[169 * crop + 13 * 7 + 7, 0] for crop in range(len(crops))])
    slots = torch.from_numpy(np.stack(crops))
    return Asked(slots, grids_of(pages), places, ("?",), torch.tensor([0]))


def grids_of(pages: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Tiles beside each other, so many less one."""
    return tuple((0, 0) if count == 1 else (1, count - 1) for count in pages)


@torch.no_grad()
def test_tiles_know_the_heading_of_their_page() -> None:
    torch.manual_seed(0)
    meaning = Meaning(new_surroundings()).eval()
    meaning.number.weight.zero_()
    keys = meaning.keys([paged((4, 4), ("Lund Office", "Brook Works"))])[0][0]
    assert not torch.allclose(keys[3], keys[7], atol=1e-3)  # the last tiles of two pages
    same = meaning.keys([paged((4, 4), ("Lund Office", "Lund Office"))])[0][0]
    torch.testing.assert_close(same[3], same[7])


@torch.no_grad()
def test_visual_tokens_know_the_number_of_their_image() -> None:
    torch.manual_seed(0)
    meaning = Meaning(new_surroundings()).eval()
    one, other = meaning.keys([paged((1, 1), ("Lund Office", "Lund Office"))])[0][0]
    numbers = meaning.numbers(2)
    torch.testing.assert_close(other - one, numbers[1] - numbers[0])
    assert not torch.allclose(numbers[0], numbers[1], atol=1e-3)


def test_lessons_teach_which_page_is_named() -> None:
    torch.manual_seed(0)
    titles = ("Lund Office", "Brook Works")
    questions = tuple(f"For {title}: What is the x?" for title in titles)
    documents = [
        replace(paged((4, 4), order), questions=questions, goals=goals)
        for order, goals in ((titles, torch.tensor([2, 6])), (titles[::-1], torch.tensor([6, 2])))
    ]
    meaning = Meaning(new_surroundings())
    optimiser = torch.optim.Adam(meaning.parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        losses.append(learn(meaning, documents)["page_loss"])
        optimiser.step()
    assert losses[0] > 0.3
    assert losses[-1] < 0.05
    pages = meaning(documents)[1][0]
    assert (pages[:, [1, 5]].argmax(1) == torch.tensor([0, 1])).all()
    assert (pages[:, [2, 3, 6, 7]] == -torch.inf).all()  # no headings are heard there


def test_a_document_of_one_page_teaches_nothing_of_pages() -> None:
    torch.manual_seed(0)
    assert learn(Meaning(new_surroundings()), [document(page())])["page_loss"] == 0


def test_a_step_leaves_some_rows_of_the_table_out_and_no_more_than_that() -> None:
    torch.manual_seed(0)
    meaning, asked = Meaning(new_surroundings()), [document(page())]
    table = meaning.around.table
    whole = meaning.keys(asked)[0][0]
    learn(meaning, asked)
    kept = meaning.around.kept_rows
    assert kept is not None
    is_left_out = kept.squeeze(1) == 0
    assert 0.25 < float(is_left_out.float().mean()) < 0.35
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)  # as much is told as without it
    assert table.weight.grad is not None
    assert not table.weight.grad[is_left_out].any()
    assert table.weight.grad[~is_left_out].any()
    torch.testing.assert_close(meaning.keys(asked)[0][0], whole)  # lessons over, all count again
