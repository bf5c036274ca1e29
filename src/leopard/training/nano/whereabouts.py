"""Where the words of a question and of its answer are printed: the goals of supervised attention.

Goals are (token, slot, parts) for each character; `leopard.training.nano.pointers` says what the
parts mean. Knows nothing of prompts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leopard.training.nano.characters import LINES_PER_CELL, PLACES_PER_LINE
from leopard.training.nano.lessons import PrintedLine
from leopard.training.nano.pointers import BEGINNING, SPELL
from leopard.training.nano.zones import SIDE

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
LEAST_BEFORE = 1
"""The same for characters that only help to find a label."""
LONGEST_LABEL, LONGEST_VALUE = 32, 40
"""In characters, of labels and values that are asked for as they stand."""
MOST_ASIDE = 2
"""Visual tokens that a value may stand left or right of the label above it."""


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
        Printed(number, match.start(), match.end())
        for number, line in enumerate(lines)
        for match in re.finditer(re.escape(answer), line.text)
    ]
    if len(found) > 1:
        found = [
            place for place in found if any(label in _text_before(lines, place) for label in labels)
        ]
    return found[0] if len(found) == 1 else None


def _text_before(lines: Sequence[PrintedLine], place: Printed) -> str:
    """What stands before a passage in its row, in lower case."""
    line = lines[place.line]
    parts = [part.text for part in lines[: place.line] if part.row == line.row >= 0]
    return "\n".join([*parts, line.text[: place.start]]).lower()


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label and its value, which stands behind it in its row."""

    label: Printed
    value: Printed


def labelled_values(lines: Sequence[PrintedLine]) -> list[Labelled]:
    """Labels and values of a page: what stands before a colon or a gap, and what comes after it."""
    found: list[Labelled] = []
    for number, line in enumerate(lines):
        name, colon, value = line.text.partition(":")
        start = len(line.text) - len(value.lstrip())
        if colon and _is_label(name.strip()) and 0 < len(line.text) - start <= LONGEST_VALUE:
            label = Printed(number, 0, len(name.rstrip()))
            found.append(Labelled(label, Printed(number, start, len(line.text))))
        after = lines[number + 1] if number + 1 < len(lines) else None
        if after is None or after.row != line.row or line.row < 0 or value.strip():
            continue
        if _is_label(name.strip()) and len(after.text) <= LONGEST_VALUE and ":" not in after.text:
            label = Printed(number, 0, len(name.rstrip()))
            found.append(Labelled(label, Printed(number + 1, 0, len(after.text))))
    texts = [lines[pair.label.line].text[: pair.label.end].lower() for pair in found]
    page = "\n".join(line.text for line in lines).lower()
    return [pair for pair, text in zip(found, texts, strict=True) if page.count(text) == 1]


def _is_label(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    return 3 <= len(text) <= LONGEST_LABEL and 2 * letters > len(text)


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


def is_led_to(
    question: str,
    spans: Sequence[tuple[int, int]],
    lines: Sequence[PrintedLine],
    value: Printed,
) -> bool:
    """Whether a label in a question stands beside or above the answer, in a known place.

    Args:
        question: The question.
        spans: Its labels.
        lines: Lines of the page.
        value: Place of the answer.
    """
    for start, end in spans:
        place = _label_place(lines, question[start:end].lower(), value)
        if place is None:
            continue
        pointers = lines[place.line].pointers[place.start + LEAST_BEFORE : place.end]
        is_known = any(token >= 0 for token, _ in pointers)
        if is_known and (_is_beside(lines, place, value) or _is_above(lines, place, value)):
            return True
    return False


def _is_above(lines: Sequence[PrintedLine], label: Printed, value: Printed) -> bool:
    """Whether a label stands over its value, or about so."""
    token, _ = lines[value.line].pointers[value.start]
    columns = [t % SIDE for t, _ in lines[label.line].pointers[label.start : label.end] if t >= 0]
    near = range(min(columns, default=SIDE) - MOST_ASIDE, max(columns, default=0) + MOST_ASIDE + 1)
    return label.line < value.line and token % (SIDE * SIDE) % SIDE in near


def _is_beside(lines: Sequence[PrintedLine], label: Printed, value: Printed) -> bool:
    """Whether a label stands before its value in the same row of lines."""
    token, slot = lines[value.line].pointers[value.start]
    of_label = [p for p in lines[label.line].pointers[label.start : label.end] if p[0] >= 0]
    if not of_label or token < 0:
        return label.line == value.line
    last_token, last_slot = of_label[-1]
    return _row(last_token, last_slot) == _row(token, slot) and (last_token, last_slot) < (
        token,
        slot,
    )


def _row(token: int, slot: int) -> int:
    """Row of lines within the crop."""
    return token % (SIDE * SIDE) // SIDE * LINES_PER_CELL + slot // PLACES_PER_LINE


def _label_place(lines: Sequence[PrintedLine], label: str, value: Printed) -> Printed | None:
    """Where a label stands: before its value, on a line of its own, or in one place only."""
    found = [
        Printed(number, at, at + len(label))
        for number, line in enumerate(lines)
        if (at := _word_at(line.text.lower(), label)) >= 0
    ]
    before = [p for p in found if p.line == value.line and p.end <= value.start]
    if before:
        return before[-1]
    alone = [p for p in found if lines[p.line].text.lower().rstrip(" :.") == label]
    return alone[0] if len(alone) == 1 else found[0] if len(found) == 1 else None


def _word_at(text: str, label: str) -> int:
    match = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text)
    return match.start() if match else -1
