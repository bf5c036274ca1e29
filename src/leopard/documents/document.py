"""What every format looks like once it is opened: pages with extents that can be drawn."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leopard.documents.resolution import PageExtent
from leopard.schema.geometry import ImageSize

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class PageInfo:
    """A page that has not been drawn yet."""

    source: str
    """File or URL as the user named it."""
    number: int
    """Page number within the source, counted from 1."""
    num_pages: int
    """Pages that the source has in all."""
    size: ImageSize
    """Size that the picture of the page will have, in pixels."""
    page_size: ImageSize
    """Size of the page on it, at the left and top; the same unless it has margins."""

    @property
    def label(self) -> str:
        """Name for people: the source, with the page where there are several."""
        return self.source if self.num_pages == 1 else f"{self.source}, page {self.number}"


class Document(Protocol):
    """An opened source of any format.

    `close` gives memory and file handles back; the next use opens the file again.
    """

    @property
    def source(self) -> str:
        """File or URL as the user named it."""
        ...

    @property
    def num_pages(self) -> int:
        """Number of pages, at least 1."""
        ...

    @property
    def skipped(self) -> Counter[str]:
        """What the format leaves out, counted by reason."""
        ...

    def extent(self, number: int) -> PageExtent:
        """Size of a page, counted from 1, without drawing it.

        Raises:
            DocumentError: If the page cannot be read.
        """
        ...

    def render(self, number: int, size: ImageSize) -> Image:
        """Draw a page, counted from 1, at a size: RGB, upright.

        Raises:
            DocumentError: If the page cannot be read.
        """
        ...

    def close(self) -> None:
        """Give memory and file handles back."""
        ...


def one_line(message: object) -> str:
    """A library's message as one short line without a full stop, for use as a cause."""
    text = re.sub(r"\s+", " ", str(message)).strip().rstrip(".")
    return text if len(text) <= 200 else text[:197] + "..."
