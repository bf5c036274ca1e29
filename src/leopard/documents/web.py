"""Web pages and HTML files to PDF through headless Chromium.

An HTML file sees its own folder and no network; its scripts stay off unless asked for. An
address is loaded as a visitor would, but never from a private network other than its own host.
Long pages are split where Chromium's layout breaks pages, not through lines of text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leopard.documents.browser import (
    ONE_PAGE_HEIGHT_PX,
    PAGE_HEIGHT_PX,
    BrowserError,
    started,
)
from leopard.documents.document import one_line
from leopard.documents.limits import Limits, Stopwatch
from leopard.documents.network import host_of
from leopard.documents.options import LoadOptions
from leopard.documents.programs import CHROMIUM
from leopard.documents.web_proxy import WebProxy
from leopard.errors import DocumentError, DocumentLimitError


def html_to_pdf(
    path: Path, folder: Path, *, source: str, options: LoadOptions, watch: Stopwatch
) -> Path:
    """Lay out an HTML file and print it to PDF.

    Args:
        path: The file; it may load what lies in its folder, hidden files excepted.
        folder: An empty folder for temporary files and the result.
        source: Name for people.
        options: Whether scripts run, and the limits.
        watch: Seconds left for the document.

    Raises:
        HelperMissingError: If Chromium is not installed.
        DocumentError: If the page cannot be shown.
        DocumentLimitError: If it takes too long or is too high.
    """
    program = CHROMIUM.require(source=source, reading="HTML files")
    with WebProxy(file=path, max_bytes=options.limits.max_bytes) as proxy:
        return _print(
            program,
            folder,
            proxy=proxy,
            target=_Target(source, proxy.file_url, options.web.scripts_in_files, options.limits),
            watch=watch,
        )


def url_to_pdf(
    url: str, folder: Path, *, source: str, options: LoadOptions, watch: Stopwatch
) -> Path:
    """Load a web address and print it to PDF.

    Args:
        url: The address after redirects.
        folder: An empty folder for temporary files and the result.
        source: The address as the user gave it.
        options: Whether scripts run, and the limits.
        watch: Seconds left for the document.

    Raises:
        HelperMissingError: If Chromium is not installed.
        DocumentError: If the page cannot be shown.
        DocumentLimitError: If it takes too long, is too high, or loads too much.
    """
    program = CHROMIUM.require(source=source, reading="web pages")
    hosts = {host_of(url), host_of(source)}
    with WebProxy(own_hosts=hosts, max_bytes=options.limits.max_bytes) as proxy:
        return _print(
            program,
            folder,
            proxy=proxy,
            target=_Target(source, url, options.web.scripts_in_urls, options.limits),
            watch=watch,
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """What the browser is to show."""

    source: str
    url: str
    use_scripts: bool
    limits: Limits


def _print(
    program: str, folder: Path, *, proxy: WebProxy, target: _Target, watch: Stopwatch
) -> Path:
    source = target.source
    try:
        with started(program, folder, proxy=proxy.address, watch=watch) as browser:
            browser.open_page(target.url, use_scripts=target.use_scripts)
            height = browser.content_height()
            _check_height(height, source, target.limits)
            content = browser.print_pdf(height if height <= ONE_PAGE_HEIGHT_PX else PAGE_HEIGHT_PX)
    except (BrowserError, OSError, ValueError) as error:
        raise DocumentError(
            f"Chromium could not show it ({one_line(error)})",
            source=source,
            remedy="open it in a browser and save it as PDF",
        ) from error
    if proxy.is_over_limit:
        raise DocumentLimitError(
            f"it loads more than the limit of {target.limits.max_bytes:,} bytes",
            source=source,
            remedy="save the page as PDF or raise max_bytes (--max-megabytes)",
        )
    result = folder / "page.pdf"
    result.write_bytes(content)
    return result


def _check_height(height: int, source: str, limits: Limits) -> None:
    if height > limits.max_web_height_px:
        raise DocumentLimitError(
            f"the web page is {height:,} CSS pixels high and the limit is "
            f"{limits.max_web_height_px:,}",
            source=source,
            remedy="save the part you need as PDF or raise max_web_height_px",
        )
