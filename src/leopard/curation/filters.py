"""Samples that teach nothing: in another language, too short or long, refusing what is shown.

Looks at the words of finished samples only and writes a drop list, as `quality` does. Language is
told by py3langid from all that is said in a sample, because single questions are too short and
full of names. Knows nothing of how samples are made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from pydantic import Field, model_validator

from leopard.config import Settings
from leopard.errors import ConfigError
from leopard.schema.messages import TextPart
from leopard.schema.samples import Sample
from leopard.schema.shards import iter_samples

_REFUSAL = re.compile(
    r"\bas an ai\b|\b(?:i|we) (?:can ?not|can't|am unable to|are unable to)\b"
    r"|\b(?:can ?not|can't) be (?:determined|answered|seen|read|identified)\b"
    r"|\bnot (?:visible|legible|enough information)\b|\bno information\b",
    re.IGNORECASE,
)
"""What annotators and models write when they did not see the answer."""


class FilterSettings(Settings):
    """What a sample must be like to be kept."""

    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of languages that may be spoken; empty means any."""
    min_certainty: float = Field(default=0.9, ge=0, le=1)
    """How sure the language must be for a sample to be dropped."""
    min_letters: int = Field(default=80, ge=0)
    """Letters below which no language is told."""
    min_question: int = Field(default=2, ge=0)
    """Shortest question, in characters."""
    max_question: int = Field(default=4000, ge=1)
    max_answer: int = Field(default=4000, ge=1)
    """Longest answer, in characters; no answer may be empty."""
    max_images: int = Field(default=50, ge=1)
    keep_refusals: bool = False
    """Keep answers that say that nothing can be seen, though no program proves it."""

    @model_validator(mode="after")
    def _known_languages(self) -> FilterSettings:
        unknown = set(self.languages) - set(_identifier()[1]) if self.languages else set()
        if unknown:
            raise ValueError(
                f"languages {sorted(unknown)} are unknown; use ISO 639-1 codes such as en, de, zh"
            )
        if self.min_question > self.max_question:
            raise ValueError("min_question is above max_question")
        return self


@cache
def _identifier() -> tuple[Callable[[str], tuple[str, float]], tuple[str, ...]]:
    """A function from a text to its language and how sure that is, and the languages it knows."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ConfigError(
            "telling languages needs py3langid: pip install 'leopard[curation]', "
            "or set languages=[]"
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def tell(text: str) -> tuple[str, float]:
        language, certainty = identifier.classify(text)
        return str(language), float(certainty)

    return tell, tuple(str(code) for code in identifier.labels)


def fault(sample: Sample, settings: FilterSettings) -> str:
    """Why a sample is not kept; empty if it is."""
    if len(sample.images) > settings.max_images:
        return "too many images"
    said = _turns(sample)
    if not said:
        return "nothing is asked"
    for question, answer, is_proven in said:
        if not answer:
            return "empty answer"
        if not settings.min_question <= len(question) <= settings.max_question:
            return "question too short or too long"
        if len(answer) > settings.max_answer:
            return "answer too long"
        if not (is_proven or settings.keep_refusals) and _REFUSAL.search(answer):
            return "the answer is a refusal"
    return _foreign(" ".join(f"{question} {answer}" for question, answer, _ in said), settings)


def _foreign(text: str, settings: FilterSettings) -> str:
    letters = " ".join(re.findall(r"[^\W\d_]+", text))
    if not settings.languages or len(letters.replace(" ", "")) < settings.min_letters:
        return ""
    language, certainty = _identifier()[0](letters)
    if language in settings.languages or certainty < settings.min_certainty:
        return ""
    return f"language {language}"


def _turns(sample: Sample) -> list[tuple[str, str, bool]]:
    """Question, answer, and whether a program proves it."""
    if sample.qa:
        return [(qa.question.strip(), qa.answer.strip(), qa.program is not None)
                for qa in sample.qa]  # fmt: skip
    talk = [m for m in sample.messages if m.role != "system"]
    texts = [" ".join(p.text for p in m.parts if isinstance(p, TextPart)).strip() for m in talk]
    return [(user, answer, False) for user, answer in zip(texts[::2], texts[1::2], strict=False)]


def filtered(samples: Iterable[Sample], settings: FilterSettings) -> dict[str, str]:
    """Samples to drop -> why."""
    found = ((sample.id, fault(sample, settings)) for sample in samples)
    return {identity: reason for identity, reason in found if reason}


def filtered_in(folder: Path, settings: FilterSettings) -> tuple[dict[str, str], Counter[str]]:
    """Samples of a folder to drop -> why, and how often each reason."""
    drops = filtered(iter_samples(folder), settings)
    return drops, Counter(drops.values())
