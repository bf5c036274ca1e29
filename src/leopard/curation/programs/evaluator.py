"""The second opinion: evaluates a question's JSON on the text read back from the printed page.

It shares no code with the interpreter and sees no facts: only the program as JSON, the printed text
of each marked element, the pages' full text, and how the document prints numbers and dates. Knows
nothing of where questions come from.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from leopard.errors import DataError

Result = Fraction | str | list[str]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class PrintedFacts:
    """What can be read on the pages of one document."""

    texts: Mapping[str, str]
    """Printed text by element id."""
    pages: Mapping[str, int]
    """Page number by element id, counted from 1."""
    full_text: str
    """Text of all pages."""
    locale: Mapping[str, Any]
    """How numbers and dates are printed: `thousands`, `decimal`, `date_pattern`."""
    shown_on: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """All pages that print an element, counted from 1; what words a question looks here."""
    views: Mapping[str, str] = field(default_factory=dict)
    """How each table is drawn, by its id; what words a question looks here too."""
    told: frozenset[str] = frozenset()
    """Ids of the fields that a sentence states, without their labels."""


class UnprovenError(Exception):
    """The printed pages do not bear the answer out."""


def evaluate(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    """The answer of a program, from printed text alone.

    Raises:
        UnprovenError: If something needed is not printed or cannot be read.
        DataError: If the program is not in the language.
    """
    operator = _OPERATORS.get(program.get("op", ""))
    if operator is None:
        raise DataError(f"program operator {program.get('op')!r} is unknown")
    return operator(program, printed)


def agrees(answer: str, result: Result, printed: PrintedFacts) -> bool:
    """Whether a printed answer says what the evaluator found."""
    if isinstance(result, list):
        return [part.strip() for part in answer.split(",")] == result
    if isinstance(result, str):
        return " ".join(answer.split()) == result
    try:
        return _quantity(answer, printed.locale) == result
    except UnprovenError:
        return False


def _text(element: str, printed: PrintedFacts) -> str:
    if element not in printed.texts:
        raise UnprovenError(f"{element} is not printed")
    return " ".join(printed.texts[element].split())


def _quantity(text: str, locale: Mapping[str, Any]) -> Fraction:
    """The number, or the day number of a date, that a text shows."""
    day = _day(text, str(locale["date_pattern"]))
    if day is not None:
        return Fraction(day)
    clock = re.fullmatch(r"(\d{1,2}):(\d\d)(?: ([AP])M)?", text)
    if clock:
        hour = int(clock[1]) % 12 + 12 * (clock[3] == "P") if clock[3] else int(clock[1])
        return Fraction(60 * hour + int(clock[2]))
    thousands, decimal = str(locale["thousands"]), str(locale["decimal"])
    grouped = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+" if thousands else r"\d+"
    found = re.findall(rf"{grouped}(?:{re.escape(decimal)}\d+)?|\d+(?:{re.escape(decimal)}\d+)?",
                       text)  # fmt: skip
    if not found:
        raise UnprovenError(f"{text!r} shows no number")
    digits = found[0].replace(thousands, "") if thousands else found[0]
    sign = -1 if re.match(r"\s*-", text) else 1
    return sign * Fraction(digits.replace(decimal, "."))


def _day(text: str, pattern: str) -> int | None:
    """Ordinal of a date in the document's pattern, or None."""
    names = {"y": r"(?P<y>\d{4})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})",
             "M": r"(?P<M>[A-Za-z]+)", "B": r"(?P<M>[A-Za-z]+)"}  # fmt: skip
    regex = re.sub(r"\\\{([ymdMB])(?::02d)?\\\}", lambda hit: names[hit[1]], re.escape(pattern))
    found = re.fullmatch(regex, text)
    if found is None:
        return None
    parts = found.groupdict()
    month = parts.get("m") or str(_MONTHS.index(parts["M"][:3].lower()) + 1)
    return datetime.date(int(parts["y"]), int(month), int(parts["d"])).toordinal()


def _table(table: str, printed: PrintedFacts) -> list[int]:
    """Row numbers of a table, as far as its keys are printed."""
    found = (re.fullmatch(rf"{re.escape(table)}\.(\d+)\.k", name) for name in printed.texts)
    return sorted(int(hit[1]) for hit in found if hit)


def _cell(table: str, row: int, column: int, printed: PrintedFacts) -> str:
    return _text(f"{table}.{row}.{'k' if column < 0 else column}", printed)


def _number_of(table: str, row: int, column: int, printed: PrintedFacts) -> Fraction:
    return _quantity(_cell(table, row, column, printed), printed.locale)


def _selected(rows: Mapping[str, Any], printed: PrintedFacts) -> list[int]:
    return [
        row
        for row in _table(rows["table"], printed)
        if all(_meets(rows["table"], row, condition, printed) for condition in rows["where"])
    ]


def _meets(table: str, row: int, condition: Mapping[str, Any], printed: PrintedFacts) -> bool:
    column, sign, wanted = condition["column"], condition["comparison"], condition["value"]
    if sign == "=":
        return bool(_cell(table, row, column, printed) == wanted)
    if sign == "!=":
        return bool(_cell(table, row, column, printed) != wanted)
    number = _number_of(table, row, column, printed)
    return number < Fraction(wanted) if sign == "<" else number > Fraction(wanted)


def _column(program: Mapping[str, Any], printed: PrintedFacts) -> list[tuple[int, Fraction]]:
    rows = program["rows"]
    column = program["column"]
    values = [
        (row, _number_of(rows["table"], row, column, printed)) for row in _selected(rows, printed)
    ]
    if not values:
        raise UnprovenError("no row is selected")
    return values


def _as_number(result: Result, printed: PrintedFacts) -> Fraction:
    if isinstance(result, list):
        raise UnprovenError("a list is not a number")
    return result if isinstance(result, Fraction) else _quantity(result, printed.locale)


def _both(program: Mapping[str, Any], printed: PrintedFacts) -> tuple[Fraction, Fraction]:
    left, right = (evaluate(program[side], printed) for side in ("left", "right"))
    return _as_number(left, printed), _as_number(right, printed)


def _round(number: Fraction, decimals: int) -> Fraction:
    """Rounded to decimals, halves away from zero."""
    scaled = abs(number) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if number >= 0 else -whole, 10**decimals)


def _mean(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    values = [value for _, value in _column(program, printed)]
    return _round(sum(values, Fraction(0)) / len(values), program["decimals"])


def _extreme(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    values = _column(program, printed)
    beaten_by = program["nth"] - 1
    winners = [
        (row, value)
        for row, value in values
        if sum((o > value) if program["highest"] else (o < value) for _, o in values) == beaten_by
    ]
    if len(winners) != 1:
        raise UnprovenError("a tie")
    column = -1 if program["want"] == "key" else program["column"]
    return _cell(program["rows"]["table"], winners[0][0], column, printed)


def _rank(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    table, column = program["table"], program["column"]
    own = _number_of(table, program["row"], column, printed)
    others = [_number_of(table, r, column, printed)
              for r in _table(table, printed) if r != program["row"]]  # fmt: skip
    if own in others:
        raise UnprovenError("a tie")
    return Fraction(1 + sum((o > own) if program["highest_first"] else (o < own) for o in others))


def _lookup(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    key = evaluate(program["key"], printed)
    table = program["table"]
    rows = [row for row in _table(table, printed) if _cell(table, row, -1, printed) == key]
    if len(rows) != 1:
        raise UnprovenError(f"{len(rows)} rows have the key {key!r}")
    return _cell(table, rows[0], program["column"], printed)


def _difference(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right = _both(program, printed)
    return abs(left - right)


def _ratio(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right = _both(program, printed)
    if right == 0:
        raise UnprovenError("division by zero")
    return _round(left / right, program["decimals"])


def _change(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right = _both(program, printed)
    if left == 0:
        raise UnprovenError("division by zero")
    return _round(100 * (right - left) / abs(left), program["decimals"])


def _compare(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right = _both(program, printed)
    if left == right:
        raise UnprovenError("a tie")
    is_left = left > right if program["greater"] else left < right
    return str(program["left_name"] if is_left else program["right_name"])


def _trend(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    rows = _table(program["table"], printed)
    values = [_number_of(program["table"], r, program["column"], printed) for r in rows]
    steps = {(b > a) - (b < a) for a, b in pairwise(values)}
    return {frozenset({1}): "rising", frozenset({-1}): "falling"}.get(frozenset(steps), "mixed")


def _page(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    heading = _text(program["element"], printed)
    # A name that is printed twice, as on slides that go on, may be looked for on either page.
    if printed.full_text.casefold().count(heading.casefold()) != 1:
        raise UnprovenError(f"{heading!r} is not printed exactly once")
    return Fraction(printed.pages[program["element"]])


def _equal(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right = (evaluate(program[side], printed) for side in ("left", "right"))
    return "Yes" if left == right else "No"


def _before(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    pages = []
    for side in ("left", "right"):
        if _text(program[side], printed) != program[f"{side}_name"]:
            raise UnprovenError(f"{program[side]} does not print {program[f'{side}_name']!r}")
        pages.append(printed.pages[program[side]])
    if pages[0] == pages[1]:
        raise UnprovenError("a tie")
    first, last = ("left", "right") if pages[0] < pages[1] else ("right", "left")
    return str(program[f"{first if program['earlier'] else last}_name"])


def _disagreement(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    left, right, column = program["left"], program["right"], program["column"]
    rows = _table(left, printed)
    if rows != _table(right, printed):
        raise UnprovenError("the tables have different rows")
    odd = []
    for row in rows:
        if _cell(left, row, -1, printed) != _cell(right, row, -1, printed):
            raise UnprovenError("the tables have different keys")
        if _cell(left, row, column, printed) != _cell(right, row, column, printed):
            odd.append(row)
    if len(odd) != 1:
        raise UnprovenError(f"{len(odd)} rows differ")
    return _cell(left, odd[0], -1, printed)


def _absent(program: Mapping[str, Any], printed: PrintedFacts) -> Result:
    shown = printed.full_text.casefold()
    for text in program["texts"]:
        if re.search(rf"(?<!\w){re.escape(text.casefold())}(?!\w)", shown):
            raise UnprovenError(f"{text!r} is printed after all")
    return ""


_OPERATORS: dict[str, Callable[[Mapping[str, Any], PrintedFacts], Result]] = {
    "read": lambda p, d: _text(p["element"], d),
    "count": lambda p, d: Fraction(len(_selected(p["rows"], d))),
    "sum": lambda p, d: sum((value for _, value in _column(p, d)), Fraction(0)),
    "mean": _mean,
    "extreme": _extreme,
    "rank": _rank,
    "lookup": _lookup,
    "keys": lambda p, d: [_cell(p["rows"]["table"], row, -1, d) for row in _selected(p["rows"], d)],
    "exists": lambda p, d: "Yes" if _selected(p["rows"], d) else "No",
    "difference": _difference,
    "total": lambda p, d: sum(_both(p, d), Fraction(0)),
    "ratio": _ratio,
    "percentchange": _change,
    "compare": _compare,
    "trend": _trend,
    "pageof": _page,
    "equal": _equal,
    "before": _before,
    "disagreement": _disagreement,
    "absent": _absent,
}
