"""What is asked for, and where it begins: learned from documents as text, without pictures.

Two things learn together to say the same: what stands around the beginnings of a page
(`Surroundings`, a part of the encoder), and what a question asks for. The second is just what the
first two layers of the small language model can do: vectors of letter triples by gated units,
their means with weights that change with the distance, and gated units on these. A question chooses
among all beginnings of a document, or none of them (cross entropy; Henderson et al. 2017,
arXiv 1705.00652). Before that it chooses among the pages, by what else is asked and their headings,
and beginnings on other pages count less: two looks, as of a memory network (Sukhbaatar et al. 2015,
arXiv 1503.08895). `leopard.training.nano.start` writes what was learned into the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from leopard.processor.prompt import image_label
from leopard.training.nano.characters import (
    BLANK,
    character_class,
)
from leopard.training.nano.codes import class_codes, page_code
from leopard.training.nano.zones import AROUND, CODE, MEANS, PAGE_CODE_SIZE, SIDE

if TYPE_CHECKING:
    from leopard.model.surroundings import Surroundings

TRIPLE_UNITS, ASKED_UNITS = 400, 300
"""Gated units that letter triples of a question are turned into vectors by, and its mean."""
ASKED_SLOPES = (0.05, 0.02, -0.05)
"""Attention logits that a letter's distance costs in gathering what is asked, for each mean: the
first hears the end of a question best, where labels are; the last its beginning, where it often
says in which part of the document (`For Lund Office: ..`)."""
ASKED_LENGTH = 11.0
"""How long means of vectors are taken to be, as a factor."""
QUICK, QUICKER = 10.0, 3.0
"""So much quicker do logits of their own learn than other parameters, and what is said of pages."""
PAGE_SHARE, CHECK_SHARE = 0.6, 0.2
"""Weight of choosing the page in what is learned, and of knowing questions of yes or no."""
FIRST_TILE = 1
"""Crops of a page before its first tile."""
TABLE_DROPOUT = 0.3
"""Share of rows of the table of triples that a step leaves out; alone among all that learns it can
tell documents again that it has seen (dropout of words: Gal & Ghahramani 2016, arXiv 1512.05287).
"""
LETTERS = 0.1
"""Spread of what folds units of letters, before anything is learned."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A document as text, and questions about it."""

    slots: Tensor
    """Classes, (crops, cells, slots)."""
    grids: tuple[tuple[int, int], ...]
    """(rows, columns) of tiles of each page, which come after its thumbnail; (0, 0) where that is
    all."""
    beginnings: Tensor
    """(token, line) of each beginning, (beginnings, 2); tokens are cells of all crops."""
    questions: tuple[str, ...]
    goals: Tensor
    """Which beginning each question means, or -1 for none, (questions,)."""
    checks: tuple[int, ...] = ()
    """Numbers of the questions that are answered by yes, where what they mean is there, or no."""

    @property
    def pages(self) -> tuple[int, ...]:
        """Crops of each page: one, or a thumbnail and tiles."""
        return tuple(1 + rows * columns for rows, columns in self.grids)


class Meaning(nn.Module):
    """What learns: the surroundings, and what questions ask for.

    Args:
        around: The part of the encoder.
    """

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self.around = around
        self.gate = nn.Linear(MEANS * AROUND, ASKED_UNITS)
        self.up = nn.Linear(MEANS * AROUND, ASKED_UNITS)
        self.down = nn.Linear(ASKED_UNITS, MEANS * AROUND, bias=False)
        self.ask = nn.Linear(MEANS * AROUND, AROUND)
        self.number = nn.Linear(AROUND, AROUND, bias=False)
        """From what is printed before an image to what its visual tokens are told."""
        self.nothing = nn.Parameter(torch.tensor(2.0))
        """Logit of no beginning."""
        self.ask_page = nn.Linear(MEANS * AROUND, AROUND + PAGE_CODE_SIZE)
        """To what headings and labels have, and to codes of pages."""
        self.check = nn.Linear(MEANS * AROUND, 1)
        """To the logit of a question that is answered by yes or no."""
        self.of_page = nn.Parameter(torch.tensor([3.0, 6.0]) / QUICK)
        """See `no_page` and `page_gain`."""
        self.codes: Tensor
        self.register_buffer("codes", torch.cat([torch.zeros(1, CODE), class_codes()]))
        with torch.no_grad():
            self._start_letters()
            self.down.weight.normal_(0, 0.01)
            self.ask.weight.normal_(0, 0.02)
            self.ask.weight[:, :AROUND] += torch.eye(AROUND)
            self.ask_page.weight[:AROUND] = self.ask.weight / QUICKER
            self.ask_page.weight[AROUND:].zero_()
            self.check.weight.zero_()
            around.table.weight.normal_(0, 0.01)
            around.mix.normal_(0, 0.02)
            around.mix[0] += 1.0 * torch.eye(AROUND)
            around.heading.normal_(0, 0.02)
            around.fold.weight.normal_(0, 0.02)
            self.number.weight.normal_(0, 0.02)
            around.marks.normal_(0, 0.02)
            around.gates.weight.normal_(0, 0.01)
            around.gates.bias.zero_()  # each bag counts alike

    @property
    def no_page(self) -> Tensor:
        """Logit of no page: a question need not name one."""
        return QUICK * self.of_page[0]

    @property
    def page_gain(self) -> Tensor:
        """What it counts, as a logit, that a beginning is on another page than the one named."""
        return QUICK * self.of_page[1]

    def _start_letters(self) -> None:
        """Triples of letters that differ have vectors with nothing in common."""
        letters = self.around.letters
        letters.units.weight.normal_(0, 1.5)
        letters.units.bias.normal_(0, 1.5)
        letters.fold.weight.normal_(0, LETTERS)
        letters.fold.bias.zero_()
        some = torch.randint(1, len(self.codes), (4000, 3))
        letters.fold.bias.copy_(-self._vectors(some).mean(0))

    def asked(self, questions: Sequence[str], noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """What questions ask for, and how they ask.

        Returns:
            What stands around it, (questions, AROUND); what is said of the page, (questions,
            AROUND + PAGE_CODE_SIZE); and the logit that yes or no is the answer, (questions,).
        """
        classes = [question_classes(question) for question in questions]
        counts = torch.tensor([len(one) for one in classes])
        flat = torch.cat(classes)
        vectors = self._vectors(flat)
        presence = 2 * self.codes[flat[:, 0], -1:]
        owner = torch.arange(len(questions)).repeat_interleave(counts)
        means = []
        for slope in ASKED_SLOPES:
            weights = torch.cat([_falling(count, slope) for count in counts.tolist()])
            weighted = vectors * presence * weights[:, None]
            means.append(torch.zeros(len(questions), AROUND).index_add(0, owner, weighted))
        mean = torch.cat(means, 1)
        if noise:
            mean = mean + torch.randn_like(mean) * noise
        meant = self.meant(mean)
        return self.ask(meant), QUICKER * self.ask_page(meant), self.check(meant)[:, 0]

    def _vectors(self, triples: Tensor) -> Tensor:
        """Vectors of letter triples, (triples, 3) to (triples, AROUND)."""
        vectors: Tensor = self.around.letters(self.codes[triples].flatten(1))
        return vectors

    def numbers(self, count: int) -> Tensor:
        """What visual tokens of each image are told of its number, (count, AROUND).

        An image comes after `image 3: `; the colon knows two more letters.
        """
        ends = [question_classes(image_label(index).rstrip())[-1] for index in range(count)]
        told: Tensor = self.number(self._vectors(torch.stack(ends)))
        return told

    def meant(self, mean: Tensor) -> Tensor:
        """What the second layer makes of the means, (questions, MEANS * AROUND)."""
        added: Tensor = self.down(nn.functional.silu(self.gate(mean)) * self.up(mean))
        return mean + added

    def keys(
        self, documents: Sequence[Asked], noise: float = 0.0
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What stands around the beginnings of each document, and what its pages are known by.

        Returns:
            (beginnings, AROUND) and (crops, AROUND + PAGE_CODE_SIZE) of each document; the second
            of crops that are the first of a page or its first tile, of others nothing.
        """
        slots = torch.cat([document.slots for document in documents]).long()
        grids = [grid for document in documents for grid in document.grids]
        found, pages = [], []
        self.around.kept_rows = self._kept_rows() if noise else None
        shown = self.around(slots, self.codes[1:], grids).split(
            [len(document.slots) for document in documents]
        )
        for document, own in zip(documents, shown, strict=True):
            numbers = self._numbers_by_crop(document.pages)
            joined = own + numbers[:, None, None, None]
            token, line = document.beginnings.long().unbind(1)
            keys = joined.flatten(0, 2)[token, line]
            headings = own[:, -1, -1, -1] + numbers
            of_page = torch.cat([headings, page_codes(document.pages)], 1)
            of_page = of_page * _has_heading(document.pages)[:, None]
            if noise:
                keys, of_page = (part + torch.randn_like(part) * noise for part in (keys, of_page))
            found.append(keys)
            pages.append(of_page)
        return found, pages

    def _kept_rows(self) -> Tensor:
        is_kept = torch.rand(self.around.table.num_embeddings, 1) >= TABLE_DROPOUT
        return is_kept / (1 - TABLE_DROPOUT)

    def _numbers_by_crop(self, pages: Sequence[int]) -> Tensor:
        return self.numbers(len(pages)).repeat_interleave(torch.tensor(pages), 0)

    def forward(
        self, documents: Sequence[Asked], noise: float = 0.0
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Weigh beginnings, and pages, for each question.

        First the page that a question names is looked for, by its heading and number, or none;
        then a beginning, on that page rather than on another.

        Returns:
            Logits of nothing and of each beginning, (questions, 1 + beginnings), by document; and
            of each crop, (questions, crops). Then, for the questions of all documents, the logit
            that yes or no is the answer, (questions,).
        """
        every = [question for document in documents for question in document.questions]
        counts = [len(one.questions) for one in documents]
        *looks, checks = self.asked(every, noise)
        asked, of_page = (part.split(counts) for part in looks)
        weighed, pages = [], []
        for document, own, page, key, heading in zip(
            documents, asked, of_page, *self.keys(documents, noise), strict=True
        ):
            pages.append((page @ heading.T).masked_fill(~_has_heading(document.pages), -torch.inf))
            logits = own @ key.T - self.page_gain * self._elsewhere(document, pages[-1])
            weighed.append(torch.cat([self.nothing.expand(len(own), 1), logits], 1))
        return weighed, pages, checks

    def _elsewhere(self, document: Asked, logits: Tensor) -> Tensor:
        """How far each beginning is from the page that a question names, 0 where it is there.

        It is told by the codes of pages, as the language model has it.

        Args:
            document: With its pages and beginnings.
            logits: Of its crops, (questions, crops).

        Returns:
            (questions, beginnings).
        """
        none = self.no_page.expand(len(logits), 1)
        shares = torch.cat([none, logits], 1).softmax(1)[:, 1:]
        codes = page_codes(document.pages)
        owner = document.beginnings[:, 0].long() // SIDE**2
        here = (shares @ codes) @ codes[owner].T
        return float(codes[0].square().sum()) * shares.sum(1, keepdim=True) - here


def page_codes(pages: Sequence[int]) -> Tensor:
    """Codes of the pages of crops, (crops, PAGE_CODE_SIZE); labels count them from 1."""
    codes = torch.stack([page_code(1 + index) for index in range(len(pages))])
    return codes.repeat_interleave(torch.tensor(pages), 0)


def question_classes(question: str) -> Tensor:
    """Classes of each character and of the two before it, (characters, 3)."""
    classes = [0, 0, *(BLANK if char == " " else character_class(char) for char in question)]
    run = torch.tensor(classes)
    return torch.stack([run[2:], run[1:-1], run[:-2]], 1)


def _falling(count: int, slope: float) -> Tensor:
    """Weights of characters, the last one's the largest unless the slope is negative, (count,)."""
    logits = slope * torch.arange(count, dtype=torch.float32)
    return ASKED_LENGTH * logits.softmax(0)


def _has_heading(pages: Sequence[int]) -> Tensor:
    """Which crops are the first of a page or its first tile, (crops,)."""
    return torch.cat([torch.arange(count) <= FIRST_TILE for count in pages])
