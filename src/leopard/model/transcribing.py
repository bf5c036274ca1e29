"""How lines of print become characters: along each line, column after column, what begins there.

A column is a step of the convolutional map. At each, a recurrent network that runs along the whole
line says which character has its middle there, or nothing, and is told what it has said at the
column before: a transducer that emits at most one character a step (Graves 2012, arXiv 1211.3711;
Sak et al. 2017). It goes on over the edges of cells, so that a letter on such an edge is read once,
and two like letters side by side are told from one that is wide.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leopard.model.reader_config import LeopardReaderConfig

MARGIN = 1
"""Rows of the map above and below a row of cells that are seen with it: lines may reach over."""


class Transcriber(nn.Module):
    """Weighs the characters at each column of each line of a row of cells."""

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__()
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.side = config.image_size // config.patch_size
        self.width = width = config.column_size
        height = self.num_places  # cells are as high as they are wide
        self.columns = nn.Conv2d(
            config.conv_channels,
            self.num_lines * width,
            (height + 2 * MARGIN, 1),
            stride=(height, 1),
            padding=(MARGIN, 0),
        )
        self.cells = nn.Linear(config.cell_size, self.num_lines * self.num_places * width)
        self.told = nn.Embedding(config.num_classes, width)
        """By the class at the column before; class 0 where nothing is."""
        self.recur = nn.GRU(width, config.chain_size, batch_first=True)
        self.say = nn.Linear(config.chain_size, config.num_classes)
        self.alone = nn.Linear(width, config.num_classes)
        """What a column says without those before it."""

    def see(self, cells: Tensor, conv_map: Tensor) -> Tensor:
        """What is seen at each column.

        Args:
            cells: (crops, cells, cell_size).
            conv_map: (crops, channels, rows * places, columns).

        Returns:
            (crops, rows, lines, columns, column_size), columns from left to right.
        """
        near = self.columns(conv_map).unflatten(1, (self.num_lines, self.width))
        far = self.cells(cells).unflatten(-1, (self.num_lines, self.num_places, self.width))
        far = far.unflatten(1, (self.side, self.side)).transpose(2, 3).flatten(3, 4)
        return nn.functional.gelu(near.permute(0, 3, 1, 4, 2) + far)

    def weigh(self, seen: Tensor, known: Tensor) -> Tensor:
        """Weigh the characters of each column in lessons: each column is told the true one before.

        Args:
            seen: Of lines, (lines, columns, column_size).
            known: Classes that stand there, (lines, columns).

        Returns:
            Logits, (lines, columns, num_classes).
        """
        before = nn.functional.pad(known[:, :-1], (1, 0))
        hidden = self.recur(seen + self.told(before))[0]
        return self.alone(seen) + self.say(hidden)  # type: ignore[no-any-return]

    def read(self, seen: Tensor) -> Tensor:
        """As `weigh`, each column told what is likeliest at the one before.

        Args:
            seen: (lines, columns, column_size).

        Returns:
            Logits, (lines, columns, num_classes).
        """
        into, bias = (self.recur.get_parameter(f"{name}_ih_l0") for name in ("weight", "bias"))
        given = nn.functional.linear(seen, into, bias)
        told = self.told.weight @ into.T  # (num_classes, 3 * chain_size)
        alone = self.alone(seen)
        hidden = seen.new_zeros(len(seen), self.recur.hidden_size)
        before = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
        logits = []
        for column in range(seen.shape[1]):
            hidden = self._step(hidden, given[:, column] + told[before])
            logits.append(alone[:, column] + self.say(hidden))
            before = logits[-1].argmax(-1)
        return torch.stack(logits, 1)

    def _step(self, hidden: Tensor, given: Tensor) -> Tensor:
        """One step of the recurrent unit (Cho et al. 2014, arXiv 1406.1078)."""
        over, bias = (self.recur.get_parameter(f"{name}_hh_l0") for name in ("weight", "bias"))
        was = nn.functional.linear(hidden, over, bias)
        reset, keep, new = given.chunk(3, -1)
        was_reset, was_keep, was_new = was.chunk(3, -1)
        keep = torch.sigmoid(keep + was_keep)
        new = torch.tanh(new + torch.sigmoid(reset + was_reset) * was_new)
        return keep * hidden + (1 - keep) * new
