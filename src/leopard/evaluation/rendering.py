"""Pages drawn from tables and paragraphs, as image sources. Knows nothing of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from leopard.documents.tables import Table, render_pages
from leopard.evaluation.data import png_bytes
from leopard.evaluation.samples import ImageSource

Block = str | Table


@lru_cache(maxsize=64)
def _drawn(blocks: _Blocks) -> tuple[bytes, ...]:
    return tuple(png_bytes(image) for image in render_pages(blocks.items))


class _Blocks:
    """Blocks with identity, so that one drawing serves all pages and questions of a group."""

    def __init__(self, items: Sequence[Block]) -> None:
        self.items = list(items)


def rendered_pages(
    groups: Sequence[Sequence[Block]], label: str
) -> tuple[tuple[ImageSource, ...], list[int]]:
    """Draw each group of blocks on pages of its own.

    Args:
        groups: Paragraphs and tables of each group.
        label: Name of the document, for people.

    Returns:
        Pages in order, and the index of the first page of each group.

    Raises:
        DocumentError: If a group cannot be drawn.
    """
    images: list[ImageSource] = []
    first = []
    for group in groups:
        blocks = _Blocks(group)
        first.append(len(images))
        for index in range(len(_drawn(blocks))):
            name = f"{label}, drawn page {len(images) + 1}"
            images.append(ImageSource(name, _reader(blocks, index)))
    return tuple(images), first


def _reader(blocks: _Blocks, index: int) -> _PageReader:
    return _PageReader(blocks, index)


class _PageReader:
    """Gives one drawn page; draws again when it has been forgotten."""

    def __init__(self, blocks: _Blocks, index: int) -> None:
        self._blocks = blocks
        self._index = index

    def __call__(self) -> bytes:
        return _drawn(self._blocks)[self._index]
