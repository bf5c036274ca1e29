"""A sample under annotation: what its pages show, and how it changes.

Text and pictures are made when they are first asked for. Knows nothing of models.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import PIL.Image

from leopard.curation.annotation.requests import Picture
from leopard.curation.pixels import draw, to_jpeg
from leopard.curation.synthesis.documents import PrintedDocument
from leopard.curation.synthesis.printed import read_pdf
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample, VectorPage, conversation


@dataclass(frozen=True, slots=True)
class Turn:
    """One question on its way."""

    qa: QuestionAnswer
    notes: tuple[dict[str, Any], ...] = ()
    """What was done to it here, job by job."""
    original: QuestionAnswer | None = None
    """What it was before; None if it is as it was, or new."""


@dataclass
class Subject:
    """One sample with its source material."""

    sample: Sample
    pdfs: Mapping[str, bytes]
    """The PDFs of its pages, by SHA-256."""
    remake: Callable[[str], PrintedDocument]
    """Makes the document of a synthetic sample again, from the sample's id."""
    max_image_side: int
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turns = [Turn(qa) for qa in self.sample.qa]

    @cached_property
    def decimal(self) -> str:
        """Decimal separator of the document."""
        return str(self.sample.provenance.get("locale", {}).get("decimal", "."))

    @cached_property
    def page_texts(self) -> tuple[str, ...]:
        """Text of each page, where all pages have a text layer; else empty."""
        pages = [image for image in self.sample.images if isinstance(image, VectorPage)]
        if not pages or len(pages) < len(self.sample.images):
            return ()
        read = {ref: read_pdf(self.pdfs[ref]) for ref in {page.pdf_ref for page in pages}}
        return tuple(read[page.pdf_ref][page.page - 1].text for page in pages)

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """Each image as it is sent, no larger than allowed."""
        return tuple(self._picture(image) for image in self.sample.images)

    @cached_property
    def document(self) -> PrintedDocument:
        """The document, made again from the plan.

        Raises:
            DataError: If the sample belongs to no plan.
        """
        return self.remake(self.sample.id)

    def _picture(self, image: PixelImage | VectorPage) -> Picture:
        longest = max(image.width, image.height)
        shrink = min(1.0, self.max_image_side / longest)
        size = ImageSize(max(1, round(image.width * shrink)), max(1, round(image.height * shrink)))
        if isinstance(image, VectorPage):
            return Picture(to_jpeg(draw(self.pdfs[image.pdf_ref], image, size)).data, "image/jpeg")
        mime = mime_of(image.data)
        if shrink == 1.0 and mime:
            return Picture(image.data, mime)
        with PIL.Image.open(io.BytesIO(image.data)) as opened:
            small = opened.convert("RGB").resize(
                (size.width, size.height), PIL.Image.Resampling.LANCZOS
            )
        return Picture(to_jpeg(small).data, "image/jpeg")

    def finished(self, *, reasons: bool) -> Sample | None:
        """The sample with its turns as they are now; None if none is left.

        Args:
            reasons: Whether answers state their reasoning even if they did not before.
        """
        if not self.turns:
            return None
        qa = tuple(turn.qa for turn in self.turns)
        notes = [
            {"turn": index, **note} for index, turn in enumerate(self.turns) for note in turn.notes
        ]
        sample = self.sample
        if not notes and qa == sample.qa:
            return sample
        messages = conversation(
            len(sample.images), qa, rationales=reasons or bool(self.states_reasoning)
        )
        provenance = {**sample.provenance, "annotated": notes}
        return replace(sample, qa=qa, messages=messages, provenance=provenance)

    @cached_property
    def states_reasoning(self) -> bool | None:
        """Whether answers state their reasoning; None if the conversation has another form."""
        sample = self.sample
        for reasons in (False, True):
            if _texts(conversation(len(sample.images), sample.qa, rationales=reasons)) == _texts(
                sample.messages
            ):
                return reasons
        return None


def mime_of(data: bytes) -> str:
    """Media type of an encoded image that servers take, or empty."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _texts(messages: tuple[Message, ...]) -> list[Any]:
    return [message.to_dict() for message in messages]
