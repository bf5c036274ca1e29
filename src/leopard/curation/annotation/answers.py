"""Checks on what a model wrote: same answer, same numbers, numbers that come from somewhere.

Knows nothing of models.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation

_NUMBER = re.compile(r"(?<![\w.,'])-?\d(?:[\d.,']*\d)?")
_SPELT = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
_OPERATORS = {"+": "+", "-": "-", "\u2212": "-", "\u2013": "-", "*": "*", "x": "*", "\u00d7": "*",
              "/": "/", "\u00f7": "/"}  # fmt: skip
_CALCULATE: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: Decimal.__add__, ast.Sub: Decimal.__sub__,
    ast.Mult: Decimal.__mul__, ast.Div: Decimal.__truediv__,
}  # fmt: skip
_OPERAND = r"\(?[$€£¥]?\s?-?\d(?:[\d.,']*\d)?\s?%?\)?"
_EQUATION = re.compile(
    rf"({_OPERAND}(?:\s*[+\-\u2212\u2013*x\u00d7/\u00f7]\s*{_OPERAND})+)\s*(=|≈)\s*({_OPERAND})"
)
COUNTING = 20
"""Whole numbers up to this may come from counting, or number a page or a step."""


def numbers(text: str, decimal: str = ".") -> Counter[Decimal]:
    """Numbers written in digits, with thousands separators taken out.

    Args:
        text: Any text.
        decimal: The decimal separator; the other one of `.` and `,` parts thousands.
    """
    found = (number(hit[0], decimal) for hit in _NUMBER.finditer(text))
    return Counter(value for value in found if value is not None)


def number(text: str, decimal: str = ".") -> Decimal | None:
    """The number that a text of digits and separators writes, or None."""
    thousands = "," if decimal == "." else "."
    plain = text.replace(thousands, "").replace("'", "").replace(decimal, ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def same_answer(given: str, wanted: Iterable[str], decimal: str = ".") -> bool:
    """Whether an answer says the same as one of those that are right.

    Case, blanks, a full stop, currency and unit signs play no part; numbers are compared exactly;
    lists in any order.
    """
    return any(_same(given, right, decimal) for right in wanted)


def _same(given: str, right: str, decimal: str) -> bool:
    if _plain(given) == _plain(right):
        return True
    one, other = _lone_number(given, decimal), _lone_number(right, decimal)
    if one is not None or other is not None:
        return one == other
    parts = [Counter(_plain(part) for part in re.split(r"[,;]", text)) for text in (given, right)]
    return len(parts[1]) > 1 and parts[0] == parts[1]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .\"'")


def _lone_number(text: str, decimal: str) -> Decimal | None:
    """The value of a text that is one number, perhaps with a sign, a currency or percent."""
    bare = _plain(text).strip("$€£¥% ")
    bare = re.sub(r"^(?:usd|eur|gbp|cad|aud)\s*|\s*(?:usd|eur|gbp|cad|aud)$", "", bare)
    sign = -1 if re.match(r"\s*-\s*[$€£¥]", text) else 1
    bare = bare.removeprefix("-").lstrip("$€£¥ ") if sign < 0 else bare
    if not re.fullmatch(r"-?\d(?:[\d.,']*\d)?", bare):
        return Decimal(_SPELT[bare]) if bare in _SPELT else None
    value = number(bare, decimal)
    return None if value is None else sign * value


def lost_or_new_numbers(old: str, new: str) -> bool:
    """Whether two wordings of a question differ in their numbers."""
    # The same separators on both sides: which of them parts thousands does not matter here.
    return numbers(old) != numbers(new)


def wrong_equation(text: str, decimal: str = ".") -> str:
    """The first calculation in a text that does not come out; empty if all do."""
    for hit in _EQUATION.finditer(text):
        result = number(_digits(hit[3]), decimal)
        value = _calculated(hit[1], decimal)
        if result is None or value is None:
            continue
        # Printed results are rounded: half a unit of the last digit is allowed.
        slack = Decimal(1).scaleb(int(result.as_tuple().exponent)) / 2
        if "%" in hit[3] and "%" not in hit[1]:
            value *= 100
        if abs(value - result) > slack:
            return hit[0]
    return ""


def ungrounded(text: str, sources: Iterable[str], decimal: str = ".") -> str:
    """A number in a text that no source shows and no calculation in it yields; empty if none.

    Calculations must come out, see `wrong_equation`.
    """
    known = Counter[Decimal]()
    for source in sources:
        known |= numbers(source, decimal)
    known |= Counter(
        value for hit in _EQUATION.finditer(text)
        if (value := number(_digits(hit[3]), decimal)) is not None
    )  # fmt: skip
    magnitudes = {abs(value) for value in known}
    for value in numbers(text, decimal):
        counted = value == value.to_integral_value() and abs(value) <= COUNTING
        if abs(value) not in magnitudes and not counted:
            return str(value)
    return ""


def _digits(operand: str) -> str:
    return operand.strip("()").strip("$€£¥% ").strip("()")


def _calculated(text: str, decimal: str) -> Decimal | None:
    """Value of a calculation of numbers; None if it is none, or divides by zero."""
    plain = text.replace("," if decimal == "." else ".", "").replace(decimal, ".")
    plain = re.sub(r"[\s$€£¥%']", "", plain)
    for sign, operator in _OPERATORS.items():
        plain = plain.replace(sign, operator)
    plain = re.sub(r"(?<![\d.])0+(?=\d)", "", plain)  # Python reads no 007
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ArithmeticError, ValueError):
        return None


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Decimal(str(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _CALCULATE:
            return _CALCULATE[type(operator)](_value(left), _value(right))
    raise ValueError("no calculation")
