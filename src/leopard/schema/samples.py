"""One instruction sample: pages, questions, answers, and the proof of each answer.

The record that curation writes and training and evaluation read. Knows nothing of files:
`leopard.schema.shards` is how samples are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from leopard.errors import DataError
from leopard.schema.messages import ImagePart, Message, TextPart, count_images

Domain = Literal["document", "slide", "chart", "table", "web", "mixed"]
Split = Literal["train", "val", "test"]
AnswerType = Literal[
    "text", "number", "date", "boolean", "choice", "list", "sentence", "unanswerable"
]
NOT_ANSWERABLE = "Not answerable"
"""What is answered when no image holds the answer."""
YES, NO = "Yes", "No"
"""Answers of questions that ask whether something is so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelImage:
    """An image stored as an encoded file (JPEG, PNG or WebP)."""

    data: bytes
    """The encoded file."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    path: str = ""
    """File name for exports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorPage:
    """An image stored as a page of a PDF, drawn when it is read."""

    pdf_ref: str
    """SHA-256 of the PDF, in hex; the shard carries the bytes."""
    page: int
    """Page number, counted from 1."""
    dpi: float
    """Resolution of the reference picture, in pixels per inch."""
    width: int
    """Width at `dpi`, in pixels."""
    height: int
    """Height at `dpi`, in pixels."""
    augment_seed: int | None = None
    """Seed of the scan simulation, or None for a clean page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Where an answer is printed."""

    image: int
    """Index of the image in the sample, counted from 0."""
    element: str
    """Id of the marked element in the page."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom as shares of the image's width and height, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionAnswer:
    """One question with its proven answer."""

    question: str
    answer: str
    answer_type: AnswerType = "text"
    family: str = "lookup"
    """Program family, such as `lookup`, `difference`, `unanswerable`."""
    aliases: tuple[str, ...] = ()
    """Other answers that are right as well."""
    choices: tuple[str, ...] = ()
    """Options of a multiple-choice question."""
    rationale: str = ""
    """Step-by-step reasoning that ends in the answer."""
    program: dict[str, Any] | None = None
    """Expression over the facts, as plain JSON."""
    evidence: tuple[Evidence, ...] = ()
    pages_needed: int = 1
    """Least number of images that must be read."""

    @property
    def answerable(self) -> bool:
        """Whether the images hold the answer."""
        return self.answer_type != "unanswerable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One training or evaluation record: images and a conversation about them."""

    id: str
    """Unique and stable, without dots: `<generator>-<version>-<seed>`."""
    doc_id: str
    """Split and deduplication unit; all samples of one document share it."""
    domain: Domain
    task: str
    """Generator or converter that made it."""
    messages: tuple[Message, ...]
    images: tuple[PixelImage | VectorPage, ...] = ()
    qa: tuple[QuestionAnswer, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    split: Split = "train"

    def __post_init__(self) -> None:
        if not self.id or "." in self.id:
            raise DataError(f"sample id {self.id!r} must be non-empty and hold no dots")
        placed = count_images(self.messages)
        if placed != len(self.images):
            raise DataError(
                f"sample {self.id}: {placed} image parts in the messages but {len(self.images)} "
                "images; every image needs exactly one part"
            )
        for qa in self.qa:
            for evidence in qa.evidence:
                if not 0 <= evidence.image < len(self.images):
                    raise DataError(
                        f"sample {self.id}: evidence on image {evidence.image}, "
                        f"but there are {len(self.images)}"
                    )


def conversation(
    num_images: int, qa: tuple[QuestionAnswer, ...], *, rationales: bool = False
) -> tuple[Message, ...]:
    """A conversation that shows all images first, then asks every question in turn.

    Args:
        num_images: Images to show before the first question.
        qa: The turns.
        rationales: Whether answers that have reasoning state it first, then `Answer: ...`.
    """
    messages: list[Message] = []
    for index, turn in enumerate(qa):
        images = (ImagePart(),) * (num_images if index == 0 else 0)
        messages.append(Message("user", (*images, TextPart(turn.question))))
        reasoned = rationales and turn.rationale
        text = f"{turn.rationale}\nAnswer: {turn.answer}" if reasoned else turn.answer
        messages.append(Message("assistant", (TextPart(text),)))
    return tuple(messages)
