"""Questions about elements of a web page, computed from their boxes and names.

For web sources that publish boxes but no questions. Every answer follows from the annotation; kinds
and names that are not clear are not asked for. Knows nothing of files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from leopard.schema.samples import Evidence, QuestionAnswer

MAX_COUNT = 12
"""Largest number of elements that is asked for; more are hard to count for people, too."""
_ROWS = ("top", "middle", "bottom")
_COLS = ("left", "centre", "right")


@dataclass(frozen=True, slots=True)
class Element:
    """Something on a page."""

    kind: str
    evidence: Evidence
    name: str = ""
    """What it says, or empty."""


def place_of(element: Element) -> str | None:
    """The ninth of the page that holds the whole element, such as "top left", or None."""
    left, top, right, bottom = element.evidence.box
    col, row = int(min(left, 0.999) * 3), int(min(top, 0.999) * 3)
    if right > (col + 1) / 3 + 1e-6 or bottom > (row + 1) / 3 + 1e-6:
        return None
    return "the centre" if (row, col) == (1, 1) else f"{_ROWS[row]} {_COLS[col]}"


def questions_about(
    elements: Sequence[Element], kinds: Sequence[str], rng: Random
) -> tuple[QuestionAnswer, ...]:
    """How many there are, whether there are any, and where the only one of its kind is.

    Args:
        elements: All elements of the page.
        kinds: All kinds that were annotated, also those that this page lacks.
        rng: Where the choice of wording comes from.
    """
    counts = Counter(element.kind for element in elements)
    made = [_how_many(kind, elements, rng) for kind, n in sorted(counts.items()) if n <= MAX_COUNT]
    absent = [kind for kind in kinds if kind not in counts]
    if absent:
        made.append(_any(rng.choice(absent), None))
        present = rng.choice(sorted(counts))
        made.append(_any(present, next(e for e in elements if e.kind == present)))
    for element in elements:
        place = place_of(element)
        if counts[element.kind] == 1 and place:
            made.append(_where(f"the only {element.kind}", element, place, rng))
    return tuple(made)


def questions_by_name(elements: Sequence[Element], rng: Random) -> tuple[QuestionAnswer, ...]:
    """Where a named element is, and of which kind it is; names that repeat are not asked for."""
    names = Counter(element.name for element in elements)
    made = []
    for element in elements:
        if names[element.name] != 1:
            continue
        place = place_of(element)
        if place and rng.random() < 0.5:
            made.append(_where(f'the {element.kind} "{element.name}"', element, place, rng))
        else:
            made.append(_kind_of(element))
    return tuple(made)


def _how_many(kind: str, elements: Sequence[Element], rng: Random) -> QuestionAnswer:
    found = [element for element in elements if element.kind == kind]
    asked = rng.choice(
        (
            f'How many elements of the kind "{kind}" are on this web page?',
            f'Count the elements of the kind "{kind}" on this page.',
            f'What is the number of elements of the kind "{kind}" in the screenshot?',
        )
    )
    return QuestionAnswer(
        question=asked,
        answer=str(len(found)),
        answer_type="number",
        family="count",
        evidence=tuple(element.evidence for element in found),
    )


def _any(kind: str, element: Element | None) -> QuestionAnswer:
    return QuestionAnswer(
        question=f'Is there any element of the kind "{kind}" on this web page?',
        answer="No" if element is None else "Yes",
        answer_type="boolean",
        family="exists",
        evidence=() if element is None else (element.evidence,),
    )


def _where(name: str, element: Element, place: str, rng: Random) -> QuestionAnswer:
    asked = rng.choice(
        (
            f"In which part of the page is {name}?",
            f"Where on the page is {name}?",
            f"Locate {name} on the page.",
        )
    )
    return QuestionAnswer(
        question=asked, answer=place, family="locate", evidence=(element.evidence,)
    )


def _kind_of(element: Element) -> QuestionAnswer:
    return QuestionAnswer(
        question=f'What kind of element is "{element.name}" on this page?',
        answer=element.kind,
        family="element",
        evidence=(element.evidence,),
    )
