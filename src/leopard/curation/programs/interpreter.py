"""Runs an expression on the facts: answer, evidence, and the steps that lead there.

This is the author's side of a question. What it says is believed only after `evaluator` reached
the same answer from the printed page. Knows nothing of pages but which element stands on which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

from leopard.curation.programs.language import (
    KEY,
    Absent,
    Before,
    Compare,
    Count,
    Difference,
    Disagreement,
    Equal,
    Exists,
    Expression,
    Extreme,
    Keys,
    Lookup,
    Mean,
    PageOf,
    PercentChange,
    Rank,
    Ratio,
    Read,
    Rows,
    Sum,
    Total,
    Trend,
    Where,
)
from leopard.curation.synthesis.facts import FactBase, Table
from leopard.curation.synthesis.values import Value


class VoidQuestionError(Exception):
    """The question has no single answer (a tie, an empty set, a division by zero)."""


@dataclass(slots=True)
class Run:
    """What came out of one expression."""

    answer: str = ""
    kind: str = "text"
    """`text`, `number`, `date`, `boolean`, `list` or `unanswerable`."""
    value: Value | None = None
    evidence: list[str] = field(default_factory=list)
    """Element ids in the order they were read."""
    steps: list[str] = field(default_factory=list)
    """One sentence per step."""


class Interpreter:
    """Evaluates expressions over one fact base.

    Args:
        facts: The facts.
        page_of: Page number of every printed element, counted from 1.
    """

    def __init__(self, facts: FactBase, page_of: Mapping[str, int]) -> None:
        self.facts, self.page_of = facts, page_of
        self._rules: dict[type, Callable[[Any, Run], Value]] = {
            Read: self._read, Count: self._count, Sum: self._sum, Mean: self._mean,
            Extreme: self._extreme, Rank: self._rank, Lookup: self._lookup, Keys: self._keys,
            Exists: self._exists, Difference: self._difference, Total: self._total,
            Ratio: self._ratio, PercentChange: self._change, Compare: self._compare,
            Trend: self._trend, PageOf: self._page, Equal: self._equal, Before: self._before,
            Absent: self._absent,
            Disagreement: self._disagreement,
        }  # fmt: skip

    def run(self, expression: Expression) -> Run:
        """The answer with its evidence and steps.

        Raises:
            VoidQuestionError: If there is no single answer.
        """
        run = Run()
        value = self._rules[type(expression)](expression, run)
        run.value, run.answer = value, value.text
        run.kind = _answer_kind(expression, value)
        run.evidence = list(dict.fromkeys(run.evidence))
        return run

    def name(self, element: str) -> str:
        """What people would call an element: its label, or column of row."""
        if element in self.facts.fields:
            return self.facts.fields[element].label
        table_id, row, column = element.split(".")
        table = self.facts.tables[table_id]
        if column == "k":
            return f"{table.key_label} {int(row) + 1}"
        return f"{table.columns[int(column)].label} of {table.keys[int(row)].text}"

    # -- parts -----------------------------------------------------------------------------------

    def _eval(self, expression: Expression, run: Run) -> Value:
        return self._rules[type(expression)](expression, run)

    def _where_text(self, element: str) -> str:
        page = self.page_of.get(element)
        many = max(self.page_of.values(), default=1) > 1
        return f" on page {page}" if many and page else ""

    def _element(self, element: str, run: Run) -> Value:
        value = self.facts.value(element)
        run.evidence.append(element)
        run.steps.append(f"The {self.name(element)}{self._where_text(element)} is {value.text}.")
        return value

    def _rows(self, rows: Rows, run: Run) -> tuple[Table, list[int]]:
        table = self.facts.tables[rows.table]
        kept = []
        for row in range(len(table.keys)):
            run.evidence.append(table.key_id(row))
            for where in rows.where:
                run.evidence.append(_cell_id(table, row, where.column))
            if all(self._holds(table, row, where) for where in rows.where):
                kept.append(row)
        return table, kept

    def _holds(self, table: Table, row: int, where: Where) -> bool:
        value = _cell(table, row, where.column)
        if where.comparison in ("=", "!="):
            return (value.text == where.value) == (where.comparison == "=")
        number, bound = _number(value), Decimal(where.value)
        return number > bound if where.comparison == ">" else number < bound

    def _column(self, table: Table, rows: list[int], column: int, run: Run) -> list[Value]:
        values = []
        for row in rows:
            run.evidence.append(_cell_id(table, row, column))
            values.append(_cell(table, row, column))
        listed = ", ".join(
            f"{table.keys[row].text} {value.text}" for row, value in zip(rows, values, strict=True)
        )
        if rows and column != KEY:
            run.steps.append(f"{table.columns[column].label}: {listed}.")
        return values

    # -- operators -------------------------------------------------------------------------------

    def _read(self, e: Read, run: Run) -> Value:
        return self._element(e.element, run)

    def _count(self, e: Count, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        names = ", ".join(table.keys[row].text for row in rows)
        run.steps.append(f"These are counted: {names}." if rows else "None fits.")
        return Value("number", str(len(rows)), Decimal(len(rows)))

    def _sum(self, e: Sum, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        values = self._column(table, rows, e.column, run)
        if not values:
            raise VoidQuestionError("empty")
        total = sum((_number(v) for v in values), Decimal(0))
        result = self._like(values[0], total)
        run.steps.append(f"{' + '.join(v.text for v in values)} = {result.text}.")
        return result

    def _mean(self, e: Mean, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        values = self._column(table, rows, e.column, run)
        if not values:
            raise VoidQuestionError("empty")
        mean = sum((_number(v) for v in values), Decimal(0)) / len(values)
        result = self._like(values[0], _rounded(mean, e.decimals), e.decimals)
        run.steps.append(f"Their sum divided by {len(values)} is {result.text}.")
        return result

    def _extreme(self, e: Extreme, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        values = self._column(table, rows, e.column, run)
        order = sorted(range(len(rows)), key=lambda i: _number(values[i]), reverse=e.highest)
        if len(order) < max(2, e.nth):
            raise VoidQuestionError("empty")
        hit = order[e.nth - 1]
        if sum(_number(v) == _number(values[hit]) for v in values) > 1:
            raise VoidQuestionError("tie")
        key = table.keys[rows[hit]]
        place = "" if e.nth == 1 else f"number {e.nth} from the "
        end = "highest" if e.highest else "lowest"
        run.steps.append(f"The {place}{end} is {values[hit].text}, of {key.text}.")
        return key if e.want == "key" else values[hit]

    def _rank(self, e: Rank, run: Run) -> Value:
        table = self.facts.tables[e.table]
        values = self._column(table, list(range(len(table.keys))), e.column, run)
        run.evidence.append(table.key_id(e.row))
        numbers = [_number(v) for v in values]
        if numbers.count(numbers[e.row]) > 1:
            raise VoidQuestionError("tie")
        better = [n > numbers[e.row] if e.highest_first else n < numbers[e.row] for n in numbers]
        place = sum(better) + 1
        run.steps.append(f"{sum(better)} of them come before {table.keys[e.row].text}.")
        return Value("number", str(place), Decimal(place))

    def _lookup(self, e: Lookup, run: Run) -> Value:
        key = self._eval(e.key, run)
        table = self.facts.tables[e.table]
        rows = [row for row, k in enumerate(table.keys) if k.text == key.text]
        if len(rows) != 1:
            raise VoidQuestionError("no single row")
        run.evidence.append(table.key_id(rows[0]))
        return self._element(_cell_id(table, rows[0], e.column), run)

    def _keys(self, e: Keys, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        if not rows:
            raise VoidQuestionError("empty")
        names = ", ".join(table.keys[row].text for row in rows)
        run.steps.append(f"These fit: {names}.")
        return Value("text", names)

    def _exists(self, e: Exists, run: Run) -> Value:
        table, rows = self._rows(e.rows, run)
        names = ", ".join(table.keys[row].text for row in rows)
        run.steps.append(f"These fit: {names}." if rows else "None fits.")
        return Value("text", "Yes" if rows else "No")

    def _difference(self, e: Difference, run: Run) -> Value:
        left, right = self._eval(e.left, run), self._eval(e.right, run)
        gap = abs(_number(left) - _number(right))
        if left.kind == "date":
            result = Value("number", str(gap), gap)
            run.steps.append(f"Between {left.text} and {right.text} lie {gap} days.")
            return result
        result = self._like(left, gap, max(left.decimals, right.decimals))
        high, low = sorted((left, right), key=_number, reverse=True)
        run.steps.append(f"{high.text} - {low.text} = {result.text}.")
        return result

    def _total(self, e: Total, run: Run) -> Value:
        left, right = self._eval(e.left, run), self._eval(e.right, run)
        decimals = max(left.decimals, right.decimals)
        result = self._like(left, _number(left) + _number(right), decimals)
        run.steps.append(f"{left.text} + {right.text} = {result.text}.")
        return result

    def _ratio(self, e: Ratio, run: Run) -> Value:
        left, right = self._eval(e.left, run), self._eval(e.right, run)
        if not _number(right):
            raise VoidQuestionError("division by zero")
        number = _rounded(_number(left) / _number(right), e.decimals)
        text = self.facts.locale.number(number, e.decimals)
        run.steps.append(f"{left.text} / {right.text} = {text}.")
        return Value("number", text, number, e.decimals)

    def _change(self, e: PercentChange, run: Run) -> Value:
        left, right = self._eval(e.left, run), self._eval(e.right, run)
        if not _number(left):
            raise VoidQuestionError("division by zero")
        share = (_number(right) - _number(left)) / abs(_number(left)) * 100
        number = _rounded(share, e.decimals)
        text = self.facts.locale.number(number, e.decimals) + "%"
        run.steps.append(f"({right.text} - {left.text}) / {left.text} = {text}.")
        return Value("percent", text, number, e.decimals, "%")

    def _compare(self, e: Compare, run: Run) -> Value:
        left, right = self._read(e.left, run), self._read(e.right, run)
        if _number(left) == _number(right):
            raise VoidQuestionError("tie")
        is_left = (_number(left) > _number(right)) == e.greater
        more, less = ("later", "earlier") if left.kind == "date" else ("greater", "less")
        name = e.left_name if is_left else e.right_name
        winner, other = (left, right) if is_left else (right, left)
        run.steps.append(f"{winner.text} is {more if e.greater else less} than {other.text}.")
        return Value("text", name)

    def _trend(self, e: Trend, run: Run) -> Value:
        table = self.facts.tables[e.table]
        values = self._column(table, list(range(len(table.keys))), e.column, run)
        numbers = [_number(v) for v in values]
        pairs = list(pairwise(numbers))
        rising, falling = all(a < b for a, b in pairs), all(a > b for a, b in pairs)
        word = "rising" if rising else "falling" if falling else "mixed"
        run.steps.append(f"From one to the next the values are {word}.")
        return Value("text", word)

    def _page(self, e: PageOf, run: Run) -> Value:
        run.evidence.append(e.element)
        page = self.page_of[e.element]
        run.steps.append(f"It is printed on page {page}.")
        return Value("number", str(page), Decimal(page))

    def _equal(self, e: Equal, run: Run) -> Value:
        left, right = self._read(e.left, run), self._read(e.right, run)
        return Value("text", "Yes" if left.text == right.text else "No")

    def _before(self, e: Before, run: Run) -> Value:
        run.evidence += [e.left, e.right]
        left, right = self.page_of[e.left], self.page_of[e.right]
        if left == right:
            raise VoidQuestionError("tie")
        run.steps.append(f"{e.left_name} is on page {left}, {e.right_name} on page {right}.")
        return Value("text", e.left_name if (left < right) == e.earlier else e.right_name)

    def _disagreement(self, e: Disagreement, run: Run) -> Value:
        left, right = self.facts.tables[e.left], self.facts.tables[e.right]
        found = []
        for row, key in enumerate(left.keys):
            cells = left.cell_id(row, e.column), right.cell_id(row, e.column)
            run.evidence += [left.key_id(row), *cells]
            one, other = (self.facts.value(cell).text for cell in cells)
            if one != other:
                found.append(key)
                run.steps.append(f"{key.text} has {one} in one and {other} in the other.")
        if len(found) != 1:
            raise VoidQuestionError("tie")
        return found[0]

    def _absent(self, _: Absent, run: Run) -> Value:
        run.steps.append("Nothing on the pages says so.")
        return Value("text", "")

    def _like(self, value: Value, number: Decimal, decimals: int | None = None) -> Value:
        """A number printed as another value of the document is."""
        places = value.decimals if decimals is None else decimals
        locale = self.facts.locale
        if value.kind == "money":
            text = locale.money(number, places)
        else:
            text = locale.number(number, places)
            text += "%" if value.kind == "percent" else f" {value.unit}" if value.unit else ""
        return Value(value.kind, text, number, places, value.unit)


def _cell(table: Table, row: int, column: int) -> Value:
    return table.keys[row] if column == KEY else table.cells[row][column]


def _cell_id(table: Table, row: int, column: int) -> str:
    return table.key_id(row) if column == KEY else table.cell_id(row, column)


def _number(value: Value) -> Decimal:
    if value.number is None:
        raise VoidQuestionError("not a number")
    return value.number


def _rounded(number: Decimal, decimals: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def _answer_kind(expression: Expression, value: Value) -> str:
    if isinstance(expression, Absent):
        return "unanswerable"
    if isinstance(expression, Keys):
        return "list"
    if isinstance(expression, Exists | Equal):
        return "boolean"
    numeric = {"number": "number", "money": "number", "percent": "number", "date": "date"}
    return numeric.get(value.kind, "text")
