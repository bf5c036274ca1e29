"""Scorers of table questions: TAT-QA, TabMWP, WikiTableQuestions. Knows nothing of tasks."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leopard.evaluation.metrics.bags import as_spans, span_scores

_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "percent": 0.01,
}
_NOT_IN_NUMBERS = "'\"\\$€£¥%(),[]"
_ARTICLES = re.compile(r"\b(a|an|the)\b")


# --- TAT-QA (Zhu et al. 2021, official metric) ---


def scale_value(text: str) -> float:
    """Number that a scale word in the text stands for; 1 when there is none."""
    text = text.lower()
    return next((value for word, value in _SCALES.items() if word in text), 1)


def _clean_number(text: str) -> str:
    return "".join(char for char in text if char not in _NOT_IN_NUMBERS)


def _is_number(text: str) -> bool:
    """Whether a text is a number, with a scale word after it at most."""
    words = " ".join(_clean_number(word) for word in text.split()).split()
    try:
        is_number = bool(words) and not math.isnan(float(words[0]))
    except ValueError:
        return False
    return is_number and (len(words) < 2 or scale_value(words[1]) != 1)


def _to_number(text: str) -> float | None:
    """First number in the text times its scale word, sign in brackets and percent sign."""
    found = re.search(r"([+-]?\d+(\.\d+)?)|([+-]?\.\d+)", _clean_number(text))
    if not found or not found[1]:
        return None
    number = float(found[1]) if "." in found[1] else int(found[1])
    scaled = re.search(r"[\d.]+\s?[a-zA-Z]+", text)
    scale = scale_value(scaled.group()) if scaled else 1
    sign = -1 if re.search(r"\([\d.\s%]+\)", text.strip()) else 1
    percent = 0.01 if re.search(r"[\d.\s]+%", text.strip()) else 1
    return round(number * scale * sign * percent, 4)


def _normalize_token(token: str) -> str:
    token = token.lower()
    if not _is_number(token):
        token = "".join(char for char in token if char not in string.punctuation)
    if _is_number(token):
        token = str(_to_number(token))
    return " ".join(_ARTICLES.sub(" ", token).split())


def _normalize(text: str) -> str:
    parts = (_normalize_token(token) for token in text.split(" "))
    return " ".join(part for part in parts if part)


def _scaled_text(answer: Any, scale: str) -> str:
    text = str(answer)
    number = _to_number(text) if _is_number(text) else None
    if number is None:
        return f"{text} {scale}" if scale else text
    if "%" in text:
        return f"{number:.4f}"
    return f"{round(number, 2) * scale_value(scale):.4f}"


def _answer_text(answers: Sequence[Any], scale: str) -> str:
    return " ".join(_scaled_text(answer, scale) for answer in sorted(answers, key=str))


def _gold_answers(ground_truth: Mapping[str, Any]) -> list[Any]:
    answer = ground_truth["answer"]
    kind = ground_truth["answer_type"]
    if kind in ("span", "multi-span"):
        return list(answer) if isinstance(answer, (list, tuple)) else [answer]
    return [str(int(float(answer)))] if kind == "count" else [str(answer)]


def tatqa_em_f1(
    ground_truth: Mapping[str, Any], prediction: Any, pred_scale: str = ""
) -> dict[str, float]:
    """Exact match and F1 of one TAT-QA answer.

    Args:
        ground_truth: `answer_type`, `answer` and `scale` as in the data set.
        prediction: One text or a list of spans; empty scores 0.
        pred_scale: "", thousand, million, billion or percent.
    """
    golds = _gold_answers(ground_truth)
    preds = as_spans(prediction) if prediction not in (None, "") else []
    if not preds or not golds:
        return {"em": 0.0, "f1": 0.0}
    texts = [_answer_text(preds, pred_scale)]
    bare = preds[0]
    if len(preds) == 1 and not pred_scale and "%" not in bare and _is_number(bare):
        # 0.2342 answers 23.42 percent as well: the number as it stands.
        number = _to_number(bare)
        texts += [] if number is None else [f"{number:.4f}"]
    gold = [_normalize(_answer_text(golds, ground_truth["scale"]))]
    exact, f1 = max(span_scores([_normalize(text)], gold) for text in texts)
    if ground_truth["answer_type"] in ("arithmetic", "count"):
        f1 = exact
    return {"em": exact, "f1": f1}


# --- TabMWP (Lu et al. 2023, official extraction) ---

_CHOICE_PATTERNS = (
    r"^\(([A-Za-z])\)$",
    r"^([A-Za-z])$",
    r"^([A-Za-z]). ",
    r"[Th]he answer is ([A-Z])",
    r"^\(([A-Za-z])\) [\s\S]+$",
    r"[Th]he answer is \(([A-Za-z])\) [\s\S]+$",
)
_FREE_PATTERNS = (
    r"[Th]he answer is ([\s\S]+)$",
    r"[Th]he table shows that ([\d\$\.\,\/\:]+) ",
    r" = ([\d\$\.\,\/\:]+)",
    r"(?<= be| is) ([\-\d\$\.\,\/\:]{0,}[\d]+)",
    r"(?<= are| was) ([\-\d\$\.\,\/\:]{0,}[\d]+)",
    r"(?<= were) ([\-\d\$\.\,\/\:]{0,}[\d]+)",
    r" ([\d\$\.\,\/\:]+ [AP]\.M\.)",
    r"([\-\d\$\.\,\/\:]{0,}[\d]+)",
)
_TABMWP_LETTERS = "ABCDEF"


def _tidy_output(output: str) -> str:
    output = re.sub(r"\$?\\frac\{([\d\.\,\-]+)\}\{([\d\.\,]+)\}\$?", r"\1/\2", output)
    output = re.sub(r"(?<![AP]\.M)\.$", "", output)
    output = re.sub(r"(?<=\d)[\=](?=[\-\$\d])", " = ", output)
    return output.replace("\u2212", "-")


def _word_overlap(option: str, output: str) -> float:
    if option == output:
        return 2.0
    if " " not in option and " " not in output:
        return 0.0
    first, second = option.split(" "), output.split(" ")
    return len(set(first) & set(second)) / max(len(first), len(second))


def tabmwp_extract(output: str, options: Sequence[str] | None) -> str:
    """The answer in a TabMWP output: an option by letter or likeness, or the first number form.

    A letter that has no option gives "" (the published code draws an option at random).
    """
    output = _tidy_output(output)
    if options:
        return _option_in(output, options)
    for pattern in _FREE_PATTERNS:
        found = re.findall(pattern, output)
        if found:
            answer = str(found[-1]).strip()
            return answer[:-1] if answer.endswith(".") and ".M." not in answer else answer
    return output


def _option_in(output: str, options: Sequence[str]) -> str:
    for pattern in _CHOICE_PATTERNS:
        found = re.findall(pattern, output)
        letter = found[0].upper() if found else ""
        if letter and letter in _TABMWP_LETTERS:
            index = _TABMWP_LETTERS.index(letter)
            return options[index] if index < len(options) else ""
    return max(options, key=lambda option: _word_overlap(option, output))


# --- WikiTableQuestions (Pasupat and Liang 2015, official evaluator) ---


@dataclass(frozen=True, slots=True)
class _Value:
    """A denotation: normalised text, and the number or date it stands for."""

    text: str
    number: float | None = None
    date: tuple[int, int, int] | None = None

    @property
    def identity(self) -> tuple[str, object]:
        if self.number is not None:
            return "number", self.number
        return ("date", self.date) if self.date else ("text", self.text)

    def matches(self, other: _Value) -> bool:
        if self.text == other.text:
            return True
        if self.number is not None and other.number is not None:
            return abs(self.number - other.number) < 1e-6
        return self.date is not None and self.date == other.date


def wtq_normalize(text: str) -> str:
    """Text without diacritics, citations, trailing brackets, outer quotes and final period."""
    text = "".join(
        char for char in unicodedata.normalize("NFKD", text) if unicodedata.category(char) != "Mn"
    )
    text = re.sub("[\u2018\u2019\u00b4`]", "'", text)
    text = re.sub("[\u201c\u201d]", '"', text)
    text = re.sub("[\u2010\u2011\u2012\u2013\u2014\u2212]", "-", text)
    while True:
        before = text
        text = re.sub(r"((?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$", "", text.strip())
        text = re.sub(r"(?<!^)( \([^)]*\))*$", "", text.strip())
        text = re.sub(r'^"([^"]*)"$', r"\1", text.strip())
        if text == before:
            break
    text = text.removesuffix(".")
    return re.sub(r"\s+", " ", text).lower().strip()


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if math.isnan(number) or math.isinf(number):
        return None
    return int(number) if abs(number - round(number)) < 1e-6 else number


def _parse_date(text: str) -> tuple[int, int, int] | None:
    parts = text.lower().split("-")
    if len(parts) != 3:
        return None
    try:
        year = -1 if parts[0] in ("xx", "xxxx") else int(parts[0])
        month, day = (-1 if part == "xx" else int(part) for part in parts[1:])
    except ValueError:
        return None
    if year == month == day == -1:
        return None
    valid = (month == -1 or 1 <= month <= 12) and (day == -1 or 1 <= day <= 31)
    return (year, month, day) if valid else None


def _value(original: str, canonical: str | None) -> _Value:
    source, text = canonical or original, wtq_normalize(original)
    number = _parse_number(source)
    if number is not None:
        return _Value(text or str(number), number=number)
    date = _parse_date(source)
    if date and date[1] == date[2] == -1:
        return _Value(text, number=date[0])
    return _Value(text, date=date)


def _values(originals: Sequence[str], canon: Sequence[str | None] | None) -> list[_Value]:
    pairs = zip(originals, canon or [None] * len(originals), strict=True)
    return list({value.identity: value for value in (_value(*pair) for pair in pairs)}.values())


def wtq_denotation(
    target: Sequence[str], canon: Sequence[str | None] | None, pred: Sequence[str]
) -> bool:
    """Whether two sets of values are the same denotation.

    Args:
        target: Gold values.
        canon: Their canonical forms ("2004.0", "xx-06-05"), or None.
        pred: Predicted values.
    """
    golds, preds = _values(target, canon), _values(pred, None)
    return len(golds) == len(preds) and all(
        any(gold.matches(value) for value in preds) for gold in golds
    )
