"""Reading pages and looking at them, with bars: what `ask` and `index` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leopard.errors import DocumentError, LeopardError

if TYPE_CHECKING:
    from rich.console import Console

    from leopard.documents import LoadOptions
    from leopard.schema.pages import Page


@dataclass(frozen=True, slots=True)
class ReadPages:
    """What became of the files."""

    pages: list[Page]
    failures: list[DocumentError]
    skipped: dict[str, int]


def make_console(quiet: bool) -> Console:
    """Where everything is said that is no result: stderr."""
    from rich.console import Console

    return Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)


def waiting(console: Console, text: str) -> AbstractContextManager[Any]:
    """A sign of life while something of unknown length goes on."""
    return console.status(text) if console.is_terminal and not console.quiet else nullcontext()


def read_pages(files: Sequence[str], how: LoadOptions, console: Console) -> ReadPages:
    """Read all pages of all files; bad files are kept as failures.

    Raises:
        LeopardError: If no file gave a page, with one line for each.
    """
    from rich.progress import track

    from leopard.documents import iter_pages

    hidden = console.quiet or not console.is_terminal
    with iter_pages(files, options=how, on_error="collect") as stream:
        bar = track(
            stream,
            "Reading pages",
            total=len(stream),
            console=console,
            transient=True,
            disable=hidden,
        )
        read = ReadPages(list(bar), stream.failures, dict(stream.skipped))
    if not read.pages:
        raise LeopardError("\nleopard: ".join(map(str, read.failures)) or "no page found")
    return read


@contextmanager
def looking(console: Console, num_pages: int, num_chunks: int) -> Iterator[Callable[[], None]]:
    """A bar for the vision encoder; it is full while the language model reads the prompt."""
    from rich.progress import Progress

    hidden = console.quiet or not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(f"Looking at {num_pages} pages", total=num_chunks)
        yield lambda: progress.advance(task)
