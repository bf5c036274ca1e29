"""Where reading out ends, although text goes on behind it: at full stops and between items.

An answer is read out from where it begins to where nothing stands any more. In prose and in lines
of several labels (`Pcs: 5, Sum: $88.90`) more follows at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leopard.model.reader_config import LeopardReaderConfig


class Endings:
    """Which characters of whole pages end what is read out; they are not passed on.

    Args:
        config: Sizes, and the classes of characters that end anything.
    """

    def __init__(self, config: LeopardReaderConfig) -> None:
        self.num_lines, self.num_places = config.lines_per_cell, config.places_per_line
        self.num_last = config.last_per_line
        self.blank, self.colon = config.blank_class, config.colon_class
        self.stop = config.stop_class
        self.commas, self.dashes = config.comma_classes, config.dash_classes

    def __call__(self, canvas: Tensor) -> Tensor:
        """Which slots end what is read out.

        Args:
            canvas: Classes, (pages, rows, columns, slots).

        Returns:
            (pages, rows, columns, slots).
        """
        count = self.num_lines * self.num_places
        here = canvas[..., :count].unflatten(-1, (self.num_lines, self.num_places))
        ends = canvas[..., count:].unflatten(-1, (self.num_lines, self.num_last)).flip(-1)
        left = nn.functional.pad(ends[:, :, :-1], (0,) * 4 + (1, 0))
        right = nn.functional.pad(here[:, :, 1:, :, :1], (0,) * 4 + (0, 1))
        after = nn.functional.pad(here[..., 1:], (0, 1))
        after = torch.where(after > 0, after, right)
        is_apart = (after == 0) | (after == self.blank)
        run = torch.cat([left, here], -1)
        is_sentence = self._sentences(run) & is_apart
        is_end = is_sentence | self._items(run, is_apart, is_sentence)
        return nn.functional.pad(is_end.flatten(3), (0, canvas.shape[-1] - count))

    def _sentences(self, run: Tensor) -> Tensor:
        """Which full stops may end a sentence.

        Before it are as many characters as a line repeats of its end, none of them a blank or
        another stop: `Mr.` and `A. Smith` go on.

        Args:
            run: Classes along each line of each cell, those at the end of the cell to the left
                first, (pages, rows, columns, lines, last + places).

        Returns:
            (pages, rows, columns, lines, places).
        """
        here = run[..., self.num_last :]
        before = run.unfold(-1, self.num_last, 1)[..., :-1, :]
        is_word = ((before > 0) & (before != self.blank) & (before != self.stop)).all(-1)
        is_stop: Tensor = (here == self.stop) & is_word & bool(self.stop)
        return is_stop

    def _items(self, run: Tensor, is_apart: Tensor, is_sentence: Tensor) -> Tensor:
        """Which characters part an item from the next one, which has a label.

        That is a comma, or a dash after a blank, if further on in its row, before the next of them,
        an empty line of a cell or a full stop, a colon comes that text does not go on from.

        Args:
            run: As for `_sentences`.
            is_apart: Whether a blank or nothing stands behind each place, (pages, rows, columns,
                lines, places).
            is_sentence: Which places end a sentence.

        Returns:
            (pages, rows, columns, lines, places).
        """
        here, before = run[..., self.num_last :], run[..., self.num_last - 1 : -1]
        is_parting = _is_any(here, self.commas)
        is_parting = is_parting | (_is_any(here, self.dashes) & (before == self.blank))
        is_parting = is_parting & is_apart
        if not (self.commas or self.dashes):
            return is_parting
        is_empty = (here == 0).all(-1, keepdim=True)
        to_colon = self._to_next((here == self.colon) & is_apart)
        to_other = self._to_next(is_parting | is_empty | is_sentence)
        return is_parting & (to_colon < to_other)

    def _to_next(self, places: Tensor) -> Tensor:
        """Where in its row the next of these places is, or a number larger than any.

        Args:
            places: (pages, rows, columns, lines, places).

        Returns:
            The same shape.
        """
        columns, count = places.shape[2], places.shape[-1]
        along = places.transpose(2, 3).flatten(3)  # (pages, rows, lines, columns * places)
        number = along.shape[-1]
        at = torch.arange(number, device=places.device).expand_as(along)
        later = torch.where(along, at, number)[..., 1:]
        following = nn.functional.pad(later, (0, 1), value=number).flip(-1).cummin(-1).values
        return following.flip(-1).unflatten(3, (columns, count)).transpose(2, 3)


def _is_any(here: Tensor, classes: list[int]) -> Tensor:
    """Which are of one of these classes."""
    found = torch.zeros_like(here, dtype=torch.bool)
    for number in classes:
        found = found | (here == number)
    return found
