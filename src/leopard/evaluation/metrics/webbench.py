"""Scorers of VisualWebBench, official and as in the published Leopard runner.

Official scores are percentages over a list of predictions. Knows nothing of tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from leopard.evaluation.metrics.rouge import rouge_l, rouge_n

_LETTERS = "ABCDEFGH"
UNPARSED = "z"
"""What the official parser answers when it finds no letter."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _rouge_scores(preds: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
    pairs = list(zip(preds, golds, strict=True))
    scorers: dict[str, Callable[[str, str], float]] = {
        "rouge_1": lambda pred, gold: rouge_n(pred, gold, 1),
        "rouge_2": lambda pred, gold: rouge_n(pred, gold, 2),
        "rouge_l": rouge_l,
    }
    return {
        name: 100 * _mean([scorer(pred, gold) for pred, gold in pairs])
        for name, scorer in scorers.items()
    }


def vwb_caption(preds: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L of captions and headings, case-sensitive, 0 to 100."""
    return _rouge_scores([pred or " " for pred in preds], golds)


def vwb_element_ocr(preds: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
    """ROUGE of recognised text; a prediction of one character counts as empty."""
    return _rouge_scores([pred if len(pred) > 1 else " " for pred in preds], golds)


def vwb_webqa(preds: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, float]:
    """Best ROUGE-1 over the gold answers, 0 to 100.

    A prediction without any word between its periods is left out of the mean, as the published
    code does; our runs score one sample at a time, where it counts 0.
    """
    scores = [
        max(rouge_n(pred or " ", gold, 1) for gold in answers)
        for pred, answers in zip(preds, golds, strict=True)
        if answers and (pred or " ").replace(".", "") and all(a.replace(".", "") for a in answers)
    ]
    return {"f1": 100 * _mean(scores)}


def vwb_parse_choice(response: str) -> str:
    """The letter that the official parser reads; "z" when there is none, "a" for no text."""
    if not response:
        return "a"
    if len(response) == 1:
        return response.upper()
    if re.match(r"[A-Z]\.", response):
        return response[0]
    for sign in ",.!?;:'\"":
        response = response.replace(sign, "")
    response = f" {response} "
    for pattern in ("({})", " {} "):
        places = {letter: response.rfind(pattern.format(letter)) for letter in _LETTERS}
        if max(places.values()) >= 0:
            return max(_LETTERS, key=places.__getitem__)
    return UNPARSED


def vwb_choice(preds: Sequence[str], golds: Sequence[int]) -> dict[str, float]:
    """Accuracy of letters against option indices, 0 to 100; unparsed is wrong."""
    hits = [
        _choice_index(vwb_parse_choice(pred)) == gold
        for pred, gold in zip(preds, golds, strict=True)
    ]
    return {"accuracy": 100 * _mean([float(hit) for hit in hits])}


def _choice_index(letter: str) -> int:
    # upper() of one character can give two ("ß"): no letter.
    return ord(letter) - ord("A") if len(letter) == 1 and "A" <= letter <= "Z" else -1


def leopard_rouge_caption(gold: str, response: str) -> float:
    """ROUGE-L of lower-cased texts, 0 to 1; an empty response scores 0."""
    return rouge_l(response.lower(), gold.lower())


def leopard_webqa(golds: Sequence[str], response: str) -> float:
    """Best ROUGE-1 of lower-cased texts, 0 to 1; an empty response scores 0."""
    return max((rouge_n(response.lower(), gold.lower(), 1) for gold in golds), default=0.0)
