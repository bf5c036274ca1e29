"""ANLS*: the similarity of nested answers (texts, lists, tables of keys, one-of-several).

Source: Peer et al. 2024, "ANLS* - A Universal Document Processing Metric". A tuple in the gold
means "any one of these". Knows nothing of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.metrics.distance import best_assignment, similarity

THRESHOLD = 0.5
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class _Match:
    """Scores of the leaves of one pair, how many leaves count, and the gold that was met."""

    scores: list[float]
    length: int
    chosen: Any

    @property
    def mean(self) -> float:
        return sum(self.scores) / self.length if self.length else 1.0


def anls_star(gt: Any, pred: Any) -> float:
    """ANLS* of a prediction, 0 to 1.

    Args:
        gt: Gold value: text, number, truth value, None, list, mapping, or a tuple of these
            (one of several); `{"__tuple__": [...]}` is a tuple as well, for values read from JSON.
        pred: Predicted value; no tuples.

    Raises:
        EvaluationError: If either holds a value of another type, or a tuple is empty.
    """
    gold = _from_json(gt)
    if isinstance(pred, str) and isinstance(gold, list) and gold:
        # A list of texts against one text is read as "one of several", as the authors do.
        gold = tuple(gold) if all(isinstance(item, str) for item in gold) else gold
    return _match(gold, pred).mean


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"__tuple__"}:
            return tuple(_from_json(item) for item in value["__tuple__"])
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return value


def _is_empty(value: Any) -> bool:
    return any(type(value) is type(empty) and value == empty for empty in _EMPTY)


def _num_leaves(value: Any) -> int:
    if isinstance(value, list):
        return sum(_num_leaves(item) for item in value)
    if isinstance(value, dict):
        return sum(_num_leaves(item) for item in value.values())
    if isinstance(value, tuple):
        return max(_num_leaves(item) for item in value)
    return 1


def _match(gold: Any, pred: Any) -> _Match:
    if isinstance(gold, tuple):
        return _match_any(gold, pred)
    if gold is None:
        empty = _is_empty(pred)
        return _Match([float(empty)], max(1, _num_leaves(pred)), pred if empty else None)
    if isinstance(gold, list) and isinstance(pred, list):
        return _match_lists(gold, pred)
    if isinstance(gold, dict) and isinstance(pred, dict):
        return _match_mappings(gold, pred)
    if isinstance(gold, (str, int, float)) and isinstance(pred, (str, int, float)):
        return _match_leaves(gold, pred)
    for value in (gold, pred):
        if not isinstance(value, (str, int, float, list, dict, type(None))):
            raise EvaluationError(
                f"ANLS* got {value!r}; allowed are text, numbers, truth values, None, lists and "
                "mappings, and tuples of them in the gold only"
            )
    return _Match([0.0], max(_num_leaves(gold), _num_leaves(pred)), gold)


def _match_leaves(gold: object, pred: object) -> _Match:
    first, second = (" ".join(str(value).strip().lower().split()) for value in (gold, pred))
    score = similarity(first, second)
    return _Match([score if score >= THRESHOLD else 0.0], 1, gold)


def _match_any(golds: tuple[Any, ...], pred: Any) -> _Match:
    if not golds:
        raise EvaluationError("ANLS* got an empty tuple; give at least one right answer")
    matches = [_match(gold, pred) for gold in golds]
    return max(matches, key=lambda match: (match.mean, match.chosen == pred))


def _match_lists(golds: list[Any], preds: list[Any]) -> _Match:
    table = [[_match(gold, pred) for pred in preds] for gold in golds]
    # An exact match wins a tie by the smallest possible margin.
    gains = [
        [
            math.nextafter(match.mean, math.inf) if match.chosen == pred else match.mean
            for match, pred in zip(row, preds, strict=True)
        ]
        for row in table
    ]
    pairs = best_assignment(gains)
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    length = sum(table[row][column].length for row, column in pairs)
    length += sum(_num_leaves(gold) for i, gold in enumerate(golds) if i not in rows)
    length += sum(_num_leaves(pred) for i, pred in enumerate(preds) if i not in columns)
    by_column = sorted(pairs, key=lambda pair: pair[1])
    chosen = [table[row][column].chosen for row, column in by_column]
    chosen += [gold for i, gold in enumerate(golds) if i not in rows]
    scores = [score for row, column in pairs for score in table[row][column].scores]
    return _Match(scores, length, chosen)


def _match_mappings(golds: dict[Any, Any], preds: dict[Any, Any]) -> _Match:
    scores: list[float] = []
    length = 0
    chosen = {}
    for key in [*golds, *(key for key in preds if key not in golds)]:
        match = _match(golds.get(key), preds.get(key))
        # A key that only the prediction has counts in the length, but an empty value costs nothing
        # in the scores: it adds a leaf without a score.
        length += match.length
        if key not in golds and _is_empty(preds[key]):
            continue
        scores.extend(match.scores)
        if not (_is_empty(match.chosen) and key not in preds):
            chosen[key] = match.chosen
    return _Match(scores, length, chosen)
