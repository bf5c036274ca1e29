"""Where the words of a question and of its answer are printed: the goals of supervised attention.

Goals are (token, slot, parts) for each character; `leopard.training.nano.pointers` says what the
parts mean. Knows nothing of prompts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leopard.training.nano.lessons import PrintedLine
from leopard.training.nano.pointers import FIRST, SECOND, SPELL

Goal = tuple[int, int, int]
"""(token, slot, parts); parts is 0 where nothing is known."""
NOWHERE: Goal = (-1, -1, 0)
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
KNOWN_AFTER = 3
"""Characters of a passage that must be seen before its next one can be found by them."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A passage found on a page."""

    line: int
    start: int
    end: int


def answer_goals(pointers: Sequence[tuple[int, int]]) -> list[Goal]:
    """Goals of an answer's characters: where it begins is meant, the others follow by spelling."""
    return [
        (token, slot, SECOND if index == 0 else SPELL | (FIRST if index >= KNOWN_AFTER else 0))
        if token >= 0
        else NOWHERE
        for index, (token, slot) in enumerate(pointers)
    ]


def copied_goals(pointers: Sequence[tuple[int, int]]) -> list[Goal]:
    """Goals of a passage copied without a question: nothing is known before it has begun."""
    return [
        (token, slot, FIRST | SPELL) if token >= 0 and index >= KNOWN_AFTER else NOWHERE
        for index, (token, slot) in enumerate(pointers)
    ]


def find_answer(lines: Sequence[PrintedLine], answer: str, labels: Sequence[str]) -> Printed | None:
    """The place of an answer: the only one, or the only one on a line with a label before it."""
    found = [
        Printed(number, match.start(), match.end())
        for number, line in enumerate(lines)
        for match in re.finditer(re.escape(answer), line.text)
    ]
    if len(found) > 1:
        found = [
            place
            for place in found
            if any(label in lines[place.line].text[: place.start].lower() for label in labels)
        ]
    return found[0] if len(found) == 1 else None


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


def question_goals(
    question: str,
    spans: Sequence[tuple[int, int]],
    lines: Sequence[PrintedLine],
    value: Printed | None,
) -> list[Goal]:
    """Goals of a question's characters: its label as printed, and from its end on the value.

    Args:
        question: The question.
        spans: Its labels; the value follows the only one, or belongs to all of several.
        lines: Lines of the page.
        value: Place of the answer.

    Returns:
        One goal more than characters: the last is of whatever follows the question.
    """
    goals = [NOWHERE] * (len(question) + 1)
    last = 0
    for start, end in spans:
        place = _label_place(lines, question[start:end].lower(), value)
        if place is None:
            continue
        pointers = lines[place.line].pointers[place.start : place.end]
        for index, (token, slot) in enumerate(pointers):
            if index >= KNOWN_AFTER and token >= 0:
                goals[start + index] = (token, slot, FIRST)
        last = max(last, end)
    if value is None or not last:
        return goals
    token, slot = lines[value.line].pointers[value.start]
    if token >= 0:
        for index in range(last, len(goals)):
            goals[index] = (token, slot, SECOND)
    return goals


def _label_place(lines: Sequence[PrintedLine], label: str, value: Printed | None) -> Printed | None:
    """Where a label stands: before its value, on a line of its own, or in one place only."""
    found = [
        Printed(number, at, at + len(label))
        for number, line in enumerate(lines)
        if (at := _word_at(line.text.lower(), label)) >= 0
    ]
    if value is not None:
        before = [p for p in found if p.line == value.line and p.end <= value.start]
        if before:
            return before[-1]
    alone = [p for p in found if lines[p.line].text.lower().rstrip(" :.") == label]
    return alone[0] if len(alone) == 1 else found[0] if len(found) == 1 else None


def _word_at(text: str, label: str) -> int:
    match = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text)
    return match.start() if match else -1
