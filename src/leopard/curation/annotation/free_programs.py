"""Programs that a model wrote: read, checked field by field, kept within bounds.

A program is data, never code. Knows nothing of questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from leopard.curation.annotation.replies import FormError, parse_alone
from leopard.curation.programs import language
from leopard.curation.programs.language import Expression, Rows, Where, from_json
from leopard.curation.synthesis.documents import PrintedDocument
from leopard.curation.synthesis.facts import Table
from leopard.errors import DataError

MAX_PROGRAM = 4000
"""Longest program, in characters of JSON."""
MAX_DECIMALS = 6
_PLAIN_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?")


def read_program(text: str) -> Expression:
    """The expression that a JSON text holds.

    Raises:
        FormError: If it is no program, or one of its fields has a value of another kind.
    """
    if len(text) > MAX_PROGRAM:
        raise FormError("the program is too long")
    _, record = parse_alone(text)
    if not isinstance(record, dict):
        raise FormError("the program is no object")
    try:
        program = from_json(record)
        for node in _nodes(program):
            _check(node)
        _adapter(Expression).validate_python(program, strict=True)
    except (DataError, TypeError, AttributeError) as error:
        raise FormError("the program is not in the language") from error
    except ValidationError as error:
        raise FormError("a field of the program has a value of another kind") from error
    return program  # type: ignore[no-any-return]


def literals(program: Expression) -> set[str]:
    """Texts and numbers that a program compares with or answers by; a question must name them."""
    found: set[str] = set()
    for node in _nodes(program):
        if isinstance(node, Where):
            found.add(node.value)
        for name in ("left_name", "right_name"):
            if hasattr(node, name):
                found.add(getattr(node, name))
        found.update(getattr(node, "texts", ()))
    return found


@cache
def language_reference() -> str:
    """Every operator with its fields and what it does, one line each."""
    names = [*(cls.__name__ for cls in (Rows, Where)), *(
        cls.__name__ for cls in Expression.__args__)]  # fmt: skip
    lines = []
    for name in names:
        cls = getattr(language, name)
        hints = ", ".join(f"{f.name}: {_kind(f.type)}" for f in fields(cls))
        lines.append(f"- {name.lower()} ({hints}): {(cls.__doc__ or '').strip().splitlines()[0]}")
    return "\n".join(lines)


def facts_as_text(document: PrintedDocument) -> str:
    """All printed facts with their ids, page by page as they stand."""
    places, lines = document.places, []
    for section in document.facts.sections:
        lines.append(f"# {section.title}")
        for field in section.fields:
            if field.id in places:
                page = places[field.id].page + 1
                lines.append(f"{field.id} (page {page}) {field.label}: {field.value.text}")
        for table in section.tables:
            lines.extend(_table_lines(table, document))
    return "\n".join(lines)


def _table_lines(table: Table, document: PrintedDocument) -> Iterator[str]:
    columns = ", ".join(f"{n} = {c.label}" for n, c in enumerate(table.columns))
    yield f"Table {table.id} {table.title!r}; a row is a {table.what}; columns: {columns}"
    for row, key in enumerate(table.keys):
        place = document.places.get(table.key_id(row))
        if place is not None:
            cells = " | ".join(cell.text for cell in table.cells[row])
            yield f"row {row} (page {place.page + 1}) {key.text}: {cells}"


def _nodes(node: Any) -> Iterator[Any]:
    if is_dataclass(node):
        yield node
        for field in fields(node):
            value = getattr(node, field.name)
            for part in value if isinstance(value, tuple) else (value,):
                yield from _nodes(part)


def _check(node: Any) -> None:
    hints = get_type_hints(type(node), vars(language))
    for field in fields(node):
        value = getattr(node, field.name)
        _adapter(hints[field.name]).validate_python(value, strict=True)
    number = isinstance(node, Where) and node.comparison in "<>"
    if number and not _PLAIN_NUMBER.fullmatch(node.value):
        raise FormError("a bound of the program is no plain number")
    if not 0 <= getattr(node, "decimals", 0) <= MAX_DECIMALS or getattr(node, "nth", 1) < 1:
        raise FormError("a number of the program is out of bounds")


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _kind(hint: Any) -> str:
    return str(hint).replace("Literal", "one of ")
