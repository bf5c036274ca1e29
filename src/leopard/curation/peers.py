"""Other ways to the same pictures, measured as they are commonly used, where they can run here.

Knows nothing of how rates are shown.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import PIL.Image
import pypdfium2 as pdfium

from leopard.curation.pixels import to_jpeg
from leopard.curation.synthesis.browser import WebDocument, browser, web_page
from leopard.documents.pdf import draw_page
from leopard.schema.geometry import ImageSize

DPI = 150
_SET_CHILD_SUBREAPER = 36


class Clock:
    """CPU time of this process and of all that it started, also what those left behind."""

    def __init__(self) -> None:
        with suppress(OSError, AttributeError):  # other systems count what was waited for
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
        self._start = _cpu_seconds()

    def rate(self, count: int) -> float:
        """Count per CPU-second since the start."""
        return count / max(1e-9, _cpu_seconds() - self._start)


def _cpu_seconds() -> float:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def matplotlib_charts(count: int) -> float | None:
    """Plain bar charts as JPEG per CPU-second, or None without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return None
    clock = Clock()
    for index in range(count):
        figure, axes = pyplot.subplots(figsize=(6, 4))
        axes.bar(["a", "b", "c", "d", "e"], [index + 1, 5, 3, 8, 2])
        axes.set_title("Chart")
        figure.savefig(io.BytesIO(), format="jpeg", dpi=100)
        pyplot.close(figure)
    return clock.rate(count)


def browser_screenshots(documents: Sequence[WebDocument]) -> float | None:
    """Screenshots as JPEG per CPU-second, a page and a start of the browser each."""
    program = browser()
    if program is None:
        return None

    def shoot(html: str, folder: Path) -> None:
        source, target = folder / "page.html", folder / "page.png"
        source.write_text(html, encoding="utf-8")
        program.run(
            f"--screenshot={target}", "--window-size=1280,1650", source.as_uri(), folder=folder
        )
        with PIL.Image.open(target) as image:
            to_jpeg(image.convert("RGB"))

    return _each(documents, shoot)


def weasyprint_pages(documents: Sequence[WebDocument]) -> float | None:
    """Pages by WeasyPrint, drawn and as JPEG, per CPU-second; None where it is not installed."""
    try:
        from weasyprint import HTML
    except (ImportError, OSError):  # it needs system libraries
        return None

    def draw(html: str, folder: Path) -> None:  # noqa: ARG001 - nothing is written
        document = pdfium.PdfDocument(HTML(string=html).write_pdf())
        page = document[0]
        width, height = page.get_size()
        size = ImageSize(round(width * DPI / 72), round(height * DPI / 72))
        to_jpeg(draw_page(page, size))
        page.close()
        document.close()

    return _each(documents, draw)


def _each(documents: Sequence[WebDocument], draw: Callable[[str, Path], None]) -> float:
    clock, count = Clock(), 0
    for document in documents:
        for part in document.parts:
            with TemporaryDirectory() as folder:
                draw(web_page([WebDocument(document.style, (part,))]), Path(folder))
            count += 1
    return clock.rate(count)
