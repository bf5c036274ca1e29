"""What stands around each beginning of text in a crop, as one vector: by that answers are found.

A question names a label, a row and a column, or the part of a document; a page shows these before,
above and at the head of what is asked for. Each is a bag of letter triples; bags are mixed into one
vector per line of a cell, which the language model compares with what is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from leopard.model.reader import LeopardReaderConfig

SHORT = 0.2
"""Bags that are longer count alike, however many letters they hold."""
FADING = 0.9
"""What an empty cell leaves of the passage before it."""
HEADING_ROWS = 3
"""Rows of text, from the top of a crop, that are its heading."""
GAP = 5
"""Lines of cells: text that far below other text begins a column anew."""
CLOSE = 3
"""Lines of cells: text that near above belongs to what it stands over."""
BAGS = ("before", "above", "top", "head", "heading", "own")
MARKS = 6


class Surroundings(nn.Module):
    """Bags of letter triples around the lines of cells, mixed.

    A triple is a character and the two before it; its vector is a row of a table, found by a hash
    (as the n-grams of fastText are: Bojanowski et al. 2017, arXiv 1607.04606). The bags of a line:

        before    the passage that it goes on, or the last one left of it; after an empty cell a
                  new passage begins
        above     the passage over it
        top       the passage at the top of its column
        head      the first passage of its row, where there is another between
        heading   the first rows of text in the crop
        own       what begins here

    In the last column a line has `before` with its own letters and `heading` alone: they are for
    the crop that comes next.
    """

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__()
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.num_last = config.last_per_line
        self.side = config.image_size // config.patch_size
        self.blank, self.colon = config.blank_class, config.colon_class
        size = config.around_size
        self.table = nn.Embedding(config.triple_rows, size)
        self.mix = nn.Parameter(torch.zeros(len(BAGS), size, size))
        self.marks = nn.Parameter(torch.zeros(MARKS, size))
        """Of a line that goes on without a gap; with text close above; how far down and right it
        is; set apart, or after a colon; and of every one."""

    def forward(self, classes: Tensor) -> Tensor:
        """Classes of slots to what is around each line.

        Args:
            classes: (crops, cells, slots), 0 where nothing stands.

        Returns:
            (crops, rows, columns, lines, around_size).
        """
        here, before, two_before = self._triples(classes)  # (crops, text rows, columns, places)
        is_there = (here > 0) & (here != self.blank)
        rows = ((here * 131 + before) * 137 + two_before) % self.table.num_embeddings
        vectors = self.table(rows) * is_there[..., None]
        begins = is_there & (before == self.blank)
        places = torch.arange(self.num_places, device=classes.device)
        begin = (begins * places).amax(-1, keepdim=True)
        is_own = (places >= begin)[..., None]
        whole, own = vectors.sum(-2), (vectors * is_own).sum(-2)
        filled = is_there.any(-1)
        apart = (two_before == self.blank) | (two_before == self.colon)
        is_apart = (begins & apart & (places == begin)).any(-1)
        bags, goes_on, is_close = self._bags(whole, own, filled)
        down = torch.arange(filled.shape[1], device=classes.device)[:, None] / filled.shape[1]
        right = torch.arange(self.side, device=classes.device) / self.side
        ones = torch.ones_like(whole[..., 0])
        marks = torch.stack(
            [goes_on * ones, is_close * ones, down * ones, right * ones, is_apart * ones, ones], -1
        )
        is_inner = torch.arange(self.side, device=classes.device)[:, None] < self.side - 1
        mixed = (marks @ self.marks) * is_inner
        for name, bag, mix in zip(BAGS, bags, self.mix, strict=True):
            part = _short(bag) @ mix
            mixed = mixed + (part if name in ("before", "heading") else part * is_inner)
        mixed = mixed * (filled | ~is_inner[:, 0])[..., None]
        cells: Tensor = mixed.unflatten(1, (self.side, self.num_lines))
        return cells.transpose(2, 3)

    def _triples(self, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Characters and the two before each, (crops, text rows, columns, places); blank for none.

        The first is 0 where nothing stands.
        """
        grid, count = (self.side, self.side), self.num_lines * self.num_places

        def text_rows(slots: Tensor) -> Tensor:
            """(crops, cells, lines, ..) to (crops, rows * lines, columns, ..)."""
            cells: Tensor = slots.unflatten(1, grid)
            return cells.transpose(2, 3).flatten(1, 2)

        here = text_rows(classes[..., :count].unflatten(-1, (self.num_lines, self.num_places)))
        ends = text_rows(classes[..., count:].unflatten(-1, (self.num_lines, self.num_last)))
        left = nn.functional.pad(ends[..., :-1, :2], (0, 0, 1, 0)).flip(-1)  # two before, before
        run = torch.cat([left, here], -1)
        run = torch.where(run == 0, self.blank, run)
        return here, run[..., 1:-1], run[..., :-2]

    def _bags(
        self, whole: Tensor, own: Tensor, filled: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Bags in the order of `BAGS`; and whether a line goes on, and has text close above.

        Args:
            whole: Letters of each line of a cell, (crops, text rows, columns, around_size).
            own: Those from its last beginning on.
            filled: Whether there are any, (crops, text rows, columns).
        """
        before, passages, was_filled = self._along_rows(whole, filled)
        inner = before + whole - own
        last = torch.arange(self.side, device=whole.device)[:, None] == self.side - 1
        before = torch.where(last, passages, inner)
        total = self._whole_passages(passages, filled)
        above, top, is_close = _down_columns(total, filled)
        head = self._heads(total, filled)
        row = whole.sum(2)
        rank = filled.any(2).long().cumsum(1)
        heading = (row * (rank <= HEADING_ROWS)[..., None]).cumsum(1)
        heading = nn.functional.pad(heading[:, :-1], (0, 0, 1, 0))[:, :, None].expand_as(whole)
        following = nn.functional.pad((whole * filled[..., None])[:, :, 1:], (0, 0, 0, 1))
        return [before, above, top, head, heading, own + following], was_filled, is_close

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
    """The passage above each cell, that at the top of its column, and whether one is close above.

    Where nothing is above a cell, what is above the next one counts.
    """
    above, top = torch.zeros_like(total[:, 0]), torch.zeros_like(total[:, 0])
    last = torch.full_like(filled[:, 0], -2 * GAP, dtype=torch.long)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, (bag, is_filled) in enumerate(zip(total.unbind(1), filled.unbind(1), strict=True)):
        nothing = (last < 0)[..., None]
        beside = nn.functional.pad(above[:, 1:], (0, 0, 0, 1))
        found.append((torch.where(nothing, beside, above), top, number - last <= CLOSE))
        above = torch.where(is_filled[..., None], bag, above)
        top = torch.where((is_filled & (number - last > GAP))[..., None], bag, top)
        last = torch.where(is_filled, number, last)
    one, two, three = zip(*found, strict=True)
    return torch.stack(one, 1), torch.stack(two, 1), torch.stack(three, 1)


def _short(bags: Tensor) -> Tensor:
    """About 1 long, unless there is nothing."""
    return bags * (SHORT**2 + bags.square().sum(-1, keepdim=True)).rsqrt()
