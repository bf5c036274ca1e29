"""Exact match and F1 over bags of words with best matching of spans (DROP).

Source: Dua et al. 2019, section 5; the normalisation is the caller's. Knows nothing of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from leopard.evaluation.metrics.distance import best_assignment

PairF1 = Callable[[set[str], set[str]], float]


def as_spans(answer: object) -> list[str]:
    """One text for each span of an answer that is a single value or a list."""
    if isinstance(answer, (list, tuple)):
        return [str(item) for item in answer]
    return [str(answer)]


def set_f1(pred: set[str], gold: set[str]) -> float:
    """F1 of two sets of words; an empty set has precision (or recall) 1."""
    overlap = len(pred & gold)
    precision = overlap / len(pred) if pred else 1.0
    recall = overlap / len(gold) if gold else 1.0
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def span_scores(
    predicted: Sequence[str], gold: Sequence[str], *, pair_f1: PairF1 = set_f1
) -> tuple[float, float]:
    """Exact match and F1 of normalised spans, F1 rounded to two decimals.

    Args:
        predicted: Normalised predicted spans.
        gold: Normalised gold spans.
        pair_f1: Score of one pair of word sets, prediction first.
    """
    exact = float(set(predicted) == set(gold) and len(predicted) == len(gold))
    longest = max(len(predicted), len(gold))
    if not longest:
        return exact, exact
    gains = [[pair_f1(set(p.split()), set(g.split())) for p in predicted] for g in gold]
    total = sum(gains[row][column] for row, column in best_assignment(gains))
    # numpy rounds .5 cases as the published scripts do; Python's round does not always.
    return exact, float(np.round(np.float64(total / longest), 2))
