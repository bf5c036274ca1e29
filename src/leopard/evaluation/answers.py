"""From what a model said to the answer that is scored: one named, versioned step.

Knows nothing of scorers; whatever the step is, both the raw and the parsed text are recorded.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

PARSER = "last-answer-1"
"""Name and version of the step; changes whenever its result can."""
LONGEST_LITERAL = 10_000
_MARKER = re.compile(r"\b(?:final\s+)?answer\s*(?:is\s*)?:\s*", re.IGNORECASE)
_PAGES = re.compile(r"\bpages?\b\s*[:#]?\s*((?:\d+(?:\s*(?:,|and|&)\s*)?)+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said and what is taken from it."""

    raw: str
    """The whole response."""
    text: str
    """The answer in it; empty when there is none."""
    pages: tuple[int, ...] = ()
    """Page numbers the response names, from 1, in order of mention."""


def parse_answer(raw: str) -> Answer:
    """Take the text after the last "Answer:", or the whole response where there is none.

    "Page: 3" and "pages 2 and 3" are read as evidence and, on a line of their own, cut off.
    """
    pages: list[int] = []
    for found in _PAGES.finditer(raw):
        pages += [int(number) for number in re.findall(r"\d{1,6}", found[1])]
    lines = [line for line in raw.splitlines() if not _PAGES.fullmatch(line.strip().rstrip("."))]
    text = "\n".join(lines) if len(lines) < len(raw.splitlines()) and lines else raw
    tail = _MARKER.split(text)[-1]
    return Answer(raw=raw, text=tail.strip(), pages=tuple(dict.fromkeys(pages)))


def split_list(text: str) -> list[str]:
    """Items of a list answer: a literal list, or parts between ";", line breaks or commas."""
    text = text.strip()
    if text.startswith("[") and len(text) <= LONGEST_LITERAL:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
        if isinstance(value, (list, tuple)):
            return [str(item) for item in value]
    for separator in (";", "\n", ", "):
        if separator in text:
            return [part.strip() for part in text.split(separator) if part.strip()]
    return [text] if text else []
