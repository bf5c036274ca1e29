"""Sources to pages: finds, opens, counts, chooses the resolution, and draws page after page.

The facade of the package. Each format is one backend; this module knows only their common face,
`leopard.documents.document.Document`.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from leopard.documents.document import Document, PageInfo
from leopard.documents.later import LaterImage
from leopard.documents.limits import Stopwatch
from leopard.documents.opening import Opener
from leopard.documents.options import LoadOptions
from leopard.documents.resolution import (
    DrawnSize,
    PageExtent,
    dpi_for_reading,
    dpi_for_tiles,
    drawn_size,
    on_whole_crops,
    tiles_per_drawn_page,
    within_area,
    within_side,
)
from leopard.documents.sources import expand_sources
from leopard.errors import DocumentError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from leopard.schema.pages import Page
from leopard.schema.pixels import with_margins

if TYPE_CHECKING:
    from PIL.Image import Image

OnError = Literal["raise", "collect"]
ABSENT_PAGES = "page not in the document"
_DEFAULT = LoadOptions()


@dataclass(frozen=True, slots=True)
class LoadedPages:
    """Pages of all sources in the order given, and what is missing among them."""

    pages: list[Page]
    failures: list[DocumentError]
    """One error for each file or page that could not be read."""
    skipped: dict[str, int]
    """What was left out without being an error, counted by reason."""

    def drawn(self) -> LoadedPages:
        """The same with all pages drawn; those that cannot be drawn become failures."""
        pages, failures = [], {str(error): error for error in self.failures}
        for page in self.pages:
            try:
                page.image.load()
            except DocumentError as error:
                # All pages that a limit of time leaves out have one error.
                failures.setdefault(str(error), error)
            else:
                pages.append(page)
        return LoadedPages(pages, list(failures.values()), self.skipped)


@dataclass(frozen=True, slots=True)
class PageSizes:
    """Sizes that the pages will have, and what is missing among them."""

    pages: list[PageInfo]
    failures: list[DocumentError]
    skipped: dict[str, int]

    @property
    def sizes(self) -> list[ImageSize]:
        """Sizes alone, in page order."""
        return [page.size for page in self.pages]


@dataclass(slots=True)
class _Opened:
    """A document with the pages that are wanted of it."""

    document: Document
    watch: Stopwatch
    pages: list[tuple[int, PageExtent]] = field(default_factory=list)
    undrawn: set[int] = field(default_factory=set)
    """Pages that are to be drawn later, and have not been."""


class PageStream:
    """Pages that are drawn when they are asked for; use in a `with` block or to the end.

    Sources are opened and counted at once, so sizes and early failures are known from the start;
    `failures` and `skipped` are complete when the stream is used up.

    Attributes:
        infos: The pages to come: source, number and size of each.
        failures: Errors so far, when `on_error` is "collect".
        skipped: What was left out without being an error, counted by reason.
    """

    def __init__(
        self, sources: Sequence[str | Path | Image], options: LoadOptions, on_error: OnError
    ) -> None:
        self.infos: list[PageInfo] = []
        self.failures: list[DocumentError] = []
        self.skipped: Counter[str] = Counter()
        self._options = options
        self._collect = on_error == "collect"
        self._resources = contextlib.ExitStack()
        self._documents: list[_Opened] = []
        self._drawing = threading.Lock()
        # For pages that are drawn later and never are: nobody closes then.
        weakref.finalize(self, _close_all, self._documents, self._resources)
        try:
            self._open_all(sources)
            self._choose_sizes()
        except BaseException:
            self.close()
            raise
        self._pages: Iterator[Page] = self._draw_all()

    def __iter__(self) -> Iterator[Page]:
        return self

    def __next__(self) -> Page:
        return next(self._pages)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Pages planned, drawn or not; damaged ones among them will be missing."""
        return len(self.infos)

    def prove(self) -> None:
        """Decode the pages that are pictures, one by one; what cannot be read leaves `infos`.

        Pages of documents are left alone: drawing them is dear, and their damage is mended or
        found when they are measured.
        """
        infos = iter(self.infos)
        self.infos = []
        for opened in self._documents:
            ours = [(next(infos), place) for place in opened.pages]
            pictures = [info for info, (_, extent) in ours if not extent.is_vector]
            good = {page.number for page in self._draw(opened, pictures)}
            opened.document.close()
            kept = [one for one in ours if one[1][1].is_vector or one[0].number in good]
            opened.pages = [place for _, place in kept]
            self.infos += [info for info, _ in kept]

    def later(self) -> list[Page]:
        """All pages at once, instead of one by one; each is drawn when its pixels are first used.

        The files stay open as long as a page of them is wanted and not drawn. A page that cannot be
        drawn raises its error then, in either mode; see `LoadedPages.drawn`.
        """
        infos = iter(self.infos)
        found = []
        for opened in self._documents:
            for _ in opened.pages:
                info = next(infos)
                opened.undrawn.add(info.number)
                image = LaterImage(info.size, partial(self._draw_later, opened, info))
                found.append(Page(image, info.source, info.number, info.num_pages))
        # The generator holds this stream, which is to go with the last page that needs it.
        self._pages = iter(())
        return found

    def close(self) -> None:
        """Close all files and remove all temporary ones."""
        _close_all(self._documents, self._resources)

    def _draw_later(self, opened: _Opened, info: PageInfo) -> Image:
        # Backends are not thread-safe, nor is the watch.
        with self._drawing:
            try:
                opened.watch.check()
                with opened.watch.running():
                    return _rendered(opened.document, info)
            finally:
                opened.undrawn.discard(info.number)
                if not opened.undrawn:
                    opened.document.close()

    def _fail(self, error: DocumentError) -> None:
        if not self._collect:
            raise error
        self.failures.append(error)

    def _open_all(self, sources: Sequence[str | Path | Image]) -> None:
        expansion = expand_sources(sources)
        self.skipped += expansion.skipped
        for error in expansion.failures:
            self._fail(error)
        opener = self._resources.enter_context(Opener(self._options))
        for item in expansion.items:
            watch = Stopwatch(self._options.limits, item.source)
            try:
                with watch.running():
                    opened = _Opened(opener.open(item, watch), watch)
                    self._documents.append(opened)
                    self._count_pages(opened)
            except DocumentError as error:
                self._fail(error)
            else:
                opened.document.close()

    def _count_pages(self, opened: _Opened) -> None:
        document, options = opened.document, self._options
        wanted = options.select_pages(document.num_pages)
        if not wanted:
            raise DocumentError(
                f"pages {options.pages} were asked for and it has {document.num_pages}",
                source=document.source,
                remedy="ask for pages that it has",
            )
        _check_num_pages(
            len(wanted), sum(len(other.pages) for other in self._documents), document, options
        )
        self.skipped += document.skipped
        absent = options.num_absent_pages(document.num_pages)
        self.skipped += Counter({ABSENT_PAGES: absent} if absent else {})
        for number in wanted:
            try:
                opened.pages.append((number, document.extent(number)))
            except DocumentError as error:
                self._fail(error)

    def _choose_sizes(self) -> None:
        extents = [extent for opened in self._documents for _, extent in opened.pages]
        sizes = iter(drawn_sizes(extents, self._options))
        for opened in self._documents:
            document = opened.document
            for number, _ in opened.pages:
                size = next(sizes)
                info = PageInfo(
                    document.source, number, document.num_pages, size.picture, size.page
                )
                self.infos.append(info)

    def _draw_all(self) -> Iterator[Page]:
        infos = iter(self.infos)
        for opened in self._documents:
            ours = [next(infos) for _ in opened.pages]
            try:
                yield from self._draw(opened, ours)
            finally:
                opened.document.close()
        self._resources.close()

    def _draw(self, opened: _Opened, infos: Sequence[PageInfo]) -> Iterator[Page]:
        for info in infos:
            try:
                opened.watch.check()
            except DocumentLimitError as error:
                self._fail(error)
                return
            try:
                with opened.watch.running():
                    image = _rendered(opened.document, info)
            except DocumentError as error:
                self._fail(error)
            else:
                yield Page(image, info.source, info.number, info.num_pages)


def _close_all(documents: Sequence[_Opened], resources: contextlib.ExitStack) -> None:
    for opened in documents:
        opened.document.close()
    resources.close()


def _check_num_pages(wanted: int, so_far: int, document: Document, options: LoadOptions) -> None:
    limit = options.limits.max_pages
    if so_far + wanted <= limit:
        return
    before = f" after {so_far} of other documents" if so_far else ""
    raise DocumentLimitError(
        f"it gives {wanted} pages{before} and the limit is {limit} in all",
        source=document.source,
        remedy=f"choose pages, for example 1-{limit}, or raise max_pages (--max-pages)",
    )


def drawn_sizes(extents: Sequence[PageExtent], options: LoadOptions) -> list[DrawnSize]:
    """Pixels of the pages of one request, in page order, as all loading chooses them.

    Args:
        extents: Sizes before drawing.
        options: Resolution, limits, and what the encoder takes.
    """
    tiles = tiles_per_drawn_page(extents, crop_size=options.crop_size, max_crops=options.max_crops)
    if options.max_tiles_per_page is not None:
        tiles = min(tiles, options.max_tiles_per_page)
    return [_drawn_size(extent, tiles, options) for extent in extents]


def _drawn_size(extent: PageExtent, tiles: int, options: LoadOptions) -> DrawnSize:
    """Pixels of a page under the options; only a resolution that was asked for can be too high."""
    if not extent.is_vector:
        size = ImageSize(round(extent.width), round(extent.height))
        return _alone(within_side(size, options.max_side_px))
    if options.target_dpi is not None:
        return _alone(within_side(drawn_size(extent, options.target_dpi), options.max_side_px))
    if options.reading_dpi is not None:
        return _drawn_for_reading(extent, tiles, options, options.reading_dpi)
    dpi = dpi_for_tiles(extent, max_tiles=tiles, crop_size=options.crop_size)
    size = within_side(drawn_size(extent, dpi), options.max_side_px)
    return _alone(within_area(size, options.limits.max_pixels))


def _drawn_for_reading(
    extent: PageExtent, tiles: int, options: LoadOptions, reading_dpi: float
) -> DrawnSize:
    dpi = dpi_for_reading(
        extent, reading_dpi=reading_dpi, max_tiles=tiles, crop_size=options.crop_size
    )
    size = within_side(drawn_size(extent, dpi), options.max_side_px)
    size = within_area(size, options.limits.max_pixels)
    picture = on_whole_crops(size, options.crop_size)
    is_small = (
        picture.area <= options.limits.max_pixels
        and within_side(picture, options.max_side_px) == picture
    )
    return DrawnSize(size, picture) if is_small else _alone(size)


def _alone(size: ImageSize) -> DrawnSize:
    return DrawnSize(size, size)


def _rendered(document: Document, info: PageInfo) -> Image:
    """A page of a document, on its picture."""
    return with_margins(document.render(info.number, info.page_size), info.size)


def iter_pages(
    sources: Sequence[str | Path | Image],
    *,
    options: LoadOptions = _DEFAULT,
    on_error: OnError = "raise",
) -> PageStream:
    """Open sources now and draw their pages one by one when asked for.

    Args:
        sources: Files, folders, globs, http(s) addresses or images in memory, in page order.
        options: Pages, password, resolution, limits.
        on_error: "raise" stops at the first error; "collect" goes on with the other pages and
            files and keeps the errors.

    Returns:
        A stream of pages, which also knows the sizes of all pages to come.

    Raises:
        DocumentError: At the first bad source, if `on_error` is "raise".
    """
    return PageStream(_as_list(sources), options, on_error)


def load_pages(
    sources: Sequence[str | Path | Image],
    *,
    options: LoadOptions = _DEFAULT,
    on_error: OnError = "raise",
    later: bool = False,
) -> LoadedPages:
    """Read sources into upright RGB pages.

    Args:
        sources: Files, folders, globs, http(s) addresses or images in memory, in page order.
        options: Pages, password, resolution, limits.
        on_error: "raise" stops at the first error; "collect" goes on with the other pages and
            files and returns the errors.
        later: Whether a page is drawn when its pixels are first used rather than now; if it cannot
            be drawn, that is where its error is raised. See `LoadedPages.drawn`.

    Raises:
        DocumentError: At the first bad source or page, if `on_error` is "raise".
    """
    if later:
        stream = iter_pages(sources, options=options, on_error=on_error)
        return LoadedPages(stream.later(), stream.failures, dict(stream.skipped))
    with iter_pages(sources, options=options, on_error=on_error) as stream:
        pages = list(stream)
        return LoadedPages(pages, stream.failures, dict(stream.skipped))


def page_sizes(
    sources: Sequence[str | Path | Image],
    *,
    options: LoadOptions = _DEFAULT,
    on_error: OnError = "raise",
    prove: bool = False,
) -> PageSizes:
    """Sizes that `load_pages` would give, without drawing a page.

    Office files and web pages are converted for it; their sizes are not known before.

    Args:
        sources: As in `load_pages`.
        options: As in `load_pages`.
        on_error: As in `load_pages`.
        prove: Whether pictures are decoded, so that one that is cut short is an error here as it
            is in `load_pages`; otherwise their headers are believed.

    Raises:
        DocumentError: At the first bad source, if `on_error` is "raise".
    """
    with iter_pages(sources, options=options, on_error=on_error) as stream:
        if prove:
            stream.prove()
        return PageSizes(stream.infos, stream.failures, dict(stream.skipped))


def _as_list(sources: Sequence[str | Path | Image] | str | Path) -> list[str | Path | Image]:
    # A single name is a likely slip; its letters would be taken for files.
    return [sources] if isinstance(sources, str | Path) else list(sources)
