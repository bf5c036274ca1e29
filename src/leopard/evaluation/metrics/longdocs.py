"""Scorers of MMLongBench-Doc and LongDocURL: a rule for each answer format.

Lists are read as literals with a length cap, never evaluated. Knows nothing of tasks.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leopard.evaluation.metrics.distance import similarity

THRESHOLD = 0.5
"""A similarity must be *above* this to score (both benchmarks)."""
LONGEST_LITERAL = 10_000
"""Longest text, in characters, that is read as a list."""
NOT_ANSWERABLE = "Not answerable"
_UNITS = [
    "kg",
    "mm",
    "m",
    "meters",
    "acres",
    "minutes",
    "mile",
    "miles",
    "million",
    "thousand",
    "billion",
]
_EXACT_PATTERNS = (
    r"\b\d+(-\d+|\s\d+)?\b",
    r"\b\d{4}[-\s]\d{2}[-\s]\d{2}\b",
    r"\b\d{4}[-\s]\d{2}\b",
    r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}",
)


def _above_threshold(gold: str, pred: str) -> float:
    score = similarity(gold, pred)
    return score if score > THRESHOLD else 0.0


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _asks_exact_match(text: str) -> bool:
    """Addresses, file names, pages, telephone numbers, times, dates and e-mails."""
    return (
        "https://" in text
        or text.endswith((".py", "ipynb"))
        or text.startswith("page")
        or "a.m." in text
        or "p.m." in text
        or any(re.fullmatch(pattern, text) for pattern in _EXACT_PATTERNS)
    )


def _bare(text: str, currencies: str) -> str:
    text = re.sub(r"\s*\([^)]*\)", "", text).strip()
    text = re.sub(r"^['\"]|['\"]$", "", text).strip()
    for sign in currencies:
        text = text.lstrip(sign).strip()
    return text.rstrip("%").strip()


def _clean_mmlongbench(value: Any) -> str:
    return _bare(str(value).lower().strip(), "$")


def _clean_longdocurl(value: Any) -> str:
    text = str(value).lower().strip().replace(",", "")
    for unit in _UNITS:
        if text.endswith(unit):
            # Strips characters, not the word ("gramm" -> "gra"), as published.
            text = text.rstrip(unit).strip()
    return _bare(text, "$£")


def _decimals(value: float) -> int:
    text = str(value)
    return len(text.split(".")[-1]) if "." in text else 3


def _floats_agree(gold: float, pred: float) -> bool:
    """Within 1 % of the gold, a hundredth or a hundredfold of it, or equal when rounded."""
    for candidate in (gold / 100, gold, gold * 100):
        if math.isclose(candidate, pred, rel_tol=0.01):
            return True
        digits = max(min(_decimals(pred), _decimals(candidate)), 2)
        if round(pred, digits) == round(candidate, digits):
            return True
    return False


def _text_score(gold: str, pred: str) -> float:
    return float(gold == pred) if _asks_exact_match(gold) else _above_threshold(gold, pred)


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("[") and len(value) <= LONGEST_LITERAL:
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [value]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _as_int(value: Any, through_float: bool) -> int | None:
    try:
        return int(float(value)) if through_float else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _float_score(
    gt: Any, pred: Any, clean: Callable[[Any], str], gold_must_be_number: bool
) -> float:
    gold, text = clean(gt), clean(pred)
    if not _is_float(gold):
        # One published script stops here, the other scores 0.
        return _text_score(gold, text) if gold_must_be_number else 0.0
    return float(_is_float(text) and _floats_agree(float(gold), float(text)))


def mmlongbench_score(gt: Any, pred: Any, answer_type: str) -> float:
    """Score of one short answer of MMLongBench-Doc, 0 to 1.

    Args:
        gt: Gold answer.
        pred: Short answer extracted from the response.
        answer_type: `Int` (prediction cut to an integer), `Float` (1 %), `Str` and `None`
            (similarity above 0.5, or equality where only that makes sense), anything else is a
            list: same length, sorted, least similarity.

    Where the published script stops with an error we define: a `Float` gold that is not a number
    is compared as text; two empty lists are equal.
    """
    if answer_type == "Int":
        gold = _as_int(gt, False)
        return float(gold is not None and gold == _as_int(pred, True))
    if answer_type == "Float":
        return _float_score(gt, pred, _clean_mmlongbench, True)
    if answer_type in ("Str", "None"):
        return _text_score(_clean_mmlongbench(gt), _clean_mmlongbench(pred))
    golds = sorted(_clean_mmlongbench(item) for item in _as_list(gt))
    preds = sorted(_clean_mmlongbench(item) for item in _as_list(pred))
    if len(golds) != len(preds):
        return 0.0
    if golds and (_is_float(golds[0]) or _asks_exact_match(golds[0])):
        return float("-".join(golds) == "-".join(preds))
    pairs = zip(golds, preds, strict=True)
    return min((_above_threshold(gold, text) for gold, text in pairs), default=1.0)


def mmlongbench_acc_f1(samples: Sequence[Mapping[str, Any]]) -> list[float]:
    """Accuracy and F1 over samples with `answer`, `pred` and `score`.

    Recall is over the answerable questions, precision over the answered ones.

    Returns:
        `[accuracy, f1]`; samples without a score are not counted.
    """
    scored = [sample for sample in samples if "score" in sample]
    if not scored:
        return [0.0, 0.0]
    accuracy = sum(sample["score"] for sample in scored) / len(scored)
    answerable = [sample for sample in scored if sample["answer"] != NOT_ANSWERABLE]
    answered = [sample for sample in scored if sample["pred"] != NOT_ANSWERABLE]
    points = sum(sample["score"] for sample in answerable)
    if not answerable or not answered or not points:
        return [accuracy, 0.0]
    recall, precision = points / len(answerable), points / len(answered)
    return [accuracy, 2 * recall * precision / (recall + precision)]


def longdocurl_score(gt: Any, pred: Any, answer_type: str) -> float:
    """Score of one short answer of LongDocURL, 0 to 1.

    As `mmlongbench_score`, but commas and units are removed first, integers are not cut, and a
    list scores the mean of the best similarities times `min(1, |gold| / |pred|) ** 0.5`. Two
    empty lists are equal (the published script stops there).
    """
    if answer_type == "Integer":
        wanted, got = _clean_longdocurl(gt), _as_int(_clean_longdocurl(pred), False)
        gold = _as_int(wanted, False)
        return float(gold == got) if gold is not None else float(got is None and not wanted)
    if answer_type == "Float":
        return _float_score(gt, pred, _clean_longdocurl, False)
    if answer_type in ("String", "None"):
        return _text_score(_clean_longdocurl(gt), _clean_longdocurl(pred))
    return _longdocurl_list(_as_list(gt), _as_list(pred) or [""])


def _longdocurl_list(golds: Sequence[Any], preds: Sequence[Any]) -> float:
    if not golds:
        return float(preds == [""])
    wanted, got = ([_clean_longdocurl(_joined(v)) for v in values] for values in (golds, preds))
    if _is_float(wanted[0]) or _asks_exact_match(wanted[0]):
        return float("-".join(wanted) == "-".join(got))
    best = [max(_above_threshold(gold, text) for text in got) for gold in wanted]
    return sum(best) / len(wanted) * math.sqrt(min(1.0, len(wanted) / len(got)))


def _joined(value: Any) -> Any:
    return "-".join(str(part) for part in value.values()) if isinstance(value, Mapping) else value
