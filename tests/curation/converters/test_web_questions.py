"""Questions computed from boxes: every answer follows from the annotation."""

from __future__ import annotations

from random import Random

import pytest

from leopard.curation.converters.web_questions import (
    MAX_COUNT,
    Element,
    place_of,
    questions_about,
    questions_by_name,
)
from leopard.schema.samples import Evidence


def element(kind: str, left: float, top: float, name: str = "", size: float = 0.1) -> Element:
    box = (left, top, left + size, top + size)
    return Element(kind, Evidence(image=0, element=f"{left},{top}", box=box), name)


@pytest.mark.parametrize(
    ("left", "top", "place"),
    [
        (0.0, 0.0, "top left"), (0.45, 0.45, "the centre"), (0.9, 0.9, "bottom right"),
        (0.7, 0.4, "middle right"), (0.4, 0.8, "bottom centre"), (0.3, 0.0, None), (0, 0.6, None),
    ],
)  # fmt: skip
def test_places_are_ninths_that_hold_the_whole_element(
    left: float, top: float, place: str | None
) -> None:
    assert place_of(element("button", left, top)) == place


def test_counts_existence_and_place_are_asked_for() -> None:
    elements = [element("button", 0.1, 0.1), element("button", 0.5, 0.5), element("image", 0.8, 0)]
    for seed in range(10):
        made = questions_about(elements, ["button", "image", "field"], Random(seed))
        by_family: dict[str, list[tuple[str, str]]] = {}
        for turn in made:
            by_family.setdefault(turn.family, []).append((turn.question, turn.answer))
        counts = dict(by_family["count"])
        assert {a for q, a in counts.items() if '"button"' in q} == {"2"}
        assert {a for q, a in counts.items() if '"image"' in q} == {"1"}
        assert {answer for _, answer in by_family["exists"]} == {"No", "Yes"}
        for question, answer in by_family["exists"]:
            assert answer == ("No" if '"field"' in question else "Yes")
        assert [a for q, a in by_family["locate"] if "the only image" in q] == ["top right"]
        for turn in made:
            if turn.family == "count":
                assert len(turn.evidence) == int(turn.answer)


def test_what_is_hard_to_count_is_not_counted() -> None:
    many = [element("link", 0.01 * n, 0.1, size=0.005) for n in range(MAX_COUNT + 1)]
    made = questions_about(many, ["link"], Random(1))
    assert not [turn for turn in made if turn.family == "count"]


def test_names_that_repeat_are_not_asked_for() -> None:
    elements = [
        element("link", 0.1, 0.1, "More"),
        element("link", 0.8, 0.1, "More"),
        element("button", 0.45, 0.45, "Sign in"),
    ]
    families = set()
    for seed in range(12):
        (turn,) = questions_by_name(elements, Random(seed))
        families.add(turn.family)
        assert "Sign in" in turn.question
        assert turn.answer in ("the centre", "button")
        assert turn.evidence == (elements[2].evidence,)
    assert families == {"locate", "element"}
