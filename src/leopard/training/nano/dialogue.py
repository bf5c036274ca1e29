"""Pages as lessons in language meet them, and where the answers of their questions are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leopard.training.nano.lessons import PrintedLine
from leopard.training.nano.whereabouts import (
    NOWHERE,
    Goal,
    answer_goals,
    find_answer,
    question_labels,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StudiedPage:
    """A page as lessons in language meet it."""

    tokens: NDArray[np.generic]
    """Slots of its visual tokens, (tokens, SLOTS)."""
    lines: tuple[PrintedLine, ...]
    questions: tuple[tuple[str, str, str], ...]
    grid: tuple[int, int] = (0, 0)
    """(rows, columns) of tiles; (0, 0) where its thumbnail is all of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its answer, and where the answer is printed."""

    question: str
    answer: str
    goals: tuple[Goal, ...]
    """Where each character of the answer is printed, on `image`."""
    image: int


def printed_turn(
    lines: Sequence[PrintedLine], question: str, answer: str, image: int
) -> Turn | None:
    """The turn of a question whose answer is printed; None where it is not."""
    if not answer or not any(answer in line.text for line in lines):
        return None
    spans = question_labels(question, "\n".join(line.text for line in lines).lower())
    labels = [question[start:end].lower() for start, end in spans]
    value = find_answer(lines, answer, labels)
    if value is None:
        return Turn(question, answer, (NOWHERE,) * len(answer), image)
    pointers = lines[value.line].pointers[value.start : value.end]
    return Turn(question, answer, tuple(answer_goals(pointers)), image)
