"""Scorers of MultiHiertt: spans, and programs of arithmetic steps. Knows nothing of tasks."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence

from leopard.evaluation.metrics.bags import as_spans, set_f1, span_scores

_NO_VALUE = "n/a"
_OPERATIONS = ("add", "subtract", "multiply", "divide", "exp")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _normalize_token(token: str) -> str:
    token = token.lower()
    if not _is_number(token):
        token = "".join(char for char in token if char not in string.punctuation)
    if _is_number(token):
        token = str(float(token))
    return " ".join(_ARTICLES.sub(" ", token).split())


def normalize_span(text: str) -> str:
    """Lower case, no punctuation or articles, numbers as floats; split at spaces and hyphens."""
    parts = (_normalize_token(token) for token in re.split(" |-", text))
    return " ".join(part for part in parts if part)


def _number_aware_f1(pred: set[str], gold: set[str]) -> float:
    wanted = {word for word in gold if _is_number(word)}
    if wanted and not wanted & pred:
        return 0.0
    return set_f1(pred, gold)


def multihiertt_span(predicted: str | Sequence[str], gold: str | Sequence[str]) -> list[float]:
    """Exact match and F1 of span answers; numbers of the gold must be met (DROP).

    Returns:
        `[exact_match, f1]`, F1 rounded to two decimals.
    """
    got = [normalize_span(text) for text in as_spans(predicted)]
    wanted = [normalize_span(text) for text in as_spans(gold)]
    return list(span_scores(got, wanted, pair_f1=_number_aware_f1))


def str_to_num(text: str) -> float | None:
    """A number without $ , - and % (so the sign is lost, as published), `const_5`, or None."""
    for sign in "$,-%":
        text = text.replace(sign, "")
    if "const_" in text:
        text = text.replace("const_", "")
        text = "-1" if text == "m1" else text
    return float(text) if _is_number(text) else None


def tokenize_program(program: str) -> list[str]:
    """Split `add(1, 2)` into `add(`, `1`, `2`, `)`."""
    tokens = []
    for piece in program.split(","):
        tokens += re.findall(r"\)|[^()]*\(|[^()]+", piece.strip())
    return tokens


def multihiertt_eval_program(program: str) -> list[float | int | str]:
    """Run a program.

    Returns:
        `[invalid, value]`: 0 and the value rounded to five decimals, or 1 and the value of the
        last step that ran ("n/a" when none did).
    """
    tokens = tokenize_program(program)
    if not _has_program_shape(tokens):
        return [1, _NO_VALUE]
    results: list[float] = []
    try:
        for step in _steps(tokens):
            result = _run_step(step, results)
            if result is None:
                return [1, round(results[-1], 5) if results else _NO_VALUE]
            results.append(result)
    except (ArithmeticError, LookupError, ValueError):
        # The published code keeps the last value unrounded when a step fails.
        return [1, results[-1] if results else _NO_VALUE]
    return [0, round(results[-1], 5) if results else _NO_VALUE]


def _has_program_shape(tokens: Sequence[str]) -> bool:
    heads_are_known = all(head.strip("(") in _OPERATIONS for head in tokens[::4])
    return heads_are_known and all(tail == ")" for tail in tokens[3::4])


def _steps(tokens: Sequence[str]) -> list[list[str]]:
    """Tokens of each closed step, without the bracket; an unclosed rest is not run."""
    steps: list[list[str]] = [[]]
    for token in tokens:
        if token == ")":
            steps.append([])
        else:
            steps[-1].append(token)
    return steps[:-1]


def _argument(text: str, results: Sequence[float]) -> float | None:
    if "#" in text:
        step = int(text.replace("#", ""))
        if step < 0:
            raise LookupError(step)
        return results[step]
    number = str_to_num(text)
    if number is None and "const_" in text:
        raise ValueError(text)
    return number


def _run_step(tokens: Sequence[str], results: Sequence[float]) -> float | None:
    """Value of one step, None when an argument is no number; other failures raise."""
    first = _argument(tokens[1], results)
    second = None if first is None else _argument(tokens[2], results)
    if first is None or second is None:
        return None
    value: float | complex = {
        "add": lambda: first + second,
        "subtract": lambda: first - second,
        "multiply": lambda: first * second,
        "divide": lambda: first / second,
        "exp": lambda: first**second,
    }[tokens[0].strip("(")]()
    if isinstance(value, complex):
        raise ArithmeticError("a fractional power of a negative number is no answer")
    return value


def multihiertt_program_match(pred_program: str, gold_program: str) -> list[int]:
    """Execution accuracy of two programs as `[exact_match, f1]`, which are the same number.

    Two programs that cannot be run are equal, as published.
    """
    pred, gold = multihiertt_eval_program(pred_program), multihiertt_eval_program(gold_program)
    equal = int(pred[1] == gold[1])
    return [equal, equal]


def multihiertt_span_vs_program(span_ans: object, prog_ans: object) -> list[float]:
    """`[exact_match, f1]` of a text against a number, within min(0.1 %, 0.1).

    The tolerance takes the smaller of the two values, and the sign of the text is lost, both as
    published. Where either side is not a number the span rule decides.
    """
    span = str_to_num(str(span_ans))
    value = prog_ans if isinstance(prog_ans, (int, float)) else None
    if value is None and _is_number(str(prog_ans)):
        value = float(str(prog_ans))
    if span is None or value is None:
        return multihiertt_span(str(span_ans), str(prog_ans))
    tolerance = min(abs(min(value, span) / 1000), 0.1)
    equal = int(math.isclose(value, span, abs_tol=tolerance))
    return [equal, equal]
