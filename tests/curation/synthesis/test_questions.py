"""Phrasings: enough of them, and every slot is filled."""

from __future__ import annotations

import string

import pytest

from leopard.curation.synthesis.settings import load_preset, preset_names
from leopard.curation.synthesis.wording import is_noun, phrasings, plural

SLOTS = {"k", "c", "r", "w", "ws", "t", "v", "n", "a", "b", "o", "s", "q"}


@pytest.mark.parametrize("name", sorted(phrasings()))
def test_every_operator_has_twenty_phrasings_with_known_slots(name: str) -> None:
    found = phrasings()[name]
    assert len(set(found)) >= 20
    used = {field for text in found for _, field, _, _ in string.Formatter().parse(text) if field}
    assert used <= SLOTS
    assert all(text[-1] in "?." or text.endswith("{q}") for text in found)


@pytest.mark.parametrize(
    ("one", "many"),
    [("city", "cities"), ("day", "days"), ("branch", "branches"), ("person", "people"),
     ("age group", "age groups"), ("dish", "dishes")],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_presets_ask_only_for_families_that_exist() -> None:
    families = {
        "lookup", "cell", "reverse", "count", "extreme", "compare", "sum", "difference", "exists",
        "list", "trend", "rank", "page", "cross", "unanswerable", "order", "disagree", "join",
        "split",
    }  # fmt: skip
    for name in preset_names():
        assert set(load_preset(name).families) <= families


def test_nano_asks_for_lookups_most_of_the_time() -> None:
    weights = load_preset("nano").families
    lookups = sum(weights[name] for name in ("lookup", "cell", "reverse"))
    assert lookups / sum(weights.values()) >= 0.6
    assert load_preset("nano").max_answer <= 32


@pytest.mark.parametrize("label", ["Issued", "Paid by", "To", "Citizen of", "Starts at"])
def test_labels_that_name_no_thing_are_quoted(label: str) -> None:
    assert not is_noun(label)


@pytest.mark.parametrize("label", ["Speed", "Required reading", "Date of birth", "Total", "Fee"])
def test_labels_that_name_a_thing_stand_in_the_question(label: str) -> None:
    assert is_noun(label)
