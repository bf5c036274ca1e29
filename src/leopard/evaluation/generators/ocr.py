"""Reads pages with an OCR engine and answers from the text: with a language model, or by rule.

The engine is `rapidocr-onnxruntime`, whose models come inside its package (extra `ocr`); any
function from image to lines will do. Knows nothing of scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from leopard.errors import GenerationError
from leopard.evaluation.generators.base import Prepared, rule_generation
from leopard.schema.generation import Generation, Generator
from leopard.schema.geometry import Box
from leopard.schema.messages import ImagePart, Message, Part, TextPart

if TYPE_CHECKING:
    from PIL.Image import Image

_STOP_TEXT = """
a an and are as at be by did do does for from how in is it of on or that the this to was were
what when where which who whom why with many much name
"""
_STOP_WORDS = frozenset(_STOP_TEXT.split())
_WORD = re.compile(r"[^\W_]+")
_DATE = re.compile(r"\b\d{1,4}[./-]\d{1,2}[./-]\d{2,4}\b")
_AMOUNT = re.compile(r"\b\d[\d,]*\.\d{2}\b")


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of recognised text."""

    text: str
    box: Box
    """Place in the page, in pixels."""


Reader = Callable[["Image"], Sequence[TextLine]]


def rapid_reader() -> Reader:
    """A reader on the RapidOCR engine.

    Raises:
        GenerationError: If the package is not installed.
    """
    try:
        import numpy as np
        from rapidocr_onnxruntime import RapidOCR  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise GenerationError(
            "the OCR baseline needs an engine; run: pip install 'leopard[ocr]'"
        ) from error
    engine = RapidOCR()

    def read(image: Image) -> list[TextLine]:
        # The engine expects blue, green, red.
        found, _ = engine(np.asarray(image)[:, :, ::-1])
        return [TextLine(str(text), _box(corners)) for corners, text, _ in found or []]

    return read


def _box(corners: Sequence[Any]) -> Box:
    xs, ys = [float(c[0]) for c in corners], [float(c[1]) for c in corners]
    return Box(min(xs), min(ys), max(xs), max(ys))


def reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines from top to bottom, those at the same height from left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda item: item.box.center[1]):
        if rows and line.box.center[1] < max(item.box.bottom for item in rows[-1][:1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda item: item.box.left)]


class OCRResponder:
    """Answers from recognised text.

    Args:
        reader: Gives the lines of a page.
        generator: A language model that is shown the text in place of the pages; None answers by
            rule: the text beside, or after, the words of the question.
    """

    def __init__(self, reader: Reader, generator: Generator | None = None) -> None:
        self._reader = reader
        self._generator = generator
        self._pages: dict[str, list[TextLine]] = {}
        self.name = f"ocr + {generator.name}" if generator else "ocr + rule"
        self.fingerprint = f"ocr-1:{self.name}"

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """Answers in the order of the batch."""
        if self._generator is None:
            return [rule_generation(self._by_rule(prepared)) for prepared in batch]
        requests = [
            replace(
                prepared.request,
                messages=_as_text(prepared.request.messages, self._read(prepared)),
                images=(),
                image_names=(),
            )
            for prepared in batch
        ]
        return self._generator.generate(requests)

    def _read(self, prepared: Prepared) -> list[list[TextLine]]:
        pages = []
        for image, info in zip(prepared.request.images, prepared.images, strict=True):
            key = info["sha256"]
            if key not in self._pages:
                self._pages[key] = reading_order(self._reader(image))
            pages.append(self._pages[key])
        return pages

    def _by_rule(self, prepared: Prepared) -> str:
        sample = prepared.sample
        lines = [line for page in self._read(prepared) for line in page]
        if sample.options:
            found = _words(" ".join(line.text for line in lines))
            scores = {k: len(_words(text) & found) for k, text in sample.choices.items()}
            return max(scores, key=scores.__getitem__)
        return answer_near(sample.question, lines)


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS}


def answer_near(question: str, lines: Sequence[TextLine]) -> str:
    """The text that belongs to the line that shares most words with the question.

    What follows a colon in it, else the rest of the line behind the shared words, else the next
    line to its right at the same height, else the line after it.
    """
    wanted = _words(question)
    scored = [(len(_words(line.text) & wanted), -len(line.text), i) for i, line in enumerate(lines)]
    if not scored or max(scored)[0] == 0:
        return _by_form(wanted, lines)
    index = max(scored)[2]
    line = lines[index]
    label, colon, value = line.text.partition(":")
    if colon and value.strip():
        return value.strip()
    rest = [word for word in label.split() if not _words(word) & wanted]
    if rest and len(rest) < len(label.split()) and any(c.isdigit() for c in " ".join(rest)):
        return " ".join(rest)
    middle = line.box.center[1]
    beside = [
        other
        for other in lines
        if other.box.left >= line.box.right and other.box.top <= middle <= other.box.bottom
    ]
    if beside:
        return min(beside, key=lambda other: other.box.left).text
    return lines[index + 1].text if index + 1 < len(lines) else ""


def _by_form(wanted: set[str], lines: Sequence[TextLine]) -> str:
    """Where no line shares a word with the question: the first date, the last amount, the head."""
    text = "\n".join(line.text for line in lines)
    if wanted & {"date", "day", "dated"}:
        found = _DATE.search(text)
        return found[0] if found else ""
    if wanted & {"total", "amount", "sum", "price", "cost"}:
        amounts = _AMOUNT.findall(text)
        return str(amounts[-1]) if amounts else ""
    if wanted & {"company", "issued", "title", "heading"} and lines:
        return lines[0].text
    return ""


def _as_text(
    messages: Sequence[Message], pages: Sequence[Sequence[TextLine]]
) -> tuple[Message, ...]:
    """The same conversation with the text of each page where the page stood."""
    texts = iter(enumerate(pages, start=1))

    def part(item: Part) -> Part:
        if not isinstance(item, ImagePart):
            return item
        number, lines = next(texts)
        body = "\n".join(line.text for line in lines)
        return TextPart(f"Text of page {number}:\n{body}\n\n")

    return tuple(
        replace(message, parts=tuple(part(item) for item in message.parts)) for message in messages
    )
