"""Chromium as a printer: many web documents per call, one PDF for each.

Optional: without a browser web pages are set by Typst. The same batch gives the same bytes, so
that batches are cut by global index and never by shard. No network, no script but our own. Knows
nothing of facts.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pypdfium2 as pdfium

from leopard.curation.synthesis.fonts import fontconfig
from leopard.curation.synthesis.settings import SynthSettings
from leopard.errors import ConfigError

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Programs that are looked for; `LEOPARD_BROWSER` names another one."""
TIMEOUT = 180.0
"""Most seconds for one batch."""
MAX_DOCUMENTS = 50
"""Most documents for which the program is started once."""
_FLAGS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-extensions", "--disable-sync", "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", "--disable-pdf-tagging",
)  # fmt: skip
# A page is as large as its section, which only the browser knows; two pixels are for rounding.
_FIT = """
let css = "";
for (const part of document.querySelectorAll("section")) {
  const box = part.getBoundingClientRect();
  css += `@page ${part.id} {size: ${box.width}px ${Math.ceil(box.height) + 2}px; margin: 0}`
    + `#${part.id} {page: ${part.id}}`;
}
document.head.appendChild(document.createElement("style")).textContent = css;
"""
_FIT_HASH = base64.b64encode(hashlib.sha256(_FIT.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_FIT_HASH}'"
"""Pages load nothing, and run no script but ours."""
# Browsers print gaps for blanks; where kerning narrows one it could not be told from no blank.
_RESET = (
    "* {box-sizing: border-box} body {margin: 0; word-spacing: .06em} section {display: flow-root}"
)
_DATE = re.compile(rb"(?<=/CreationDate\(D:)\d{14}")
_ID = re.compile(rb"/ID\[<[0-9A-F]*><[0-9A-F]*>\]")


@dataclass(frozen=True, slots=True)
class WebDocument:
    """One document in HTML."""

    style: str
    """CSS; its rules hold for this document alone."""
    parts: tuple[str, ...]
    """HTML of each page."""


class Browser:
    """A browser program that prints.

    Args:
        program: Path of the program.
    """

    def __init__(self, program: Path) -> None:
        self.program = program

    @cached_property
    def version(self) -> str:
        """Name and version, as the program says it."""
        asked = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
        return " ".join(asked.stdout.split()[:2])

    @cached_property
    def fonts(self) -> tempfile.TemporaryDirectory[str]:
        """Folder with `fonts.conf`, which shows the browser the fonts of the other typesetter."""
        folder = tempfile.TemporaryDirectory(prefix="leopard-fonts-")
        path = Path(folder.name)
        (path / "fonts.conf").write_text(fontconfig(path / "cache"), encoding="utf-8")
        return folder

    def print(self, documents: Sequence[WebDocument]) -> list[bytes]:
        """One PDF per document, a page per part; more pages where a part runs over.

        The program is started anew for every few documents: its time per page grows with them.

        Raises:
            ConfigError: If the browser fails.
        """
        if len(documents) > MAX_DOCUMENTS:
            rest = self.print(documents[MAX_DOCUMENTS:])
            return [*self.print(documents[:MAX_DOCUMENTS]), *rest]
        if not documents:
            return []
        whole = pdfium.PdfDocument(self._print(web_page(documents)))
        try:
            wanted = sum(len(document.parts) for document in documents)
            if len(whole) == wanted:
                return list(_cut(whole, [len(document.parts) for document in documents]))
            if len(documents) == 1:
                return list(_cut(whole, [len(whole)]))
        finally:
            whole.close()
        half = len(documents) // 2
        return self.print(documents[:half]) + self.print(documents[half:])

    def _print(self, html: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="leopard-browser-") as name:
            folder = Path(name)
            source, target = folder / "pages.html", folder / "pages.pdf"
            source.write_text(html, encoding="utf-8")
            self.run(f"--print-to-pdf={target}", source.as_uri(), folder=folder)
            return target.read_bytes()

    def run(self, *arguments: str, folder: Path) -> None:
        """Start the program once and wait for it.

        Args:
            arguments: What to do.
            folder: Where it may keep its files.

        Raises:
            ConfigError: If it fails or takes too long.
        """
        command = [str(self.program), *_FLAGS, f"--user-data-dir={folder}/profile", *arguments]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # its sandbox refuses to start as root
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
            env={**os.environ, "HOME": str(folder),
                 "FONTCONFIG_FILE": f"{self.fonts.name}/fonts.conf"},
        )  # fmt: skip
        try:
            _, said = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"{self.program} took over {TIMEOUT:.0f} seconds for one batch of web pages; "
                "set web_renderer=typst"
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            last = said.strip().splitlines()[-1:] or ["no message"]
            raise ConfigError(
                f"{self.program} failed with code {process.returncode} ({last[0]}); "
                "mend it, or set web_renderer=typst"
            )


def web_page(documents: Sequence[WebDocument]) -> str:
    """All documents as one page; the browser breaks it where the named page changes."""
    css, body = [_RESET], []
    for number, document in enumerate(documents):
        css.append(f"#d{number} {{{document.style}}}")
        parts = "".join(
            f'<section id="d{number}s{index}">{part}</section>'
            for index, part in enumerate(document.parts)
        )
        body.append(f'<div id="d{number}">{parts}</div>')
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{''.join(css)}</style>"
    )
    return f"{head}<body>{''.join(body)}<script>{_FIT}</script></body></html>"


def _cut(whole: pdfium.PdfDocument, counts: Sequence[int]) -> list[bytes]:
    """PDFs of so many pages each, without what differs from run to run."""
    found, first = [], 0
    for count in counts:
        part, file = pdfium.PdfDocument.new(), io.BytesIO()
        try:
            part.import_pages(whole, list(range(first, first + count)))
            part.save(file)
        finally:
            part.close()
        plain = _DATE.sub(b"20000101000000", file.getvalue(), count=1)
        found.append(_ID.sub(b"", plain))
        first += count
    return found


@cache
def browser() -> Browser | None:
    """The browser of this computer, or None."""
    named = os.environ.get("LEOPARD_BROWSER")
    found = (shutil.which(name) for name in ((named,) if named else NAMES))
    path = next((path for path in found if path), None)
    return None if path is None else Browser(Path(path))


def needed_browser() -> Browser:
    """The browser of this computer.

    Raises:
        ConfigError: If it has none.
    """
    found = browser()
    if found is None:
        raise ConfigError(
            f"web pages need a browser, and there is none (looked for {', '.join(NAMES)}); "
            "install chromium, name one in LEOPARD_BROWSER, or set web_renderer=typst"
        )
    return found


def with_renderer(settings: SynthSettings) -> SynthSettings:
    """The settings with `auto` replaced by what this computer has."""
    if settings.web_renderer != "auto":
        return settings
    chosen = "typst" if settings.pages.screen == 0 or browser() is None else "chromium"
    return settings.model_copy(update={"web_renderer": chosen})
