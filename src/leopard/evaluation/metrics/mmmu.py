"""Parsing and scoring of MMMU, and of the published Leopard runner that grew from it.

Where the published code draws a random letter we answer None: unparsed is its own outcome.
Sources: Yue et al. 2024 (MMMU evaluation code); the three variants differ in indicator words and
in the steps of the letter parser. Knows nothing of tasks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Parsed = str | float

_STRIPPED = ",.!?;:'"
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_LEOPARD_INDICATORS = ("answer: ", "Answer: ", *_INDICATORS)
_NOT_AN_ANSWER = (":", ",", ".", "!", "?", ";", "'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
_FEWEST_WORDS = 5
"""Option texts are looked for only in responses of more words than this."""


def _strip_signs(response: str) -> str:
    for sign in _STRIPPED:
        response = response.strip(sign)
    return response


def _last(places: Mapping[str, int]) -> str | None:
    """The letter found furthest right; the first of equals; None when none was found."""
    found = {letter: place for letter, place in places.items() if place >= 0}
    return max(found, key=found.__getitem__) if found else None


def _places(response: str, index2ans: Mapping[str, str], pattern: str) -> dict[str, int]:
    return {letter: response.rfind(pattern.format(letter)) for letter in index2ans}


def _by_content(response: str, index2ans: Mapping[str, str]) -> str | None:
    if len(response.split()) <= _FEWEST_WORDS:
        return None
    lowered = response.lower()
    return _last({letter: lowered.rfind(str(text).lower()) for letter, text in index2ans.items()})


def mmmu_parse_mc(response: str, index2ans: Mapping[str, str]) -> str | None:
    """The letter a response chooses.

    Args:
        response: What the model said.
        index2ans: Option text of each letter.

    Returns:
        "(X)" anywhere, else " X ", else the option text in a response of more than five words; of
        several the last. None when no letter is found.
    """
    response = f" {_strip_signs(response)} "
    for pattern in ("({})", " {} "):
        letter = _last(_places(response, index2ans, pattern))
        if letter is not None:
            return letter
    return _by_content(response, index2ans)


def leopard_idefics2_parse_mc(response: str, index2ans: Mapping[str, str]) -> str | None:
    """The letter parser of the published Idefics2 script: line breaks are spaces, "X." is read."""
    response = f" {_strip_signs(response)} ".replace("\n", " ")
    for pattern in ("({})", " {} "):
        letter = _last(_places(response, index2ans, pattern))
        if letter is not None:
            return letter
    dotted = [letter for letter in index2ans if f"{letter}." in response]
    # With several, the script looks their places up in another form, finds none, takes the first.
    return dotted[0] if dotted else _by_content(response, index2ans)


def _as_number(text: str) -> float | None:
    try:
        return round(float(text.replace(",", "")), 2)
    except ValueError:
        return None


def normalize_str(text: str) -> list[Parsed]:
    """A number rounded to two decimals, or lower-cased text; one letter is padded both ways."""
    text = text.strip()
    number = _as_number(text)
    if number is not None:
        return [number]
    text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def extract_numbers(text: str) -> list[str]:
    """Numbers with thousands commas, then in scientific, then in plain notation."""
    return [match for pattern in _NUMBERS for match in pattern.findall(text)]


def _key_of(piece: str, indicators: Sequence[str]) -> str:
    key = ""
    for indicator in indicators:
        if indicator in piece:
            candidate = piece.split(indicator)[-1].strip()
            if not key or len(candidate) < len(key):
                key = candidate
    return "" if key in _NOT_AN_ANSWER else key


def _key_responses(response: str, indicators: Sequence[str]) -> list[str]:
    response = response.strip().strip(".").lower()
    # The published pattern also splits before capitals, which lower-cased text has none of.
    pieces = response.split("\n")
    keys = []
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        keys.append(_key_of(piece, (*indicators, "=") if last else indicators))
    return [key for key in keys if key] or [response]


def parse_open(response: str, indicators: Sequence[str] = _INDICATORS) -> list[Parsed]:
    """Texts and numbers an open answer may mean, in order of finding, without repeats."""
    keys = _key_responses(response, indicators)
    texts = keys + [number for key in keys for number in extract_numbers(key)]
    return list(dict.fromkeys(value for text in texts for value in normalize_str(text)))


def mmmu_parse_open(response: str) -> set[Parsed]:
    """The set of texts and rounded numbers that MMMU reads from an open answer."""
    return set(parse_open(response))


def leopard_parse_open(response: str) -> set[Parsed]:
    """As `mmmu_parse_open`, with the indicators "answer: " and "Answer: " as well."""
    return set(parse_open(response, _LEOPARD_INDICATORS))


def _golds(gold: Any) -> list[Parsed]:
    texts = gold if isinstance(gold, (list, tuple)) else [gold]
    return [value for text in texts for value in normalize_str(str(text))]


def eval_open(gold: Any, parsed: Sequence[Parsed]) -> bool:
    """Whether a parsed text *contains* a gold text, or a parsed number equals a gold number."""
    golds = _golds(gold)
    texts = [value for value in golds if isinstance(value, str)]
    return any(
        any(text in value for text in texts) if isinstance(value, str) else value in golds
        for value in parsed
    )


def mmmu_open_correct(gold: Any, response: str) -> bool:
    """Whether an open answer is right by the MMMU rule."""
    return eval_open(gold, parse_open(response))


def leopard_open_correct(gold: Any, response: str) -> bool:
    """Whether an open answer is right by the published Leopard rule (containment)."""
    return eval_open(gold, parse_open(response, _LEOPARD_INDICATORS))


def leopard_idefics2_open_correct(gold: Any, response: str) -> bool:
    """As `leopard_open_correct`; with no gold answer, saying that there is none is right."""
    parsed = parse_open(response, _LEOPARD_INDICATORS)
    if isinstance(gold, (list, tuple)) and not gold:
        return any(value in ("unknown", "unanswerable") for value in parsed)
    return eval_open(gold, parsed)


def mmmu_mc_correct(gold: str | Sequence[str], pred: str | None) -> bool:
    """Whether the letter is the gold letter, or one of several; unparsed (None) is wrong."""
    if isinstance(gold, str):
        return gold == pred
    return pred in gold


def mmmu_instance_level_acc(results: Mapping[str, Mapping[str, float]]) -> float:
    """Accuracy over all examples from the accuracy `acc` and size `num_example` of each group."""
    total = sum(group["num_example"] for group in results.values())
    if not total:
        return 0.0
    return sum(group["acc"] * group["num_example"] for group in results.values()) / total
