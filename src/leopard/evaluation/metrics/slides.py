"""Scorers of SlideVQA: answers, evidence slides, and both together. Knows nothing of tasks.

Source: Tanaka et al. 2023 (SlideVQA), section on evaluation; written from the description of the
rules, as the published script may be used for evaluation only.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_REPLACEMENTS = (
    ("this is ", ""),
    ("it is ", ""),
    ("&", ","),
    ("and", ","),
    ("percent", ""),
    ("organisation", "organization"),
    ("because of", ""),
    ("because", ""),
    ("due to", ""),
    ("hours", "hrs"),
    ("minites", "min"),
)
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_ASKED_FOR = re.compile(r"(?:how many|which) (\w+)")


def slidevqa_normalize(text: str, question: str = "") -> str:
    """An answer as SlideVQA compares it.

    Args:
        text: Answer.
        question: Question; the noun after a lower-case "how many" or "which" is no part of the
            answer.
    """
    text = text.lower()
    for old, new in _REPLACEMENTS:
        text = text.replace(old, new)
    for noun in _ASKED_FOR.findall(question):
        text = text.replace(noun.lower(), "")
    text = "".join(char for char in text if char not in string.punctuation)
    words = _ARTICLES.sub(" ", text).split()
    # A prefix test, so "not" and "nothing" end an answer too, and so does "north".
    if words and words[0].startswith(("yes", "no")):
        words = words[:1]
    return " ".join(_NUMBER_WORDS.get(word, word) for word in words)


def _precision_recall(pred: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    overlap = sum((Counter(pred) & Counter(gold)).values())
    return (overlap / len(pred), overlap / len(gold)) if overlap else (0.0, 0.0)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def slidevqa_qa(gold: str, pred: str, question: str = "") -> dict[str, float]:
    """Exact match and F1 over words of one answer; no word in common (or none at all) is F1 0.

    Args:
        gold: The gold answer.
        pred: The predicted answer.
        question: Its question, for the normalisation.
    """
    wanted = slidevqa_normalize(gold, question).split()
    got = slidevqa_normalize(pred, question).split()
    return {"em": float(got == wanted), "f1": _f1(*_precision_recall(got, wanted))}


def slidevqa_evidence(gold: Sequence[int], pred: Sequence[int]) -> dict[str, float]:
    """Exact match (in order) and F1 of evidence slide numbers."""
    wanted, got = [str(page) for page in gold], [str(page) for page in pred]
    return {"em": float(got == wanted), "f1": _f1(*_precision_recall(got, wanted))}


def slidevqa_joint(
    answer: tuple[str, str], evidence: tuple[Sequence[int], Sequence[int]], question: str = ""
) -> dict[str, float]:
    """Answer and evidence together: products of exact matches, precisions and recalls.

    Args:
        answer: Gold and predicted answer.
        evidence: Gold and predicted slide numbers.
        question: The question, for the normalisation.
    """
    wanted, got = (slidevqa_normalize(text, question).split() for text in answer)
    pages = [[str(page) for page in side] for side in evidence]
    precision, recall = _precision_recall(got, wanted)
    page_precision, page_recall = _precision_recall(pages[1], pages[0])
    exact = got == wanted and pages[0] == pages[1]
    return {"em": float(exact), "f1": _f1(precision * page_precision, recall * page_recall)}
