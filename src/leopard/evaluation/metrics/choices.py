"""Scorers of MathVista, ScienceQA and MIRB. Knows nothing of tasks or prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from leopard.evaluation.metrics.distance import levenshtein

_COUNTS = {
    "count",
    "visual_chain",
    "3d_scene",
    "3d_scene_concat",
    "count_concat",
    "image_needles_concat",
}
_EXACT = _COUNTS | {
    "codeu",
    "food",
    "image_jigsaw",
    "arxiv",
    "plot_code",
    "plot_text",
    "arxiv_text",
    "codeu_text",
}
_CARDINALS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
]
_NUMBER_WORDS = {word: str(i) for i, word in enumerate(_CARDINALS)} | {
    word: str(i) for i, word in enumerate(_ORDINALS, start=1)
}
FAILED = "FAILED"


def mathvista(
    extraction: Any,
    choices: Sequence[str] | None,
    question_type: str,
    answer_type: str,
    precision: float | None,
    answer: str,
) -> dict[str, Any]:
    """Normalise an extracted answer and compare it, as MathVista does.

    Multiple choice: "(X)" or a bare capital letter, else the choice nearest in edit distance (the
    first of equals). Integers are cut, floats rounded to `precision` and compared as text.

    Returns:
        `normalized` (text or None) and `correct`.
    """
    if question_type == "multi_choice":
        normalized: Any = _nearest_choice(extraction, choices or [])
    elif answer_type in ("integer", "float"):
        normalized = _number_text(extraction, answer_type, precision)
    else:
        normalized = str(extraction) if answer_type == "list" else extraction
    return {"normalized": normalized, "correct": normalized == answer}


def _nearest_choice(extraction: Any, choices: Sequence[str]) -> str | None:
    text = extraction.strip() if isinstance(extraction, str) else str(extraction)
    letters = re.findall(r"\(([a-zA-Z])\)", text)
    if letters:
        text = letters[0].upper()
    index = ord(text) - ord("A") if len(text) == 1 else -1
    if 0 <= index < len(choices):
        return choices[index]
    return min(choices, key=lambda choice: levenshtein(text, choice), default=None)


def _number_text(extraction: Any, answer_type: str, precision: float | None) -> str | None:
    try:
        number = float(extraction)
        if answer_type == "integer":
            return str(int(number))
        return str(round(number, None if precision is None else int(precision)))
    except (TypeError, ValueError, OverflowError):
        return None


def scienceqa_llava(text: str, n_choices: int) -> dict[str, Any]:
    """Letter and index of a ScienceQA answer by LLaVA's rule; `index` -1 is wrong.

    A lone letter A to E, "X. ...", or exactly one "The answer is X."; anything else is "FAILED".
    """
    letter = FAILED
    if re.fullmatch(r"[A-E]", text) or re.match(r"[A-E]\. ", text):
        letter = text[0]
    else:
        found = re.findall(r"The answer is ([A-Z]).", text)
        if len(found) == 1:
            letter = found[0]
    index = ord(letter) - ord("A") if letter != FAILED else -1
    return {"answer": letter, "index": index if index < min(n_choices, 5) else -1}


def _first_sentence(prediction: str) -> str:
    text = prediction.strip()
    end = text.find("\n")
    if end <= 0:
        end = text.find(".")
    return text[:end] if end > 0 else text


def _count_in(text: str) -> str:
    number = re.search(r"\d+", text)
    return number.group() if number else _NUMBER_WORDS.get(text.lower(), "")


def mirb(dataset: str, prediction: Any, answers: Any) -> float:
    """Score of one MIRB answer, 0.0 or 1.0.

    Only the first line counts, or else the first sentence. Counting subsets take the first number
    or one number word, `analogy` and `attribute` ask whether "yes" occurs, `sightseeing` whether
    the gold occurs. An unknown subset scores 0.
    """
    text = _first_sentence(str(prediction))
    gold = str(answers).lower()
    if dataset in _EXACT:
        got = _count_in(text) if dataset in _COUNTS else text
        return float(got.lower() == gold)
    says_yes = "yes" in text.lower()
    if dataset in ("analogy", "attribute") or (dataset == "sightseeing" and gold in ("yes", "no")):
        return float(gold in ("yes", "no") and says_yes == (gold == "yes"))
    return float(dataset == "sightseeing" and gold in text.lower())
