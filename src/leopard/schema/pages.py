"""A page: one picture that knows where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leopard.schema.geometry import ImageSize

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a document, or one image file."""

    image: Image
    """The pixels, RGB, upright."""
    source: str
    """File or URL as the user named it."""
    number: int
    """Page number within the source, counted from 1."""
    num_pages: int
    """Pages that the source has in all, read or not."""

    @property
    def size(self) -> ImageSize:
        """Size in pixels."""
        return ImageSize(self.image.width, self.image.height)

    @property
    def label(self) -> str:
        """Name for people: the source, with the page where there are several."""
        return self.source if self.num_pages == 1 else f"{self.source}, page {self.number}"
