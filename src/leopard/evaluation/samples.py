"""An evaluation sample: a question over images, its gold, and what breaks scores down.

Images stay closed until a run needs them. Knows nothing of benchmarks, models or scores.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from leopard.documents.resolution import PageExtent, drawn_size
from leopard.errors import EvaluationError
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import DECODER_ERRORS, IMAGE_FORMATS, decoding, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

QuestionType = Literal["open-ended", "multiple-choice", "captioning"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page that has no pixels of its own: it can be drawn at any size."""

    extent: PageExtent
    """Size in points."""
    draw: Callable[[ImageSize], bytes]
    """Gives the page at a size in pixels, encoded."""

    def at(self, dpi: float) -> bytes:
        """The page at a resolution, in pixels per inch."""
        return self.draw(drawn_size(self.extent, dpi))


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image that has not been read yet."""

    label: str
    """Name for people: file or page."""
    read: Callable[[], bytes]
    """Gives the encoded picture (PNG, JPEG, WebP, ...), pages at the resolution of the data set."""
    page: DrawnPage | None = None
    """Set where the resolution is the model's affair, not the data set's."""


def open_image(data: bytes, label: str) -> Image:
    """Decode a picture to upright RGB.

    Raises:
        EvaluationError: If the bytes are no picture.
    """
    import PIL.Image

    try:
        with decoding(), PIL.Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            return to_rgb(image)
    except (*DECODER_ERRORS, PIL.Image.DecompressionBombError) as error:
        raise EvaluationError(
            f"{label}: not a picture that can be read ({error}); fetch the file again"
        ) from error


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSample:
    """One question of a benchmark."""

    id: str
    """Unique within the task and stable."""
    doc_id: str
    """Document or group; intervals are clustered by it."""
    question: str
    """Prompt text; `<image>` tags mark the places of images, missing ones lead."""
    images: tuple[ImageSource, ...] = ()
    """In prompt order."""
    answers: tuple[str, ...] = ()
    """Gold answers, any of which is right."""
    question_type: QuestionType = "open-ended"
    options: tuple[str, ...] = ()
    """Option texts of a multiple-choice question; the gold answer is a letter."""
    evidence: tuple[int, ...] | None = None
    """Indices of the images that hold the answer, from 0; None when the benchmark is silent."""
    answer_type: str = "text"
    """For the breakdown: as the benchmark names it."""
    source: str = "all"
    """Subset, subject or evidence source, for the breakdown and for means of subsets."""
    gold: Mapping[str, Any] = field(default_factory=dict)
    """What the scorers of the task need besides, as plain JSON values."""
    problem: str = ""
    """Why the sample cannot be asked; it then counts as wrong and is listed."""

    @property
    def choices(self) -> dict[str, str]:
        """Option text of each letter."""
        return dict(zip(LETTERS, self.options, strict=False))

    @classmethod
    def broken(
        cls, sample_id: str, reason: str, *, source: str = "all", doc_id: str = ""
    ) -> EvalSample:
        """A sample that could not be built; it stays in the denominator of its source."""
        return cls(
            id=sample_id, doc_id=doc_id or sample_id, question="", problem=reason, source=source
        )
