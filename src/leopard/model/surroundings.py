"""What stands around each beginning of text on a page, as one vector: by that answers are found.

A question names a label, a row and a column, or the part of a document; a page shows these before,
above and at the head of what is asked for. Each is a bag of letter triples; bags are mixed into one
vector per line of a cell, which the language model compares with what is asked. A label and its
value may be in two tiles, and the head of a column two tiles further up, so tiles are put together
again first (`leopard.model.tiling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.tiling import Grids, by_page

SHORT = 0.2
"""Bags that are longer count alike, however many letters they hold."""
FADING = 0.9
"""What an empty cell leaves of the passage before it."""
HEADING_ROWS = 3
"""Rows of text, from the top of a page, that are its heading."""
GAP = 5
"""Lines of cells: text that far below other text begins a column anew."""
CLOSE = 3
"""Lines of cells: text that near above belongs to what it stands over."""
SMALLER = 1.12
"""By so much more letters stand in a cell where print is smaller."""
FAR = 99
"""Lines of cells to other text where there is none."""
NEAR = 9
"""Lines of cells from which on it does not matter how far text is."""
SIDES = ("above", "below")
BAGS = (
    "before",
    *(f"{side}{how}" for side in SIDES for how in ("", ", nearer", ", smaller")),
    "top",
    "head",
    "heading",
    "own",
    "after",
)
MARKS = 12
GATE_UNITS = 128
"""Units that weigh bags."""


class LetterTriples(nn.Module):
    """Vectors of a character and the two before it, from their codes: alike for what reads alike.

    Args:
        code_size: Length of a character's code.
        units: Units between.
        size: Length of a vector.
    """

    def __init__(self, code_size: int, units: int, size: int) -> None:
        super().__init__()
        self.units = nn.Linear(3 * code_size, units)
        self.fold = nn.Linear(units, size)
        self.share = units**-0.5  # kept here: engines put linear layers of their own in place

    def forward(self, codes: Tensor) -> Tensor:
        """(.., 3 * code_size), the character's own code first, to (.., size)."""
        units = nn.functional.silu(self.units(codes)) * self.share
        vectors: Tensor = self.fold(units)
        return vectors


class Surroundings(nn.Module):
    """Bags of letter triples around the lines of cells, mixed.

    A triple is a character and the two before it; its vector is that which questions have for it,
    plus a row of a table, found by a hash (as the n-grams of fastText are: Bojanowski et al. 2017,
    arXiv 1607.04606). The first finds what is written alike, the second what means the same. The
    bags of a line:

        before    the passage that it goes on, or the last one left of it; after an empty cell a
                  new passage begins
        above     the passage over it; again where it is nearer than that under it, and again where
                  its print is smaller, as that of labels is
        below     the passage under it, in the same three ways
        top       the passage at the top of its column
        head      the first passage of its row, where there is another between
        heading   the first rows of text on the page
        own       what begins here
        after     what follows in its row

    The very last line of a page's first tile, or of its only crop, has the heading alone: by that
    pages are told apart.
    """

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__()
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.num_last = config.last_per_line
        self.side = config.image_size // config.patch_size
        self.blank, self.colon = config.blank_class, config.colon_class
        size = config.around_size
        self.letters = LetterTriples(config.code_size, config.triple_units, size)
        self.table = nn.Embedding(config.triple_rows, size)
        self.mix = nn.Parameter(torch.zeros(len(BAGS), size, size))
        self.heading = nn.Parameter(torch.zeros(HEADING_ROWS, size, size))
        """Of what a page is known by, row by row."""
        self.marks = nn.Parameter(torch.zeros(MARKS, size))
        """Of a line that goes on without a gap; with text close above, and below; how far away that
        is; how small print is here, above and below; how far down and right it is; set apart, or
        after a colon; and of every one."""
        known = len(BAGS) * size + MARKS
        self.units = nn.Linear(known, config.around_units)
        self.fold = nn.Linear(config.around_units, size, bias=False)
        self.weigh = nn.Linear(known, GATE_UNITS)
        self.gates = nn.Linear(GATE_UNITS, len(BAGS))

    def forward(self, classes: Tensor, codes: Tensor, grids: Grids | None = None) -> Tensor:
        """Classes of slots to what is around each line.

        Args:
            classes: (crops, cells, slots), 0 where nothing stands.
            codes: Codes of classes from 1 on, (classes, code_size).
            grids: Of each image, in prompt order. Without them each crop stands for itself.

        Returns:
            (crops, rows, columns, lines, around_size).
        """
        grid = (self.side, self.side)
        is_printed = (classes > 0).flatten(1).any(1)
        return by_page(
            lambda canvas: (
                self._around(canvas, codes).unflatten(1, (-1, self.num_lines)).transpose(2, 3)
            ),
            classes.unflatten(1, grid),
            grids=grids,
            is_shown=is_printed,
        )

    def _around(self, canvas: Tensor, codes: Tensor) -> Tensor:
        """Classes of slots of whole pages to what is around their lines.

        Args:
            canvas: (pages, rows, columns, slots), 0 where nothing stands.
            codes: Codes of classes from 1 on, (classes, code_size).

        Returns:
            (pages, text rows, columns, around_size).
        """
        here, before, two_before = self._triples(canvas)  # (pages, text rows, columns, places)
        is_there = (here > 0) & (here != self.blank)
        triples = torch.stack([here, before, two_before], -1)
        begins = is_there & (before == self.blank)
        places = torch.arange(self.num_places, device=canvas.device)
        begin = (begins * places).amax(-1, keepdim=True)
        whole, own = self._letter_bags(triples, is_there, places >= begin, codes)
        filled = is_there.any(-1)
        apart = (two_before == self.blank) | (two_before == self.colon)
        is_apart = (begins & apart & (places == begin)).any(-1)
        counts = torch.stack([is_there.sum(-1), filled], -1).to(whole.dtype)
        rank = filled.any(2).long().cumsum(1)  # of rows that have text, (pages, text rows)
        bags, told = self._bags(whole, own, counts, filled, rank)
        _, height, width = filled.shape
        down = torch.arange(height, device=canvas.device)[:, None] / height
        right = torch.arange(width, device=canvas.device) / width
        ones = torch.ones_like(whole[..., 0])
        marks = torch.stack([mark * ones for mark in (*told, down, right, is_apart, ones)], -1)
        mixed = self._where(filled, [*bags, marks], self._mixed)
        last = torch.zeros_like(filled[0])
        last[self.side * self.num_lines - 1, self.side - 1] = True
        headings = self._headings(whole.sum(2), rank * filled.any(2))[:, None, None]
        return torch.where(last[..., None], headings, mixed)

    def _headings(self, rows: Tensor, ranks: Tensor) -> Tensor:
        """The first rows of text, mixed row by row, (pages, around_size).

        Args:
            rows: Letters of each row, (pages, text rows, around_size).
            ranks: Which of the rows with text it is, from 1 on; 0 for none.
        """
        numbers = torch.arange(1, HEADING_ROWS + 1, device=ranks.device)
        is_row = (ranks[:, :, None] == numbers).to(rows.dtype)
        first = _short(is_row.transpose(1, 2) @ rows)  # (pages, HEADING_ROWS, around_size)
        mixed: Tensor = torch.einsum("crs,rst->ct", first, self.heading)
        return mixed

    def _mixed(self, *bags_and_marks: Tensor) -> Tensor:
        """Bags and marks of lines, each (.., its size), to one vector of each, (.., around_size).

        Each bag counts for a share, 0 to 2: one of them is the label, others are beside it. Units
        add what bags say only together: each may be what is asked for, and may be beside it.
        """
        *bags, marks = bags_and_marks
        short = torch.stack([_short(bag) for bag in bags], -2)
        known = torch.cat([short.flatten(-2), marks], -1)
        shares = 2 * self.gates(nn.functional.silu(self.weigh(known))).sigmoid()
        together = self.fold(nn.functional.silu(self.units(known)))
        weighed = (short * shares[..., None]).flatten(-2) @ self.mix.flatten(0, 1)
        mixed: Tensor = marks @ self.marks + together + weighed
        return mixed

    def _letter_bags(
        self, triples: Tensor, is_there: Tensor, is_own: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums of the vectors of letter triples of each line of a cell: of all, and of some.

        Args:
            triples: (.., places, 3).
            is_there: Which places have a letter, (.., places).
            is_own: Which of them count for the second, (.., places).
            codes: Codes of classes from 1 on, (classes, code_size).

        Returns:
            Both (.., around_size).
        """
        codes = nn.functional.pad(codes, (0, 0, 1, 0))
        if not self._is_sparse(is_there):
            vectors = self._known(triples, codes) * is_there[..., None]
            return vectors.sum(-2), (vectors * is_own[..., None]).sum(-2)
        places = torch.nonzero(is_there.flatten()).flatten()
        vectors = self._known(triples.flatten(0, -2)[places], codes)
        count = is_there.numel() // self.num_places
        own = torch.nonzero(is_own.flatten()[places]).flatten()
        sums = (
            vectors.new_zeros(count, vectors.shape[-1]).index_add(0, cells, part)
            for cells, part in (
                (places // self.num_places, vectors),
                (places[own] // self.num_places, vectors[own]),
            )
        )
        whole, of_own = (one.unflatten(0, is_there.shape[:-1]) for one in sums)
        return whole, of_own

    def _is_sparse(self, is_there: Tensor) -> bool:
        """Whether only what is there is worked out, as in lessons: most places are empty.

        Elsewhere sizes must not depend on what is printed, as where only sizes are known.
        """
        return self.training and not is_there.is_meta

    def _where(
        self, is_there: Tensor, inputs: Sequence[Tensor], make: Callable[..., Tensor]
    ) -> Tensor:
        """What is made of inputs, each (.., numbers), where there is something; else 0."""
        if not self._is_sparse(is_there):
            return make(*inputs) * is_there[..., None]
        places = torch.nonzero(is_there.flatten()).flatten()
        made = make(*(one.flatten(0, -2)[places] for one in inputs))
        every = made.new_zeros(is_there.numel(), made.shape[-1])
        spread: Tensor = every.index_copy(0, places, made).unflatten(0, is_there.shape)
        return spread

    def _known(self, triples: Tensor, codes: Tensor) -> Tensor:
        here, before, two_before = triples.unbind(-1)
        rows = ((here * 131 + before) * 137 + two_before) % self.table.num_embeddings
        vectors: Tensor = self.letters(codes[triples].flatten(-2)) + self.table(rows)
        return vectors

    def _triples(self, canvas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Characters and the two before each, (pages, text rows, columns, places); blank for none.

        The first is 0 where nothing stands.
        """
        count = self.num_lines * self.num_places

        def text_rows(slots: Tensor) -> Tensor:
            """(pages, rows, columns, lines, ..) to (pages, rows * lines, columns, ..)."""
            return slots.transpose(2, 3).flatten(1, 2)

        here = text_rows(canvas[..., :count].unflatten(-1, (self.num_lines, self.num_places)))
        ends = text_rows(canvas[..., count:].unflatten(-1, (self.num_lines, self.num_last)))
        left = nn.functional.pad(ends[..., :-1, :2], (0, 0, 1, 0)).flip(-1)  # two before, before
        run = torch.cat([left, here], -1)
        run = torch.where(run == 0, self.blank, run)
        return here, run[..., 1:-1], run[..., :-2]

    def _bags(
        self, whole: Tensor, own: Tensor, counts: Tensor, filled: Tensor, rank: Tensor
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """What stands around each line, bag by bag.

        Args:
            whole: Letters of each line of a cell, (pages, text rows, columns, around_size).
            own: Those from its last beginning on.
            counts: How many letters it has, and 1 if any, (pages, text rows, columns, 2).
            filled: Whether there are any, (pages, text rows, columns).
            rank: How many rows have text down to each, (pages, text rows).

        Returns:
            Bags in the order of `BAGS`, and the first of the marks.
        """
        before, passages, was_filled = self._along_rows(whole, filled)
        total = self._whole_passages(passages, filled)
        sizes = self._whole_passages(self._along_rows(counts, filled)[1], filled)
        print_size = sizes[..., :1] / sizes[..., 1:].clamp(min=1)
        total = torch.cat([total, print_size], -1)
        above, top, up = _down_columns(total, filled)
        below, _, down = (part.flip(1) for part in _down_columns(total.flip(1), filled.flip(1)))
        beside = []
        for bag, here, there in ((above, up, down), (below, down, up)):
            is_smaller = bag[..., -1:] > SMALLER * print_size
            bag = bag[..., :-1]
            beside += [bag, bag * (here < there)[..., None], bag * is_smaller]
        head = self._heads(total[..., :-1], filled)
        row = whole.sum(2)
        heading = (row * (rank <= HEADING_ROWS)[..., None]).cumsum(1)
        heading = nn.functional.pad(heading[:, :-1], (0, 0, 1, 0))[:, :, None].expand_as(whole)
        following = nn.functional.pad((whole * filled[..., None])[:, :, 1:], (0, 0, 0, 1))
        after = row[:, :, None] - whole.cumsum(2)
        before = before + whole - own
        bags = [before, *beside, top[..., :-1], head, heading, own + following, after]
        distances = (part.clamp(max=NEAR) / NEAR for part in (up, down))
        prints = (part[..., -1] / self.num_places for part in (total, above, below))
        marks = (was_filled, up <= CLOSE, down <= CLOSE, *distances, *prints)
        return bags, marks

    @staticmethod
    def _along_rows(whole: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What stands before each cell, and with it; and whether the cell before is filled."""
        passage = torch.zeros_like(whole[:, :, 0])
        was_filled = torch.zeros_like(filled[:, :, 0])
        before, with_it, was = [], [], []
        for bag, is_filled in zip(whole.unbind(2), filled.unbind(2), strict=True):
            before.append(passage)
            was.append(was_filled)
            going_on = torch.where(was_filled[..., None], passage, 0) + bag
            passage = torch.where(is_filled[..., None], going_on, passage * FADING)
            with_it.append(passage)
            was_filled = is_filled
        return torch.stack(before, 2), torch.stack(with_it, 2), torch.stack(was, 2)

    @staticmethod
    def _whole_passages(passages: Tensor, filled: Tensor) -> Tensor:
        """The whole passage that each filled cell belongs to."""
        whole = []
        after, is_after = torch.zeros_like(passages[:, :, 0]), torch.zeros_like(filled[:, :, 0])
        for bag, is_filled in zip(
            passages.flip(2).unbind(2), filled.flip(2).unbind(2), strict=True
        ):
            after = torch.where((is_after & is_filled)[..., None], after, bag)
            whole.append(after)
            is_after = is_filled
        return torch.stack(whole, 2).flip(2)

    @staticmethod
    def _heads(total: Tensor, filled: Tensor) -> Tensor:
        """The first passage of the row of each cell that does not belong to it."""
        first = torch.zeros_like(total[:, :, 0])
        seen, is_over = (torch.zeros_like(filled[:, :, 0]) for _ in range(2))
        heads = []
        for bag, is_filled in zip(total.unbind(2), filled.unbind(2), strict=True):
            first = torch.where((is_filled & ~seen)[..., None], bag, first)
            seen = seen | is_filled
            is_over = is_over | (seen & ~is_filled)
            heads.append(first * is_over[..., None])
        return torch.stack(heads, 2)


def _down_columns(total: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The passage above each cell, that at the top of its column, and how far above the first is.

    Where nothing is above a cell, what is above the next one counts.
    """
    above, top = torch.zeros_like(total[:, 0]), torch.zeros_like(total[:, 0])
    last = torch.full_like(filled[:, 0], -2 * GAP, dtype=torch.long)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, (bag, is_filled) in enumerate(zip(total.unbind(1), filled.unbind(1), strict=True)):
        nothing = (last < 0)[..., None]
        beside = nn.functional.pad(above[:, 1:], (0, 0, 0, 1))
        distance = torch.where(last < 0, FAR, number - last)
        found.append((torch.where(nothing, beside, above), top, distance))
        above = torch.where(is_filled[..., None], bag, above)
        top = torch.where((is_filled & (number - last > GAP))[..., None], bag, top)
        last = torch.where(is_filled, number, last)
    one, two, three = zip(*found, strict=True)
    return torch.stack(one, 1), torch.stack(two, 1), torch.stack(three, 1)


def _short(bags: Tensor) -> Tensor:
    """About 1 long, unless there is nothing."""
    return bags * (SHORT**2 + bags.square().sum(-1, keepdim=True)).rsqrt()
