"""Fields of published records: texts, answers, options, conversations, tables.

Every function refuses what it does not understand with a reason. Knows nothing of files.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from leopard.curation.imports import BadRecordError
from leopard.schema.samples import AnswerType, Evidence, QuestionAnswer

T = TypeVar("T")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_LITERAL = 200_000
"""Longest Python literal that is parsed, in characters."""
_NUMBER = re.compile(r"[-+]?[$€£]?\s?\d[\d,]*(\.\d+)?\s?%?")
_IMAGE_MARK = re.compile(
    r"(?:Picture \d+:\s*)?<img>(?P<path>.*?)</img>|<image>|<\|image\|>|<ImageHere>", re.S
)


def text(record: Mapping[str, Any], key: str) -> str:
    """A text that must not be empty, blanks trimmed.

    Raises:
        BadRecordError: If it is missing or empty.
    """
    value = record.get(key)
    if value is None or not str(value).strip():
        raise BadRecordError(f"{key} is missing")
    return str(value).strip()


def texts(value: Any) -> list[str]:
    """Texts of a list or of a single value; empty ones are passed over."""
    items = value if isinstance(value, list | tuple) else [value]
    return [str(item).strip() for item in items if item is not None and str(item).strip()]


def number_text(value: Any) -> str:
    """A number or text as text; whole numbers without a decimal point."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value).strip()


def answer_type(answer: str) -> AnswerType:
    """What kind of answer a text is, by its form."""
    if answer.lower() in ("yes", "no", "true", "false"):
        return "boolean"
    return "number" if _NUMBER.fullmatch(answer) else "text"


def plain_qa(
    question: str,
    answers: Sequence[str],
    *,
    family: str,
    rationale: str = "",
    evidence: tuple[Evidence, ...] = (),
) -> QuestionAnswer:
    """A question with free answers; the first one is said, the others are right as well.

    Raises:
        BadRecordError: If the question or all answers are empty.
    """
    kept = list(dict.fromkeys(answer.strip() for answer in answers if answer.strip()))
    if not question.strip():
        raise BadRecordError("question is missing")
    if not kept:
        raise BadRecordError("answer is missing")
    return QuestionAnswer(
        question=question.strip(),
        answer=kept[0],
        answer_type=answer_type(kept[0]),
        family=family,
        aliases=tuple(kept[1:]),
        rationale=rationale.strip(),
        evidence=evidence,
        pages_needed=max(1, len({item.image for item in evidence})),
    )


def choice_qa(
    question: str,
    options: Sequence[str],
    correct: int,
    *,
    family: str,
    rationale: str = "",
) -> QuestionAnswer:
    """A question with lettered options; the answer is the letter with its option.

    Raises:
        BadRecordError: If there are fewer than two options, or the answer is none of them.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise BadRecordError("options are missing")
    if not 0 <= correct < len(options):
        raise BadRecordError("the answer is none of the options")
    lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
    return QuestionAnswer(
        question="\n".join([question.strip(), *lines]),
        answer=lines[correct],
        answer_type="choice",
        family=family,
        aliases=(LETTERS[correct], options[correct]),
        choices=tuple(options),
        rationale=rationale.strip(),
    )


def without_letter(option: str) -> str:
    """An option without the letter that some sources put before it: `B) two` is `two`."""
    return re.sub(r"^\(?[A-Z][).:]\s*|^[A-Z]\s*[.)]\s+", "", option.strip()).strip()


def literal(value: Any) -> Any:
    """A value, or what its text says as JSON or as a Python literal; nothing is ever executed.

    Raises:
        BadRecordError: If the text is too long or neither.
    """
    if not isinstance(value, str):
        return value
    if len(value) > MAX_LITERAL:
        raise BadRecordError("a literal is too long")
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadRecordError("a literal cannot be read") from error


def turns(conversation: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Questions with answers of a LLaVA, Qwen-VL or chat conversation, and the images it names.

    Image marks are taken out; a system turn is passed over.

    Raises:
        BadRecordError: If turns do not alternate.
    """
    if not isinstance(conversation, list) or not conversation:
        raise BadRecordError("no conversation")
    spoken: list[tuple[str, str]] = []
    paths: list[str] = []
    for turn in conversation:
        role = str(turn.get("from") or turn.get("role") or "")
        said = str(turn.get("value") if "value" in turn else turn.get("content") or "")
        if role == "system":
            continue
        paths += [hit["path"].strip() for hit in _IMAGE_MARK.finditer(said) if hit["path"]]
        spoken.append((role, _IMAGE_MARK.sub("", said).strip()))
    pairs = []
    for asked, answered in zip(spoken[::2], spoken[1::2], strict=False):
        if asked[0] not in ("human", "user") or answered[0] not in ("gpt", "assistant"):
            raise BadRecordError("turns do not alternate")
        pairs.append((asked[1], answered[1]))
    if len(spoken) % 2:
        raise BadRecordError("a question has no answer")
    return pairs, paths


def limited(items: Sequence[T], most: int, rng: Random) -> list[T]:
    """At most so many items, drawn at random, in their order."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in sorted(rng.sample(range(len(items)), most))]


def grouped(records: Any, key: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Records by the value of one field, in order of first appearance; without it, under ''."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        value = record.get(key) if isinstance(record, Mapping) else None
        groups.setdefault("" if value is None else str(value), []).append(record)
    return list(groups.items())
