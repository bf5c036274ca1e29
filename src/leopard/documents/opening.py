"""Which backend opens which source, and the temporary files that conversions need."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from leopard.documents.document import Document
from leopard.documents.images import ImageDocument, MemoryImage
from leopard.documents.kinds import Kind, detect_kind, unreadable
from leopard.documents.limits import Stopwatch
from leopard.documents.network import fetch
from leopard.documents.office import office_to_pdf
from leopard.documents.options import LoadOptions
from leopard.documents.pdf import PDFDocument
from leopard.documents.sources import SourceItem
from leopard.documents.web import html_to_pdf, url_to_pdf


class Opener:
    """Opens sources; in a `with` block, at whose end temporary files are removed."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def open(self, item: SourceItem, watch: Stopwatch) -> Document:
        """Open one source with the backend of its kind.

        Raises:
            DocumentError: If it cannot become pages.
        """
        if item.image is not None:
            return MemoryImage(item.image, source=item.source, limits=self._options.limits)
        if item.url:
            return self._open_url(item, watch)
        assert item.path is not None
        return self._open_file(item.path, item.source, watch)

    def _open_file(self, path: Path, source: str, watch: Stopwatch) -> Document:
        options = self._options
        kind = detect_kind(path, source=source)
        try:
            options.limits.check_bytes(path.stat().st_size, source=source)
        except OSError as error:
            raise unreadable(error, source=source) from error
        if kind is Kind.IMAGE:
            return ImageDocument(
                path,
                source=source,
                limits=options.limits,
                all_frames=options.animation_frames == "all",
            )
        if kind is Kind.OFFICE:
            path = office_to_pdf(path, self._folder(), source=source, watch=watch)
        elif kind is Kind.WEB:
            path = html_to_pdf(path, self._folder(), source=source, options=options, watch=watch)
        return PDFDocument(path, source=source, limits=options.limits, password=options.password)

    def _open_url(self, item: SourceItem, watch: Stopwatch) -> Document:
        options = self._options
        fetched = fetch(item.url, self._folder(), limits=options.limits, watch=watch)
        if fetched.is_web_page:
            path = url_to_pdf(
                fetched.url, self._folder(), source=item.source, options=options, watch=watch
            )
            return PDFDocument(path, source=item.source, limits=options.limits)
        return self._open_file(fetched.path, item.source, watch)

    def _folder(self) -> Path:
        return Path(
            self._resources.enter_context(
                tempfile.TemporaryDirectory(prefix="leopard-", ignore_cleanup_errors=True)
            )
        )
