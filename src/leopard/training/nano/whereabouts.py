"""Where the words of a question and of its answer are printed.

Goals are (token, slot, parts) for each character of an answer. Knows nothing of prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leopard.training.nano.lessons import PrintedLine

Goal = tuple[int, int, int]
"""(token, slot, parts); parts is 0 where nothing is known."""
NOWHERE: Goal = (-1, -1, 0)
BEGINNING, SPELL = 1, 2
"""Parts: the first character of an answer, and those after it."""
SMALL_WORDS = frozenset(
    {
        "a",
        "an",
        "the",
        "of",
        "for",
        "is",
        "does",
        "what",
        "which",
        "it",
        "say",
        "has",
        "have",
        "give",
        "find",
        "tell",
        "me",
        "read",
        "on",
        "from",
        "in",
        "row",
    }
)
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Printed:
    """A passage found on a page."""

    line: int
    start: int
    end: int


def answer_goals(pointers: Sequence[tuple[int, int]]) -> list[Goal]:
    """Goals of an answer's characters: where it begins is meant, the others follow by spelling."""
    return [
        (token, slot, BEGINNING if index == 0 else SPELL) if token >= 0 else NOWHERE
        for index, (token, slot) in enumerate(pointers)
    ]


def find_answer(lines: Sequence[PrintedLine], answer: str, labels: Sequence[str]) -> Printed | None:
    """The place of an answer: the only one, or the only one in a row with a label before it."""
    found = [
        Printed(number, start, start + len(answer))
        for number, line in enumerate(lines)
        for start in _starts(line.text, answer)
    ]
    if len(found) > 1:
        found = [
            place for place in found if any(label in _text_before(lines, place) for label in labels)
        ]
    return found[0] if len(found) == 1 else None


def _starts(text: str, passage: str) -> Iterator[int]:
    """Where a passage stands in a text; none overlaps another."""
    start = text.find(passage)
    while start >= 0:
        yield start
        start = text.find(passage, start + len(passage))


def _text_before(lines: Sequence[PrintedLine], place: Printed) -> str:
    """What stands before a passage in its row, in lower case."""
    line = lines[place.line]
    parts = [part.text for part in lines[: place.line] if part.row == line.row >= 0]
    return "\n".join([*parts, line.text[: place.start]]).lower()


def question_labels(question: str, text: str) -> list[tuple[int, int]]:
    """Spans of a question that are printed in `text` (lower case): longest first, not overlapping.

    Spans of small words alone do not count.
    """
    words = [match.span() for match in _WORD.finditer(question)]
    lowered = question.lower()
    spans: list[tuple[int, int]] = []
    for length in range(min(len(words), 6), 0, -1):
        for first in range(len(words) - length + 1):
            start, end = words[first][0], words[first + length - 1][1]
            span = _trimmed(lowered, start, end)
            passage = lowered[span[0] : span[1]]
            if (
                len(passage) > 2
                and not set(passage.split()) <= SMALL_WORDS
                and passage.split()[0] not in SMALL_WORDS
                and passage in text
                and not any(span[0] < stop and begin < span[1] for begin, stop in spans)
            ):
                spans.append(span)
    return spans


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1] in "?.\"':,":
        end -= 1
    while start < end and text[start] in "\"'":
        start += 1
    if text[start:end].endswith("'s"):
        end -= 2
    return start, end
