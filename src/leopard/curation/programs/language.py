"""The expression language of questions: typed, immutable, plain JSON.

An expression says how an answer follows from what is printed: which elements are read and what is
computed from them. Elements are named as in `leopard.curation.synthesis.facts`. Knows nothing of
how expressions are evaluated; that is done twice, by `interpreter` and by `evaluator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from leopard.errors import DataError

KEY = -1
"""Column number that stands for the keys of the rows."""
Comparison = Literal["<", ">", "=", "!="]


@dataclass(frozen=True, slots=True)
class Read:
    """The value of one element."""

    element: str


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a column: numbers by `<` and `>`, texts by `=` and `!=`."""

    column: int
    comparison: Comparison
    value: str
    """A plain decimal number, or a text."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table that meet all conditions; without conditions, all rows."""

    table: str
    where: tuple[Where, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of a column over rows."""

    rows: Rows
    column: int


@dataclass(frozen=True, slots=True)
class Mean:
    """Arithmetic mean of a column over rows."""

    rows: Rows
    column: int
    decimals: int
    """Decimals of the answer, halves away from zero."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """The row with the n-th highest (or lowest) value of a column, or that value."""

    rows: Rows
    column: int
    highest: bool
    want: Literal["key", "value"]
    nth: int = 1
    """Counted from 1; ties make the question void."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Place of one row when rows are ordered by a column, counted from 1."""

    table: str
    row: int
    column: int
    highest_first: bool


@dataclass(frozen=True, slots=True)
class Lookup:
    """Cell of the row whose key equals a computed text."""

    table: str
    key: Expression
    column: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of rows, in printed order."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Exists:
    """Yes if there is such a row, else no."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Difference:
    """Absolute difference of two numbers; days between two dates."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Total:
    """Sum of two numbers."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Ratio:
    """Left divided by right."""

    left: Expression
    right: Expression
    decimals: int


@dataclass(frozen=True, slots=True)
class PercentChange:
    """Change from left to right, in percent of left."""

    left: Expression
    right: Expression
    decimals: int


@dataclass(frozen=True, slots=True)
class Compare:
    """Which of two named values is greater (or less; for dates, later or earlier)."""

    left: Read
    right: Read
    left_name: str
    right_name: str
    greater: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether a series only rises, only falls, or does neither: rising, falling, mixed."""

    table: str
    column: int


@dataclass(frozen=True, slots=True)
class PageOf:
    """Number of the page that an element is printed on, counted from 1."""

    element: str


@dataclass(frozen=True, slots=True)
class Equal:
    """Whether two elements print the same: yes or no."""

    left: Read
    right: Read


@dataclass(frozen=True, slots=True)
class Before:
    """Which of two named elements stands on the earlier (or later) page."""

    left: str
    right: str
    left_name: str
    right_name: str
    earlier: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Key of the one row in which two tables of the same rows print different values."""

    left: str
    right: str
    column: int


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing is printed that answers: the texts named are on no page."""

    texts: tuple[str, ...]


Expression = (
    Read | Count | Sum | Mean | Extreme | Rank | Lookup | Keys | Exists | Difference | Total | Ratio
    | PercentChange | Compare | Trend | PageOf | Equal | Before | Disagreement | Absent
)  # fmt: skip
_NODES: dict[str, Callable[..., Any]] = {
    cls.__name__.lower(): cls
    for cls in (
        Read, Where, Rows, Count, Sum, Mean, Extreme, Rank, Lookup, Keys, Exists, Difference, Total,
        Ratio, PercentChange, Compare, Trend, PageOf, Equal, Before, Disagreement, Absent,
    )
}  # fmt: skip


def to_json(node: Any) -> dict[str, Any]:
    """An expression as plain JSON: `{"op": ..., field: ...}`."""
    record: dict[str, Any] = {"op": type(node).__name__.lower()}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, tuple):
            record[field.name] = [to_json(v) if not isinstance(v, str) else v for v in value]
        elif is_dataclass(value):
            record[field.name] = to_json(value)
        else:
            record[field.name] = value
    return record


def from_json(record: Mapping[str, Any]) -> Any:
    """The expression that a JSON record holds.

    Raises:
        DataError: If an operator or one of its fields is unknown or missing.
    """
    values = dict(record)
    name = values.pop("op", None)
    if name not in _NODES:
        raise DataError(f"program operator {name!r} is unknown; known are {', '.join(_NODES)}")
    parsed = {
        key: from_json(value)
        if isinstance(value, Mapping)
        else tuple(from_json(v) if isinstance(v, Mapping) else v for v in value)
        if isinstance(value, list)
        else value
        for key, value in values.items()
    }
    try:
        return _NODES[name](**parsed)
    except TypeError as error:
        raise DataError(f"program operator {name!r} has wrong fields: {error}") from error
