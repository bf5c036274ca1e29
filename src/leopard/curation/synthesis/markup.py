"""Markup for Typst and for browsers that prints data as it is and marks it.

Data never becomes markup: it is passed as a string, or escaped. A mark is a link with the address
`gt:<id>`; its annotation in the PDF later gives the boxes of what was printed. Knows nothing of
layout.
"""

from __future__ import annotations

import html
from collections.abc import Callable

MARK_SCHEME = "gt:"


def typst_text(text: str) -> str:
    """Typst code that prints `text` unchanged; runs of blanks collapse in any typesetter."""
    clean = " ".join(text.split())
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'#text("{escaped}")'


def marked(element: str, text: str, body: str | None = None) -> str:
    """Typst code that prints `text` (or `body`, which shows it) under the mark of an element."""
    if not text:
        return ""
    link = f'#link("{MARK_SCHEME}{element}")[{typst_text(text) if body is None else body}]'
    # A code or an address is not broken at its hyphens and dots.
    return link if " " in text else f"#box[{link}]"


def marked_in(pattern: str, element: str, text: str) -> str:
    """Typst code that prints a pattern with `{t}` for `text`, which alone is under the mark."""
    return _around(pattern, marked(element, text), typst_text)


def html_text(text: str) -> str:
    """HTML that prints `text` unchanged."""
    return html.escape(" ".join(text.split()))


def html_marked(element: str, text: str) -> str:
    """HTML that prints `text` under the mark of an element."""
    if not text:
        return ""
    whole = "" if " " in text else ' class="whole"'
    return f'<a href="{MARK_SCHEME}{element}"{whole}>{html_text(text)}</a>'


def html_marked_in(pattern: str, element: str, text: str) -> str:
    """HTML that prints a pattern with `{t}` for `text`, which alone is under the mark."""
    return _around(pattern, html_marked(element, text), html_text)


def _around(pattern: str, body: str, plain: Callable[[str], str]) -> str:
    before, after = pattern.split("{t}")
    left = plain(before) + " " * before.endswith(" ") if before else ""
    return left + body + (" " * after.startswith(" ") + plain(after) if after else "")
