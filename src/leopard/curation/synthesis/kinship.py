"""Which facts a reader may take for one another, so that no fact with printed kin is called absent.

A city and an address that holds it, an applicant and a last name, a sender and an
origin. Knows nothing of questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

from leopard.curation.synthesis.facts import FactBase, FieldSpec
from leopard.curation.synthesis.values import Value, word_list

Kin = Literal["place", "subject", "origin", "goal", "email", "phone", "url"]
_BY_SPEC: dict[str, Kin] = {
    "city": "place", "address": "place", "country": "place", "email": "email", "phone": "phone",
    "url": "url",
}  # fmt: skip
_NAMING = frozenset({"person", "surname", "company", "city", "address", "country", "named"})
"""Values that say who or where: only of these do `from` and `to` make kin."""
_WORDS: dict[Kin, str] = {
    "place": "place where location venue town site city address warehouse depot hub office",
    "subject": "name applicant holder last surname first given family full employee patient "
    "student pupil member guest passenger attendee player athlete resident customer client",
    "origin": "from sender shipper origin loading departure departs dispatched start starts",
    "goal": "to recipient consignee deliver delivery destination discharge arrival arrives "
    "addressee attention for",
}
"""Words in labels of facts that are kin."""
_BY_WORD = {kin: frozenset(words.split()) for kin, words in _WORDS.items()}


def kin_of_spec(spec: FieldSpec) -> frozenset[Kin]:
    """The groups that a kind of field is in, whichever of its labels is printed."""
    return frozenset(_kin(" ".join(spec.labels), spec.value.split(" ")[0]))


def kin_of_document(facts: FactBase) -> frozenset[Kin]:
    """The groups of all facts of a document: fields, headings, keys and cells."""
    found: set[Kin] = set()
    for field in facts.fields.values():
        found |= kin_of_spec(field.spec)
        found.update(_kin_of_value(field.label, field.value))
    if any(section.title for section in facts.sections):  # cities, persons, companies
        found |= {"place", "subject"}
    for table in facts.tables.values():
        labels = [table.key_label, *(column.label for column in table.columns)]
        for keys_and_cells in zip(table.keys, table.cells, strict=True):
            row = (keys_and_cells[0], *keys_and_cells[1])
            for label, value in zip(labels, row, strict=True):
                found.update(_kin_of_value(label, value))
    return frozenset(found)


def _kin_of_value(label: str, value: Value) -> Iterator[Kin]:
    """The groups of a printed value, of whose spec only the kind is known."""
    spec = {"place": "city", "person": "person", "text": "named"}.get(value.kind, value.kind)
    yield from _kin(label, spec)
    if _places().search(value.text):
        yield "place"


@cache
def _places() -> re.Pattern[str]:
    """Any city or country, also within a name such as `Perth Park`."""
    names = map(re.escape, (*word_list("cities"), *word_list("countries")))
    return re.compile(rf"\b(?:{'|'.join(names)})\b")


def _kin(labels: str, spec: str) -> Iterator[Kin]:
    if spec in _BY_SPEC:
        yield _BY_SPEC[spec]
    if spec in _NAMING:
        words = set(re.findall(r"[a-z]+", labels.lower()))
        yield from (kin for kin, those in _BY_WORD.items() if words & those)
