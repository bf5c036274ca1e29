"""How a reading encoder ends: it spells what stands in a cell, character after character.

Each line of a cell is spelled by a small recurrent network that is told, at every place, which
character it has just read, so that none is read twice or skipped where the cell alone would leave
it open (as transducers do in speech: Graves 2012, arXiv 1211.3711; here one step a place). What is
passed on is the mean of the characters' codes, weighed by how sure it is (a soft codebook).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from leopard.model.reader import LeopardReaderConfig


class Spelling(nn.Module):
    """From cells to characters in slots, and from those to features.

    The slots of a cell are the places of its lines, from left to right, line after line; then the
    last characters of each line once more, last one first. A feature vector holds the code of each
    slot, in order, then which row and which column of the crop the cell is in, one number each.
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
        self.recur = nn.Linear(size, 3 * size)
        self.say = nn.Linear(size, self.num_classes)
        self.codes = nn.Parameter(torch.zeros(self.num_classes - 1, config.code_size))

    def weigh(self, cells: Tensor, known: Tensor | None = None) -> Tensor:
        """Weigh the characters of each place, each line from left to right.

        Args:
            cells: (..., cell_size).
            known: Classes that stand there, (..., lines * places), for lessons: each place is told
                the true one before it instead of the likeliest.

        Returns:
            Logits, (..., lines * places, num_classes).
        """
        shape = cells.shape[:-1]
        alone = self.head(cells).view(*shape, self.num_lines, self.num_places, self.num_classes)
        hidden = torch.tanh(self.begin(cells)).view(*shape, self.num_lines, self.size)
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
        logits = self.weigh(cells).unflatten(-2, (self.num_lines, self.num_places))
        is_there = (logits.argmax(-1) > 0).long().cumprod(-1)  # (crops, cells, lines, places)
        shares = logits.softmax(-1) * is_there[..., None]
        end = is_there.sum(-1)
        back = torch.arange(1, self.num_last + 1, device=cells.device)
        at = end[..., None] - back  # below 0 where the line is shorter
        places = torch.arange(self.num_places, device=cells.device)
        is_last = (at[..., None] == places).to(shares.dtype)  # (..., lines, last, places)
        last = is_last @ shares
        return torch.cat([shares.flatten(2, 3), last.flatten(2, 3)], 2)

    def forward(self, shares: Tensor) -> Tensor:
        """Shares of the characters in each slot to features.

        Args:
            shares: (crops, cells, slots, num_classes); of class 0 nothing is passed on.

        Returns:
            (crops, cells, hidden_size).
        """
        return self._placed(shares[..., 1:] @ self.codes)

    def known(self, classes: Tensor) -> Tensor:
        """As `forward`, for characters that are known, (crops, cells, slots)."""
        codes = nn.functional.pad(self.codes, (0, 0, 1, 0))
        return self._placed(codes[classes])

    def _placed(self, codes: Tensor) -> Tensor:
        crops = len(codes)
        rows = torch.eye(self.side, dtype=codes.dtype, device=codes.device)
        places = torch.cat([rows.repeat_interleave(self.side, 0), rows.repeat(self.side, 1)], 1)
        return torch.cat([codes.flatten(2), places.expand(crops, -1, -1)], -1)
