"""Programs that a model wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leopard.curation.annotation.free_programs import language_reference, literals, read_program
from leopard.curation.annotation.replies import FormError
from leopard.curation.programs.language import Count, Rows, Where


def rows(*where: dict[str, Any]) -> dict[str, Any]:
    return {"op": "rows", "table": "t0", "where": [{"op": "where", **each} for each in where]}


def count(column: Any, comparison: str, value: Any) -> dict[str, Any]:
    bound = {"column": column, "comparison": comparison, "value": value}
    return {"op": "count", "rows": rows(bound)}


def mean(decimals: int) -> dict[str, Any]:
    return {"op": "mean", "rows": rows(), "column": 1, "decimals": decimals}


def test_a_program_is_read() -> None:
    program = read_program(json.dumps(count(1, ">", "12.5")))
    assert program == Count(Rows("t0", (Where(1, ">", "12.5"),)))
    assert literals(program) == {"12.5"}


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("{", "no JSON"),
        ("[1]", "no object"),
        ('{"op": "exec", "code": "1"}', "not in the language"),
        ('{"op": "read"}', "not in the language"),
        ('{"op": "read", "element": "f1", "extra": 1}', "not in the language"),
        ('{"op": "read", "element": 1}', "another kind"),
        ('{"op": "rows", "table": "t0", "where": []}', "another kind"),
        ('{"op": "count", "rows": "t0"}', "another kind"),
        ('{"op": {}, "rows": "t0"}', "not in the language"),
        (json.dumps(count("1", ">", "3")), "another kind"),
        (json.dumps(count(1, ">=", "3")), "another kind"),
        (json.dumps(count(1, ">", 3)), "another kind"),
        (json.dumps(count(1, ">", "1e999999999")), "no plain number"),
        (json.dumps(count(1, "<", "Berlin")), "no plain number"),
        (json.dumps(mean(999999999)), "out of bounds"),
        (json.dumps(mean(True)), "another kind"),
        (json.dumps({"op": "read", "element": "x" * 5000}), "too long"),
        ('{"op": "keys", "rows": ' * 30 + "1" + "}" * 30, "nested too deeply"),
    ],
)  # fmt: skip
def test_programs_that_are_turned_down(program: str, problem: str) -> None:
    with pytest.raises(FormError, match=problem):
        read_program(program)


def test_the_reference_names_every_operator_with_its_fields() -> None:
    text = language_reference()
    for name in ("read (element: str)", "where (column: int", "disagreement", "absent", "before"):
        assert name in text
    assert len(text.splitlines()) == 22
