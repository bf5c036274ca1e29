"""How a reading encoder ends: it spells what stands in a cell, character after character.

Each line of a cell is spelled by a small recurrent network that is told, at every place, which
character it has just read, so that none is read twice or skipped where the cell alone would leave
it open (as transducers do in speech: Graves 2012, arXiv 1211.3711; here one step a place). Cells of
a row follow one another, each told the last characters of the one before, so that a letter on the
edge of two is read once. What is passed on is the mean of the characters' codes, weighed by how
sure it is (a soft codebook).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from leopard.model.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leopard.model.reader import LeopardReaderConfig


CERTAIN = 0.98
"""From here on two lines that say the same are both believed."""
EMPTY = 3
"""Places that an empty cell counts as: text on both sides of a gap does not go on as one."""
LEADERS = 3
"""So many of one character, and no other, in a cell are leaders: dots, dashes."""


class Spelling(nn.Module):
    """From cells to characters in slots, and from those to features.

    The slots of a cell are the places of its lines, from left to right, line after line; then the
    last characters of each line once more, last one first. A feature vector holds the code of each
    slot, in order, then what stands around each line (see `Surroundings`) and where in its row it
    stands (see `Ordinals`), if that is passed on, then which row and which column of
    the crop the cell is in, one number each.
    """

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__()
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.num_last, self.num_classes = config.last_per_line, config.num_classes
        self.side = config.image_size // config.patch_size
        self.size = size = config.chain_size
        self.head = nn.Linear(config.cell_size, self.num_lines * self.num_places * self.num_classes)
        """What the cell alone says of each place."""
        self.begin = nn.Linear(config.cell_size, self.num_lines * size)
        self.hint = nn.Linear(config.cell_size, 3 * size)
        self.told = nn.Embedding(self.num_classes, 3 * size)
        """By the class of the character before; class 0 where a line begins."""
        self.num_told = config.num_told
        told_classes = self.num_told * self.num_classes
        self.left = nn.Embedding(told_classes, size) if self.num_told else None
        """By the classes of the last characters of the line to the left, last one first."""
        self.recur = nn.Linear(size, 3 * size)
        self.say = nn.Linear(size, self.num_classes)
        self.codes = nn.Parameter(torch.zeros(self.num_classes - 1, config.code_size))
        self.around = Surroundings(config) if config.around_size else None
        waves = config.ordinal_waves
        self.ordinals = Ordinals(waves) if waves else None

    def weigh(
        self, cells: Tensor, known: Tensor | None = None, left: Tensor | None = None
    ) -> Tensor:
        """Weigh the characters of each place, each line from left to right.

        Args:
            cells: (..., cell_size).
            known: Classes that stand there, (..., lines * places), for lessons: each place is told
                the true one before it instead of the likeliest.
            left: Classes of the last characters of each line in the cell to the left, last one
                first, (..., lines, num_told); not needed where spelling is told none.

        Returns:
            Logits, (..., lines * places, num_classes).
        """
        shape = cells.shape[:-1]
        alone = self.head(cells).view(*shape, self.num_lines, self.num_places, self.num_classes)
        begin = self.begin(cells).view(*shape, self.num_lines, self.size)
        if self.left is not None and left is not None:
            first = torch.arange(self.num_told, device=cells.device) * self.num_classes
            begin = begin + self.left(left + first).sum(-2)
        hidden = torch.tanh(begin)
        hint = self.hint(cells)[..., None, :]
        before = torch.zeros(*shape, self.num_lines, dtype=torch.long, device=cells.device)
        if known is not None:
            known = known.view(*shape, self.num_lines, self.num_places)
        logits = []
        for place in range(self.num_places):
            hidden = self._step(hidden, hint + self.told(before))
            logits.append(alone[..., place, :] + self.say(hidden))
            before = logits[-1].argmax(-1) if known is None else known[..., place]
        return torch.stack(logits, -2).flatten(-3, -2)

    def _weigh_rows(self, cells: Tensor) -> Tensor:
        """As `weigh`, for (crops, cells, cell_size): column after column, each told the one before.

        Returns:
            Logits, (crops, cells, lines, places, num_classes).
        """
        lines = (self.num_lines, self.num_places)
        if self.left is None:
            alike: Tensor = self.weigh(cells).unflatten(-2, lines)
            return alike
        rows = cells.unflatten(1, (self.side, self.side))
        columns = []
        left = rows.new_zeros((*rows.shape[:2], self.num_lines, self.num_told), dtype=torch.long)
        for column in rows.unbind(2):
            logits = self.weigh(column, left=left).unflatten(-2, lines)
            columns.append(logits)
            said = logits.argmax(-1)
            is_last = self._last(said, self.num_told)
            left = (is_last * said[..., None, :]).sum(-1)
        return torch.stack(columns, 2).flatten(1, 2)

    def _once(self, said: Tensor, sure: Tensor) -> Tensor:
        """Which lines of cells are kept, so that no text is read by two lines, one over the other.

        Print whose middle is near the border of two lines may be read by both. Where two lines of a
        row say about the same in most of the cells in which both say something, the one that is
        less sure is left out in these, unless both are nearly certain. Leaders, one character over
        and over, are alike everywhere and tell nothing.

        Args:
            said: Classes, (crops, cells, lines, places).
            sure: How likely each line is not empty, (crops, cells, lines).

        Returns:
            (crops, cells, lines).
        """
        grid = (self.side, self.side)
        lines = said.unflatten(1, grid).transpose(2, 3).flatten(1, 2)  # (crops, lines, columns, ..)
        sureness = sure.unflatten(1, grid).transpose(2, 3).flatten(1, 2)
        above, below = lines[:, :-1], lines[:, 1:]
        length = (lines > 0).long().cumprod(-1).sum(-1)
        is_one = ((lines == lines[..., :1]) | (lines == 0)).all(-1) & (length >= LEADERS)
        shared = (length[:, :-1] > 0) & (length[:, 1:] > 0) & ~(is_one[:, :-1] & is_one[:, 1:])
        same = [
            ((one == other) & (one > 0)).sum(-1)
            for one, other in (
                (above, below),
                (above[..., 1:], below[..., :-1]),
                (above[..., :-1], below[..., 1:]),
            )
        ]
        longest = torch.maximum(length[:, :-1], length[:, 1:])
        is_alike = shared & (2 * torch.stack(same).amax(0) >= longest)
        num_shared, num_alike = shared.sum(-1), is_alike.sum(-1)
        first, second = ((part * shared).sum(-1) for part in (sureness[:, :-1], sureness[:, 1:]))
        is_open = torch.minimum(first, second) < CERTAIN * num_shared
        is_double = (num_alike > 0) & (2 * num_alike >= num_shared) & is_open
        twice = shared & is_double[..., None]
        is_first_out = (first < second)[..., None]
        out = nn.functional.pad(twice & is_first_out, (0, 0, 0, 1)) | nn.functional.pad(
            twice & ~is_first_out, (0, 0, 1, 0)
        )
        kept: Tensor = ~out.unflatten(1, (self.side, self.num_lines)).transpose(2, 3).flatten(1, 2)
        return kept

    def _last(self, said: Tensor, count: int) -> Tensor:
        """Which places hold the last characters of lines, (..., lines, count, places), last first.

        Args:
            said: Classes, (..., lines, places); nothing stands behind the first 0.
            count: So many characters.
        """
        end = (said > 0).long().cumprod(-1).sum(-1)
        back = torch.arange(1, count + 1, device=said.device)
        at = end[..., None] - back  # below 0 where the line is shorter
        is_at: Tensor = at[..., None] == torch.arange(self.num_places, device=said.device)
        return is_at

    def _step(self, hidden: Tensor, given: Tensor) -> Tensor:
        """One step of a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078)."""
        reset, keep, new = given.chunk(3, -1)
        was_reset, was_keep, was_new = self.recur(hidden).chunk(3, -1)
        keep = torch.sigmoid(keep + was_keep)
        new = torch.tanh(new + torch.sigmoid(reset + was_reset) * was_new)
        return keep * hidden + (1 - keep) * new

    def read(self, cells: Tensor) -> Tensor:
        """Shares of the characters in each slot; nothing stands behind the end of a line.

        Args:
            cells: (crops, cells, cell_size).

        Returns:
            (crops, cells, slots, num_classes), class 0 for nothing.
        """
        logits = self._weigh_rows(cells)
        said = logits.argmax(-1)  # (crops, cells, lines, places)
        shares = logits.softmax(-1)
        is_kept = self._once(said, 1 - shares[..., 0, 0])
        said = said * is_kept[..., None]
        shares = shares * (said > 0).long().cumprod(-1)[..., None]
        last = self._last(said, self.num_last).to(shares.dtype) @ shares
        return torch.cat([shares.flatten(2, 3), last.flatten(2, 3)], 2)

    def forward(self, shares: Tensor) -> Tensor:
        """Shares of the characters in each slot to features.

        Args:
            shares: (crops, cells, slots, num_classes); of class 0 nothing is passed on.

        Returns:
            (crops, cells, hidden_size); of the likeliest characters alone, as if they were known:
            what is half of each of two characters is like neither. Lessons go back through shares
            all the same (straight-through: Bengio et al. 2013, arXiv 1308.3432).
        """
        classes = shares.argmax(-1)
        codes = self._coded(classes)
        if self.training:
            soft = shares[..., 1:] @ self.codes
            codes = codes + soft - soft.detach()
        return self._placed(codes, classes)

    def known(self, classes: Tensor) -> Tensor:
        """As `forward`, for characters that are known, (crops, cells, slots)."""
        return self._placed(self._coded(classes), classes)

    def _coded(self, classes: Tensor) -> Tensor:
        return nn.functional.pad(self.codes, (0, 0, 1, 0))[classes]

    def _placed(self, codes: Tensor, classes: Tensor) -> Tensor:
        """Codes of slots, (crops, cells, slots, code), and likeliest classes, to features."""
        crops = len(codes)
        rows = torch.eye(self.side, dtype=codes.dtype, device=codes.device)
        places = torch.cat([rows.repeat_interleave(self.side, 0), rows.repeat(self.side, 1)], 1)
        told: list[Tensor] = []
        if self.around is not None:
            told.append(self.around(classes, self.codes))
        if self.ordinals is not None:
            told.append(self.ordinals(self._lines(codes).unflatten(1, (self.side, self.side))))
        around = [part.flatten(3).flatten(1, 2) for part in told]
        return torch.cat([codes.flatten(2), *around, places.expand(crops, -1, -1)], -1)

    def _lines(self, codes: Tensor) -> Tensor:
        """Codes along each line of each cell, (crops, cells, lines, 1 + places, code).

        The first is that of the character at the end of the cell to the left, in the same crop.
        """
        num_places = self.num_lines * self.num_places
        lines = codes[:, :, :num_places].unflatten(2, (self.num_lines, self.num_places))
        ends = codes[:, :, num_places :: self.num_last]  # (crops, cells, lines, code)
        left = nn.functional.pad(
            ends.unflatten(1, (self.side, self.side))[:, :, :-1], (0,) * 4 + (1, 0)
        )
        return torch.cat([left.flatten(1, 2)[..., None, :], lines], -2)


class Ordinals(nn.Module):
    """Where in its row of text each line of a cell stands, so that text is read out in order.

    Places are counted along the lines of a row of cells, from the left edge of the crop. An ordinal
    is told by waves, cosine and sine of each, as positions are (Vaswani et al. 2017,
    arXiv 1706.03762), so that one further on is a rotation. Passed on are, each for all lines: that
    of a line's first place; that of the last place where something begins, which is a character
    after nothing or after a blank; in the last column that of the place after the end; and, one
    number a line, whether no text ends left of it in the crop but what has come in over the crop's
    left edge, whether it goes on from the crop's
    left edge to here without a gap, and whether anything begins in it.

    Args:
        waves: Radians from one place to the next.
    """

    def __init__(self, waves: Sequence[float]) -> None:
        super().__init__()
        self.waves = list(waves)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes along the lines of rows of cells to where these stand, as waves.

        Args:
            codes: (crops, rows, columns, lines, 1 + places, code); the first is that of the
                character at the end of the cell to the left.

        Returns:
            (crops, rows, columns, lines * (3 * 2 * waves + 3)).
        """
        is_there = 2 * codes[..., -1] > 0.5
        begins = is_there[..., 1:] & ~is_there[..., :-1]
        filled = (codes[..., 1:, :].square().sum(-1) > 0.05).sum(-1)
        count = torch.where(filled > 0, filled, EMPTY)  # (crops, rows, columns, lines)
        first = count.cumsum(2) - count
        places = torch.arange(begins.shape[-1], device=codes.device)
        is_begun = begins.any(-1)
        begun = self._told(first + (begins * places).amax(-1)) * is_begun[..., None]
        is_last = torch.arange(count.shape[2], device=codes.device)[:, None] == count.shape[2] - 1
        end = self._told(first + count) * is_last[..., None]
        run = (filled > 0).long().cumprod(2)
        marks = [self._is_open(filled > 0), run, is_begun]
        parts = [part.flatten(-2) for part in (self._told(first), begun, end)]
        return torch.cat([*parts, *marks], -1).to(codes.dtype)

    @staticmethod
    def _is_open(filled: Tensor) -> Tensor:
        """Whether no text ends left of each cell, but one from the left edge on.

        Args:
            filled: (crops, rows, columns, lines).
        """
        right_edge = nn.functional.pad(filled[:, :, :-1] & ~filled[:, :, 1:], (0, 0, 1, 0))
        return right_edge.long().cumsum(2) <= filled[:, :, :1].long()

    def _told(self, ordinals: Tensor) -> Tensor:
        """Waves of ordinals, (..., 2 * waves)."""
        waves = torch.tensor(self.waves, dtype=torch.float32, device=ordinals.device)
        angles = ordinals[..., None] * waves
        return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
