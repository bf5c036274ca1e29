"""Uploaded bytes to pages, within limits and not twice.

Pages drawn once are kept, so that a second question about the same bytes starts at once and shows
the engine the very same pictures. Knows nothing of HTTP or models.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from leopard.documents import Limits, LoadOptions, PageInfo, iter_pages, page_sizes
from leopard.documents.kinds import Kind, detect_kind
from leopard.errors import DocumentError, DocumentFormatError, DocumentLimitError
from leopard.schema.pages import Page
from leopard.serving.settings import ServingSettings

_THREADS = 2
_BYTES_PER_PIXEL = 3

PagesOfContent = tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes of one picture or document, in memory or in the store."""

    name: str
    """Name for people."""
    digest: str
    """SHA-256 of the bytes, in hex."""
    data: bytes = b""
    path: Path | None = None
    """Where the bytes are; None when they are in `data`."""

    @classmethod
    def of(cls, data: bytes, name: str) -> Content:
        """Content in memory."""
        return cls(name, hashlib.sha256(data).hexdigest(), data)

    def put_into(self, folder: Path, number: int) -> Path:
        """A file with these bytes in a folder; its name is ours, only the ending is the user's."""
        suffix = PurePath(self.name).suffix
        is_plain = suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 8
        path = folder / f"{number}{suffix if is_plain else ''}"
        if self.path is not None:
            path.symlink_to(self.path)
        else:
            path.write_bytes(self.data)
        return path


class PageReader:
    """Reads contents into pages, in threads.

    Args:
        options: How the model wants its pages.
        settings: Limits.
    """

    def __init__(self, options: LoadOptions, settings: ServingSettings) -> None:
        self._settings = settings
        limits = Limits(
            max_pages=settings.max_pages,
            max_pixels=settings.max_page_pixels,
            max_bytes=max(settings.max_file_bytes, settings.max_request_bytes),
            max_seconds=settings.document_timeout_s,
        )
        self._options = replace(options, limits=limits)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="leopard-pages")
        self._kept = _PageCache(settings.page_cache_bytes)

    @property
    def num_kept_bytes(self) -> int:
        """Bytes of pages in memory."""
        return self._kept.num_bytes

    async def read(self, contents: Sequence[Content], pages: str = "") -> list[PagesOfContent]:
        """Pages of each content; all share the model's crops.

        Args:
            contents: In prompt order.
            pages: Pages of each document, such as `1-3,7`; all by default.

        Raises:
            LeopardError: If a content cannot be read or is over a limit.
        """
        if not contents:
            return []
        options = replace(self._options, pages=pages)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, tuple(contents), options)

    async def count(self, content: Content) -> int:
        """Number of pages; reads no more of the file than it takes.

        Raises:
            DocumentError: If the file cannot be read.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._measure, content)

    def close(self) -> None:
        """Forget all pages; work that runs comes to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._kept.clear()

    # --- In threads --------------------------------------------------------------------------

    def _read(self, contents: tuple[Content, ...], options: LoadOptions) -> list[PagesOfContent]:
        key = (options.pages, *(content.digest for content in contents))
        pages = self._kept.get(key)
        if pages is None:
            with self._files(contents) as paths:
                pages = self._draw(paths, options)
            self._kept.put(key, pages)
        named = zip(contents, pages, strict=True)
        return [tuple(replace(page, source=one.name) for page in drawn) for one, drawn in named]

    def _draw(self, paths: list[Path], options: LoadOptions) -> list[PagesOfContent]:
        with iter_pages(paths, options=options) as stream:
            self._check_pixels(stream.infos)
            drawn = list(stream)
        by_source: dict[str, list[Page]] = {str(path): [] for path in paths}
        for page in drawn:
            by_source[page.source].append(page)
        return [tuple(pages) for pages in by_source.values()]

    def _measure(self, content: Content) -> int:
        with self._files((content,)) as paths:
            return len(page_sizes(paths, options=self._options).pages)

    def _check_pixels(self, infos: Sequence[PageInfo]) -> None:
        pixels = sum(info.size.area for info in infos)
        if pixels > self._settings.max_request_pixels:
            raise DocumentLimitError(
                f"with it the {len(infos)} pages of the request have {pixels:,} pixels and the "
                f"limit is {self._settings.max_request_pixels:,}",
                source=infos[-1].source,
                remedy="choose fewer pages or smaller images",
            )

    @contextmanager
    def _files(self, contents: Sequence[Content]) -> Iterator[list[Path]]:
        """The contents as files; errors name them as the user did."""
        with TemporaryDirectory(prefix="leopard-", ignore_cleanup_errors=True) as folder:
            names: dict[str, str] = {}
            try:
                for number, content in enumerate(contents):
                    path = content.put_into(Path(folder), number)
                    names[str(path)] = content.name
                    self._check_kind(path)
                yield [Path(path) for path in names]
            except DocumentError as error:
                raise type(error)(
                    error.cause,
                    source=names.get(error.source, "file"),
                    remedy=error.remedy,
                    page=error.page,
                ) from error

    def _check_kind(self, path: Path) -> None:
        kind = detect_kind(path, source=str(path))
        if kind not in (Kind.PDF, Kind.IMAGE) and not self._settings.office_files:
            raise DocumentFormatError(
                f"it is an {kind.value}, which this server does not read"
                if kind is Kind.OFFICE
                else f"it is a {kind.value}, which this server does not read",
                source=str(path),
                remedy="send PDF or image files, or start the server with --office-files",
            )


class _PageCache:
    """Drawn pages by content, those used last within a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[tuple[str, ...], list[PagesOfContent]] = OrderedDict()
        self._lock = threading.Lock()
        self.num_bytes = 0

    def get(self, key: tuple[str, ...]) -> list[PagesOfContent] | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: tuple[str, ...], pages: list[PagesOfContent]) -> None:
        with self._lock:
            if key in self._entries or _num_bytes(pages) > self._max_bytes:
                return
            self._entries[key] = pages
            self.num_bytes += _num_bytes(pages)
            while self.num_bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self.num_bytes -= _num_bytes(dropped)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.num_bytes = 0


def _num_bytes(pages: Sequence[PagesOfContent]) -> int:
    return sum(_BYTES_PER_PIXEL * page.size.area for drawn in pages for page in drawn)
