"""Pages set from tables and paragraphs, as image sources. Knows nothing of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from leopard.documents.tables import Table, TableStyle, render_pdf
from leopard.evaluation.data import drawn_pages
from leopard.evaluation.samples import ImageSource

Block = str | Table


def rendered_pages(
    groups: Sequence[Sequence[Block]], label: str
) -> tuple[tuple[ImageSource, ...], list[int]]:
    """Set each group of blocks on pages of its own.

    Args:
        groups: Paragraphs and tables of each group.
        label: Name of the document, for people.

    Returns:
        Pages in order, and the index of the first page of each group.

    Raises:
        DocumentError: If a group cannot be set.
    """
    style = TableStyle()
    images: list[ImageSource] = []
    first = []
    for group in groups:
        first.append(len(images))
        pdf = render_pdf(group, style=style)
        images += drawn_pages(pdf, label, dpi=style.dpi, first=len(images) + 1)
    return tuple(images), first
