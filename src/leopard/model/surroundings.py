"""What stands around each beginning of text on a page, as one vector: by that answers are found.

A question names a label, a row and a column, or the part of a document; a page shows these before,
above and at the head of what is asked for. Each is a bag of letter triples; bags are mixed into one
vector per line of a cell, which the language model compares with what is asked. A label and its
value may be in two tiles, and the head of a column two tiles further up, so tiles are put together
again first (`leopard.model.tiling`).
"""

from __future__ import annotations

from collections.abc import Sequence

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
ASIDE = 2
"""Cells to the left or right in which the head of a column is looked for."""
LEADERS = 3
"""So many of one character, and no other, in a cell are leaders: dots, dashes."""
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

        before    the passage that it goes on, or the last one left of it; after an empty cell, or
                  the gap between two columns of a table, a new passage begins
        above     the passage over it; again where it is nearer than that under it, and again where
                  its print is smaller, as that of labels is
        below     the passage under it, in the same three ways
        top       the head of its column: the nearest passage in the first row of its table
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
        self.stop, self.gap = config.stop_class, config.num_classes
        size = config.around_size
        self.letters = LetterTriples(config.code_size, config.triple_units, size)
        self.table = nn.Embedding(config.triple_rows, size)
        self.kept_rows: Tensor | None = None
        """What rows of the table count, (rows, 1), in lessons that leave some of them out."""
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
            classes: (crops, cells, slots), 0 where nothing stands; the number of classes for the
                blank of a gap between the columns of a table.
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
            canvas: (pages, rows, columns, slots), as for `forward`.
            codes: Codes of classes from 1 on, (classes, code_size).

        Returns:
            (pages, text rows, columns, around_size).
        """
        is_gap = self._text_rows(canvas == self.gap)
        canvas = torch.where(canvas == self.gap, self.blank, canvas)
        here, before, two_before = self._triples(canvas)  # (pages, text rows, columns, places)
        is_there = (here > 0) & (here != self.blank) & ~self._are_leaders(here)[..., None]
        triples = torch.stack([here, before, two_before], -1)
        begins = is_there & (before == self.blank)
        places = torch.arange(self.num_places, device=canvas.device)
        begin = (begins * places).amax(-1, keepdim=True)
        behind = places >= (is_gap * (places + 1)).amax(-1, keepdim=True)  # the last gap
        is_split = (is_there & behind).any(-1, keepdim=True)
        is_mine = behind | ~is_split
        whole, own, mine = self._letter_bags(triples, is_there, (places >= begin, is_mine), codes)
        filled = is_there.any(-1)
        is_cut = filled & is_gap.any(-1) & ~is_split[..., 0]
        goes_on = nn.functional.pad(filled & ~is_cut, (1, -1))
        starts = filled & ~(goes_on & ~(is_gap.any(-1) & is_split[..., 0]))
        apart = (two_before == self.blank) | (two_before == self.colon)
        is_apart = (begins & apart & (places == begin)).any(-1)
        counts = torch.stack([(is_there & is_mine).sum(-1), filled], -1).to(whole.dtype)
        rank = filled.any(2).long().cumsum(1)  # of rows that have text, (pages, text rows)
        cells = self._worked_out(filled)
        bags, told = self._bags((whole, own, mine), counts, (filled, starts), rank, cells)
        _, height, width = filled.shape
        down = torch.arange(height, device=canvas.device)[:, None] / height
        right = torch.arange(width, device=canvas.device) / width
        placed = (part.expand(filled.shape).flatten()[cells] for part in (down, right, is_apart))
        marks = torch.stack([*told, *placed, torch.ones_like(told[-1])], -1)
        mixed = self._spread(self._mixed(bags, marks), filled, cells)
        last = torch.zeros_like(filled[0])
        last[self.side * self.num_lines - 1, self.side - 1] = True
        headings = self._headings(whole.sum(2), rank * filled.any(2))[:, None, None]
        return torch.where(last[..., None], headings, mixed)

    def _are_leaders(self, here: Tensor) -> Tensor:
        """Which lines of cells hold what only leads the eye: one character over and over, or dots.

        Such cells are beside each other; one alone may be `000` of a number.

        Args:
            here: Classes, (pages, text rows, columns, places).

        Returns:
            (pages, text rows, columns).
        """
        is_nothing = here == 0
        length = (~is_nothing).sum(-1)
        is_one = ((here == here[..., :1]) | is_nothing).all(-1) & (length >= LEADERS)
        is_dotted = is_nothing | (here == self.blank) | (here == self.stop)
        may = (length > 0) & (is_one | (is_dotted.all(-1) & bool(self.stop)))
        left, right = (nn.functional.pad(may, (step, -step)) for step in (1, -1))
        are: Tensor = may & (left | right)
        return are

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

    def _mixed(self, bags: Sequence[Tensor], marks: Tensor) -> Tensor:
        """Bags and marks of lines, each (.., its size), to one vector of each, (.., around_size).

        Each bag counts for a share, 0 to 2: one of them is the label, others are beside it. Units
        add what bags say only together: each may be what is asked for, and may be beside it.
        """
        short = torch.stack([_short(bag) for bag in bags], -2)
        known = torch.cat([short.flatten(-2), marks], -1)
        shares = 2 * self.gates(nn.functional.silu(self.weigh(known))).sigmoid()
        together = self.fold(nn.functional.silu(self.units(known)))
        weighed = (short * shares[..., None]).flatten(-2) @ self.mix.flatten(0, 1)
        mixed: Tensor = marks @ self.marks + together + weighed
        return mixed

    def _letter_bags(
        self, triples: Tensor, is_there: Tensor, are_own: Sequence[Tensor], codes: Tensor
    ) -> list[Tensor]:
        """Sums of the vectors of letter triples of each line of a cell: of all, and of some.

        Args:
            triples: (.., places, 3).
            is_there: Which places have a letter, (.., places).
            are_own: Which of them count for the others, (.., places) each.
            codes: Codes of classes from 1 on, (classes, code_size).

        Returns:
            (.., around_size) each.
        """
        codes = nn.functional.pad(codes, (0, 0, 1, 0))
        if not self._is_sparse(is_there):
            vectors = self._known(triples, codes) * is_there[..., None]
            others = [(vectors * is_own[..., None]).sum(-2) for is_own in are_own]
            return [vectors.sum(-2), *others]
        places = torch.nonzero(is_there.flatten()).flatten()
        vectors = self._known(triples.flatten(0, -2)[places], codes)
        lines = places // self.num_places
        count = is_there.numel() // self.num_places
        parts = [torch.arange(len(places), device=places.device)]
        parts += [torch.nonzero(is_own.flatten()[places]).flatten() for is_own in are_own]
        sums = (
            vectors.new_zeros(count, vectors.shape[-1]).index_add(0, lines[part], vectors[part])
            for part in parts
        )
        return [one.unflatten(0, is_there.shape[:-1]) for one in sums]

    def _is_sparse(self, is_there: Tensor) -> bool:
        """Whether only what is there is worked out, as in lessons: most places are empty.

        Elsewhere sizes must not depend on what is printed, as where only sizes are known.
        """
        return self.training and not is_there.is_meta

    def _worked_out(self, filled: Tensor) -> Tensor:
        """Numbers of the lines that are worked out, counted page by page and row by row."""
        if self._is_sparse(filled):
            return torch.nonzero(filled.flatten()).flatten()
        return torch.arange(filled.numel(), device=filled.device)

    def _spread(self, made: Tensor, filled: Tensor, cells: Tensor) -> Tensor:
        """What is made of lines, (cells, size), where they stand; 0 where nothing is."""
        if self._is_sparse(filled):
            made = made.new_zeros(filled.numel(), made.shape[-1]).index_copy(0, cells, made)
        spread: Tensor = made.unflatten(0, filled.shape)
        return spread * filled[..., None]

    def _known(self, triples: Tensor, codes: Tensor) -> Tensor:
        here, before, two_before = triples.unbind(-1)
        rows = ((here * 131 + before) * 137 + two_before) % self.table.num_embeddings
        meant = self.table(rows)
        if self.kept_rows is not None:
            meant = meant * self.kept_rows[rows]
        vectors: Tensor = self.letters(codes[triples].flatten(-2)) + meant
        return vectors

    def _triples(self, canvas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Characters and the two before each, (pages, text rows, columns, places); blank for none.

        The first is 0 where nothing stands.
        """
        count = self.num_lines * self.num_places
        here = self._text_rows(canvas)
        ends = canvas[..., count:].unflatten(-1, (self.num_lines, self.num_last))
        ends = ends.transpose(2, 3).flatten(1, 2)
        left = nn.functional.pad(ends[..., :-1, :2], (0, 0, 1, 0)).flip(-1)  # two before, before
        run = torch.cat([left, here], -1)
        run = torch.where(run == 0, self.blank, run)
        return here, run[..., 1:-1], run[..., :-2]

    def _text_rows(self, canvas: Tensor) -> Tensor:
        """(pages, rows, columns, slots) to (pages, rows * lines, columns, places)."""
        count = self.num_lines * self.num_places
        lines = canvas[..., :count].unflatten(-1, (self.num_lines, self.num_places))
        here: Tensor = lines.transpose(2, 3).flatten(1, 2)
        return here

    def _bags(
        self,
        letters: Sequence[Tensor],
        counts: Tensor,
        printed: tuple[Tensor, Tensor],
        rank: Tensor,
        cells: Tensor,
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """What stands around lines, bag by bag.

        Args:
            letters: Of each line of a cell, (pages, text rows, columns, around_size): all; those
                from its last beginning on; those of the passage that goes on from it.
            counts: How many letters of this passage it has, and 1 if any, (pages, text rows,
                columns, 2).
            printed: Whether there are any, and whether a passage begins, (pages, text rows,
                columns).
            rank: How many rows have text down to each, (pages, text rows).
            cells: Numbers of the lines that are worked out, (cells,).

        Returns:
            Bags in the order of `BAGS`, (cells, around_size), and the first of the marks, (cells,).
        """
        (whole, own, mine), (filled, starts) = letters, printed
        goes_on = filled & ~starts
        before_here = _along_rows(mine, filled, goes_on)
        tail = nn.functional.pad((whole - mine)[:, :, 1:], (0, 0, 0, 1)) * filled[..., None]
        passages = torch.cat([before_here + tail, _along_rows(counts, filled, goes_on)], -1)
        numbers = torch.arange(filled.numel(), device=filled.device).view(filled.shape)
        column = numbers % filled.shape[2]
        ends = numbers - column + _ends(filled, starts)

        def passage(at: Tensor) -> tuple[Tensor, Tensor]:
            """The whole passages of cells by number, -1 for nothing, and how they are printed."""
            end = torch.where(at < 0, at, ends.flatten()[at.clamp(min=0)])
            taken = _taken(passages, end)
            bag, letters, filled_cells = taken.split([whole.shape[-1], 1, 1], -1)
            return bag, letters / filled_cells.clamp(min=1)

        _, print_size = passage(cells)
        over, up = _rows_above(filled)
        under, down = (part.flip(1) for part in _rows_above(filled.flip(1)))
        under = torch.where(under < 0, under, filled.shape[1] - 1 - under)
        up, down = (part.flatten()[cells] for part in (up, down))
        beside, prints = [], [print_size]
        for rows, here, there in ((over, up, down), (under, down, up)):
            bag, print_there = passage(_over(rows, numbers).flatten()[cells])
            is_smaller = print_there > SMALLER * print_size
            beside += [bag, bag * (here < there)[..., None], bag * is_smaller]
            prints.append(print_there)
        top_bag, _ = passage(_heads_of_columns(filled, starts, numbers).flatten()[cells])
        head, _ = passage(_first_passages(filled, starts, numbers).flatten()[cells])
        row = whole.sum(2)
        heading = (row * (rank <= HEADING_ROWS)[..., None]).cumsum(1)[:, :-1]
        heading = nn.functional.pad(heading, (0, 0, 1, 0))
        of_row = cells // filled.shape[2]
        was_filled = goes_on.flatten()[cells]
        following = _taken(_following(whole, mine, filled, starts), cells)
        left = torch.where(column.flatten()[cells] == 0, -1, cells - 1)
        own_bag = _taken(own, cells)
        before = _taken(before_here, left) + _taken(whole, cells) - own_bag
        after = row.flatten(0, 1)[of_row] - _taken(whole.cumsum(2), cells)
        heading = heading.flatten(0, 1)[of_row]
        bags = [before, *beside, top_bag, head, heading, own_bag + following, after]
        distances = (part.clamp(max=NEAR) / NEAR for part in (up, down))
        marks = (was_filled, up <= CLOSE, down <= CLOSE, *distances)
        return bags, (*marks, *(part[:, 0] / self.num_places for part in prints))


def _following(whole: Tensor, mine: Tensor, filled: Tensor, starts: Tensor) -> Tensor:
    """What stands in the cell to the right of each and belongs to the same passage."""
    of_next = torch.where(starts[..., None], whole - mine, mine) * filled[..., None]
    return nn.functional.pad(of_next[:, :, 1:], (0, 0, 0, 1))


def _along_rows(whole: Tensor, filled: Tensor, goes_on: Tensor) -> Tensor:
    """Each cell with what stands before it in its passage; empty cells let it fade."""
    kept = torch.where(filled, goes_on.to(whole.dtype), FADING)[..., None]
    passage = torch.zeros_like(whole[:, :, 0])
    passages = []
    for bag, share in zip(whole.unbind(2), kept.unbind(2), strict=True):
        passage = torch.addcmul(bag, passage, share)
        passages.append(passage)
    return torch.stack(passages, 2)


def _first_passages(filled: Tensor, starts: Tensor, numbers: Tensor) -> Tensor:
    """Number of the first cell with text in the row of each cell after that passage; else -1."""
    is_over = starts.long().cumsum(2) > 1
    first = numbers[:, :, :1] + filled.long().argmax(2, keepdim=True)
    return torch.where(is_over, first, -1)


def _ends(filled: Tensor, starts: Tensor) -> Tensor:
    """Column in which the passage of each cell ends, (pages, text rows, columns)."""
    ends: list[Tensor] = []
    end = is_after = torch.zeros_like(filled[:, :, 0], dtype=torch.long)
    for column in reversed(range(filled.shape[2])):
        is_filled = filled[:, :, column]
        end = torch.where(is_after.bool() & is_filled, end, column)
        ends.insert(0, end)
        is_after = is_filled & ~starts[:, :, column]
    return torch.stack(ends, 2)


def _rows_above(filled: Tensor) -> tuple[Tensor, Tensor]:
    """The row of the text above each cell and how far up it is.

    Returns:
        Rows, -1 for none, and distances, (pages, text rows, columns) each.
    """
    last = torch.full_like(filled[:, 0], -FAR, dtype=torch.long)
    found: list[tuple[Tensor, Tensor]] = []
    for row, is_filled in enumerate(filled.unbind(1)):
        found.append((last.clamp(min=-1), torch.where(last < 0, FAR, row - last)))
        last = torch.where(is_filled, row, last)
    above, distances = (torch.stack(parts, 1) for parts in zip(*found, strict=True))
    return above, distances


def _heads_of_columns(filled: Tensor, starts: Tensor, numbers: Tensor) -> Tensor:
    """Numbers of the cells at the heads of the columns of each cell, -1 for none.

    Rows of more than one passage are those of a table; it begins anew after a gap and after any
    other row, such as a title. In the first row of a table the passage nearest to a cell is the
    head of its column, at most ASIDE cells further left or right.

    Args:
        filled: Whether there is text, (pages, text rows, columns).
        starts: Whether a passage begins.
        numbers: Of all cells.
    """
    near = torch.where(filled, 0, ASIDE + 1)
    for aside in range(1, ASIDE + 1):
        for shift in (aside, -aside):
            there = nn.functional.pad(filled, (-shift, shift))
            near = torch.where((near > ASIDE) & there, shift, near)
    near = torch.where(near > ASIDE, -1, numbers + near)
    count = starts.sum(2)
    last, block = torch.full_like(count[:, 0], -FAR), torch.full_like(count[:, 0], -1)
    is_table = torch.zeros_like(last, dtype=torch.bool)
    rows: list[Tensor] = []
    for row, passages in enumerate(count.unbind(1)):
        has_text, is_row = passages > 0, passages > 1
        is_new = has_text & ~(is_table & is_row & (row - last <= GAP))
        block = torch.where(is_new, row, block)
        rows.append(torch.where(is_row & ~is_new, block, -1))
        last, is_table = torch.where(has_text, row, last), torch.where(has_text, is_row, is_table)
    first = torch.stack(rows, 1)
    at = first.clamp(min=0)[..., None].expand_as(near)
    return torch.where(first[..., None] < 0, -1, near.gather(1, at))


def _over(rows: Tensor, numbers: Tensor) -> Tensor:
    """Numbers of the cells over others; over the next ones, where nothing is.

    Args:
        rows: In which row they are, -1 for none, (pages, text rows, columns).
        numbers: Of all cells, (pages, text rows, columns).
    """
    here = _at_rows(rows, numbers)
    beside = nn.functional.pad(here[:, :, 1:], (0, 1), value=-1)
    return torch.where(rows < 0, beside, here)


def _at_rows(rows: Tensor, numbers: Tensor) -> Tensor:
    """Numbers of the cells in these rows of each column, -1 for row -1."""
    return torch.where(rows < 0, -1, numbers[:, :1] + rows * numbers.shape[2])


def _taken(values: Tensor, numbers: Tensor) -> Tensor:
    """Cells of (pages, text rows, columns, ..) by their numbers, 0 for -1; (numbers, ..)."""
    taken = values.flatten(0, 2).index_select(0, numbers.clamp(min=0))
    return taken * (numbers >= 0)[:, None]


def _short(bags: Tensor) -> Tensor:
    """About 1 long, unless there is nothing."""
    return bags * (SHORT**2 + bags.square().sum(-1, keepdim=True)).rsqrt()
