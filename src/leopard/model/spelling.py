"""How a reading encoder ends: with the characters that stand in a cell, and their codes.

What is passed on is the code of each character (a codebook), then what stands around each line and
where in its row it stands. `leopard.model.transcribing` says which characters there are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leopard.model.endings import Endings
from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.surroundings import LEADERS, Surroundings
from leopard.model.tiling import Grids, by_page
from leopard.model.transcribing import Transcriber

CERTAIN = 0.98
"""From here on two lines that say the same are both believed."""
EMPTY = 3
"""Places that an empty cell counts as: text on both sides of a gap does not go on as one."""
PARTED, ENDED = (2.2, 0.5), (2.6, 1.0)
"""Gaps between the columns of a table are wider than so many characters and so many columns of the
picture: passages part there, and reading out ends, which must be surer."""


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
        self.blank = config.blank_class
        self.endings = Endings(config)
        self.transcriber = Transcriber(config)
        self.codes = nn.Parameter(torch.zeros(self.num_classes - 1, config.code_size))
        self.around = Surroundings(config) if config.around_size else None
        self.ordinals = Ordinals(config) if config.ordinal_waves else None

    def _once(self, said: Tensor, sure: Tensor) -> Tensor:
        """Which lines of cells are kept, so that no text is read by two lines, one over the other.

        Print whose middle is near the border of two lines may be read by both. Where two lines of a
        row say about the same in most of the cells in which both say something, the one that is
        less sure is left out in these, unless both are nearly certain. Leaders, one character over
        and over, are alike everywhere and tell nothing.

        Args:
            said: Classes, (crops, cells, lines, places).
            sure: How sure it is of each line, (crops, cells, lines).

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

    def read(self, cells: Tensor, conv_map: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the characters in each slot; nothing stands behind the end of a line.

        Args:
            cells: (crops, cells, cell_size).
            conv_map: (crops, channels, rows * places, columns).

        Returns:
            Shares, (crops, cells, slots, num_classes), class 0 for nothing; and for the slots that
            hold the blank of a gap too wide for one between words 1, or 2 where reading out ends,
            (crops, cells, slots).
        """
        seen = self.transcriber.see(cells, conv_map)  # (crops, rows, lines, columns, column_size)
        shares = self.transcriber.read(seen.flatten(0, 2)).softmax(-1)
        gaps = self._gaps(shares.argmax(-1))
        by_cell = [
            part.unflatten(0, seen.shape[:3])
            .unflatten(3, (self.side, self.num_places))
            .transpose(2, 3)
            .flatten(1, 2)
            for part in (shares, gaps)
        ]
        return self.gather(*by_cell)

    def _gaps(self, said: Tensor) -> Tensor:
        """Which columns hold the blank of a gap between the columns of a table.

        From the character before to that behind it are more columns than words are apart, in terms
        of those from one character to the next on the same line.

        Args:
            said: Classes at the columns of lines, (lines, columns).

        Returns:
            0, 1 where PARTED, 2 where ENDED as well, (lines, columns).
        """
        is_there = (said > 0) & (said != self.blank)
        at = torch.arange(said.shape[1], device=said.device).expand_as(said)
        end = said.shape[1] + 1
        before = torch.where(is_there, at, -1).cummax(1).values
        after = torch.where(is_there, at, end).flip(1).cummin(1).values.flip(1)
        follows = is_there[:, 1:] & (before[:, :-1] >= 0)
        blanks = (said == self.blank).long().cumsum(1)
        ahead = before[:, :-1].clamp(min=0)
        is_pair = follows & (blanks[:, 1:] == blanks.gather(1, ahead))
        step = (is_pair * (at[:, 1:] - ahead)).sum(1) / is_pair.sum(1).clamp(min=1)
        is_between = (said == self.blank) & (before >= 0) & (after < end)
        apart, step = after - before, step[:, None].clamp(min=1.0)
        levels = [is_between & (apart > share * step + more) for share, more in (PARTED, ENDED)]
        return torch.stack(levels).long().sum(0)

    def gather(self, shares: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
        """The characters of the columns of each cell, one after the other, as slots.

        Args:
            shares: Of the characters at the columns of each line of each cell, (crops, cells,
                lines, places, num_classes); at most columns nothing is the likeliest.
            gaps: Of these, as `_gaps`, (crops, cells, lines, places).

        Returns:
            As `read`.
        """
        said = shares.argmax(-1)
        is_said = said > 0
        number = is_said.cumsum(-1) - 1
        places = torch.arange(self.num_places, device=said.device)[:, None]
        goes = (number[..., None, :] == places) & is_said[..., None, :]  # (..., places, columns)
        sure = ((1 - shares[..., 0]) * is_said).sum(-1) / is_said.sum(-1).clamp(min=1)
        classes = (goes * said[..., None, :]).sum(-1)
        is_kept = self._once(classes, sure)[..., None]
        lines = (goes & is_kept[..., None]).to(shares.dtype) @ shares
        last = self._last(classes * is_kept, self.num_last).to(shares.dtype) @ lines
        wide = (goes * gaps[..., None, :]).sum(-1).flatten(2)
        slots = torch.cat([lines.flatten(2, 3), last.flatten(2, 3)], 2)
        return slots, nn.functional.pad(wide, (0, slots.shape[2] - wide.shape[2]))

    def forward(
        self, shares: Tensor, gaps: Tensor | None = None, grids: Grids | None = None
    ) -> Tensor:
        """Shares of the characters in each slot to features.

        Args:
            shares: (crops, cells, slots, num_classes); of class 0 nothing is passed on.
            gaps: As `read` says, (crops, cells, slots).
            grids: (rows, columns) of tiles of each image, which come after its thumbnail. Without
                them each crop stands for itself.

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
        return self._placed(codes, classes, gaps, grids)

    def known(self, classes: Tensor, grids: Grids | None = None) -> Tensor:
        """As `forward`, for characters that are known.

        Args:
            classes: (crops, cells, slots); the number of classes for the blank of a gap at which
                passages part.
            grids: As for `forward`.
        """
        gaps = (classes == self.num_classes).long()
        classes = torch.where(gaps > 0, self.blank, classes)
        return self._placed(self._coded(classes), classes, gaps, grids)

    def _coded(self, classes: Tensor) -> Tensor:
        return nn.functional.pad(self.codes, (0, 0, 1, 0))[classes]

    def _placed(
        self, codes: Tensor, classes: Tensor, gaps: Tensor | None, grids: Grids | None
    ) -> Tensor:
        """Codes of slots, (crops, cells, slots, code), and likeliest classes, to features."""
        crops = len(codes)
        axis = torch.eye(self.side, dtype=codes.dtype, device=codes.device)
        places = torch.cat([axis.repeat_interleave(self.side, 0), axis.repeat(self.side, 1)], 1)
        cells = classes.unflatten(1, (self.side, self.side))
        told: list[Tensor] = []
        if self.around is not None:
            parted = classes if gaps is None else torch.where(gaps > 0, self.num_classes, classes)
            told.append(self.around(parted, self.codes, grids).flatten(3))
        if self.ordinals is not None:
            told.append(by_page(self.ordinals, cells, grids=grids).to(codes.dtype))
        is_end = by_page(self.endings, cells, grids=grids).flatten(1, 2)
        if gaps is not None:
            is_end = is_end | (gaps > 1)
        codes = codes * ~is_end[..., None]
        around = [part.flatten(1, 2) for part in told]
        return torch.cat([codes.flatten(2), *around, places.expand(crops, -1, -1)], -1)


class Ordinals(nn.Module):
    """Where in its row of text each line of a cell stands, so that text is read out in order.

    Places are counted along the lines of a row of cells, from the left edge of the page. An ordinal
    is told by waves, cosine and sine of each, as positions are (Vaswani et al. 2017,
    arXiv 1706.03762), so that one further on is a rotation. Passed on are, each for all lines: that
    of a line's first place; that of a place where something begins, which is a character after
    nothing or after a blank (see `_begin`); and, one number a line, whether text goes on to here
    from the tile on the left without a gap, and whether anything begins in it.

    Args:
        config: Sizes, and radians from one place to the next.
    """

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__()
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.num_last, self.blank = config.last_per_line, config.blank_class
        self.colon, self.waves = config.colon_class, list(config.ordinal_waves)
        self.side = config.image_size // config.patch_size

    def forward(self, canvas: Tensor) -> Tensor:
        """Classes of slots to where lines stand.

        Args:
            canvas: (pages, rows, columns, slots).

        Returns:
            (pages, rows, columns, lines * (2 * 2 * waves + 2)).
        """
        run = self._lines(canvas)
        is_filled = run > 0
        filled = is_filled[..., 1:].sum(-1)
        count = torch.where(filled > 0, filled, EMPTY)  # (pages, rows, columns, lines)
        first = count.cumsum(2) - count
        begins, at = self._begin(is_filled & (run != self.blank), is_filled, run == self.colon)
        is_begun = begins.any(-1)
        begun = self._told(first + at) * is_begun[..., None]
        parts = [part.flatten(-2) for part in (self._told(first), begun)]
        return torch.cat([*parts, self._goes_on(filled > 0), is_begun], -1)

    def _lines(self, canvas: Tensor) -> Tensor:
        """Classes along each line of each cell, (pages, rows, columns, lines, 1 + places).

        The first is that of the character at the end of the cell to the left.
        """
        count = self.num_lines * self.num_places
        here = canvas[..., :count].unflatten(-1, (self.num_lines, self.num_places))
        ends = canvas[..., count :: self.num_last]
        left = nn.functional.pad(ends[:, :, :-1], (0, 0, 1, 0))
        return torch.cat([left[..., None], here], -1)

    def _goes_on(self, filled: Tensor) -> Tensor:
        """Whether text goes on to each line from the tile on the left, (pages, .., lines).

        Args:
            filled: Whether anything stands there, (pages, rows, columns, lines).
        """
        left = nn.functional.pad(filled[:, :, :-1], (0, 0, 1, 0))
        tiles, before = (part.unflatten(2, (-1, self.side)) for part in (filled, left))
        goes_on = tiles.long().cumprod(3) * before[:, :, :, :1]
        runs: Tensor = goes_on.flatten(2, 3)
        return runs

    @staticmethod
    def _begin(is_there: Tensor, is_filled: Tensor, colons: Tensor) -> tuple[Tensor, Tensor]:
        """Where something begins, and which of it is told: what a value may begin with.

        That is what comes after a colon and a blank; else what comes after nothing, so that the
        `7` of `7 Oct` is told; else the last.

        Args:
            is_there: Whether there is a character that is no blank, (..., lines, 1 + places).
            is_filled: Whether there is any character, of the same shape.
            colons: Whether it is a colon, of the same shape.

        Returns:
            Whether something begins, (..., lines, places), and the place that is told,
            (..., lines), 0 where nothing begins.
        """
        begins = is_there[..., 1:] & ~is_there[..., :-1]
        is_first = begins & ~is_filled[..., :-1]
        is_value = begins & is_filled[..., :-1] & nn.functional.pad(colons[..., :-2], (1, 0))
        places = torch.arange(begins.shape[-1], device=begins.device)
        told = torch.where(is_first.any(-1), is_first.long().argmax(-1), (begins * places).amax(-1))
        return begins, torch.where(is_value.any(-1), (is_value * places).amax(-1), told)

    def _told(self, ordinals: Tensor) -> Tensor:
        """Waves of ordinals, (..., 2 * waves)."""
        waves = torch.tensor(self.waves, dtype=torch.float32, device=ordinals.device)
        angles = ordinals[..., None] * waves
        return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
