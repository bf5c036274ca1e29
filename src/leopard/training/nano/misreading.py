"""True slots with the errors of an encoder in them: what language lessons see before there is one.

Knows nothing of models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leopard.training.nano.characters import (
    LINES_PER_CELL,
    NUM_CLASSES,
    PLACES_PER_LINE,
    name_last,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

OTHER_SHARE, DOUBLED_SHARE = 0.4, 0.3
"""Of all errors: characters taken for others, and characters read twice; the rest are left out."""


def misread(
    slots: NDArray[np.integer], share: float, rng: np.random.Generator
) -> NDArray[np.integer]:
    """Slots as an encoder that is not sure reads them.

    A character is taken for another one, read twice, or left out; those after it on its line of
    the cell move along, and the last ones of the line are named anew.

    Args:
        slots: Classes, (visual tokens, SLOTS).
        share: Share of characters with an error.
        rng: Draws the errors.

    Returns:
        New classes of the same shape.
    """
    read = slots.copy()
    lines = read[:, : LINES_PER_CELL * PLACES_PER_LINE].reshape(-1, PLACES_PER_LINE)
    is_wrong = (lines > 0) & (rng.random(lines.shape) < share)
    for number in np.flatnonzero(is_wrong.any(1)):
        token, line = divmod(int(number), LINES_PER_CELL)
        first = line * PLACES_PER_LINE
        said: list[int] = []
        for place, char in enumerate(lines[number]):
            if char:
                said += _read(int(char), rng) if is_wrong[number, place] else [int(char)]
        said = said[:PLACES_PER_LINE]
        read[token, first : first + PLACES_PER_LINE] = 0
        read[token, first : first + len(said)] = said
        name_last(read[token], line, first + len(said))
    return read


def _read(char: int, rng: np.random.Generator) -> list[int]:
    """What is read for a character with an error."""
    kind = rng.random()
    if kind < OTHER_SHARE:
        return [int(rng.integers(1, NUM_CLASSES))]
    return [char, char] if kind < OTHER_SHARE + DOUBLED_SHARE else []
