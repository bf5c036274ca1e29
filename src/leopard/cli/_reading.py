"""Reading pages and looking at them, with bars: what `ask` and `index` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from leopard.errors import DocumentError, LeopardError

if TYPE_CHECKING:
    from rich.console import Console

    from leopard.documents import LoadedPages, LoadOptions


ResultT = TypeVar("ResultT")


def make_console(quiet: bool) -> Console:
    """Where everything is said that is no result: stderr."""
    from rich.console import Console

    return Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)


def waiting(console: Console, text: str) -> AbstractContextManager[Any]:
    """A sign of life while something of unknown length goes on."""
    return console.status(text) if console.is_terminal and not console.quiet else nullcontext()


def read_pages(files: Sequence[str], how: LoadOptions, console: Console) -> LoadedPages:
    """Open all files; their pages are drawn while they are looked at, see `look_at`.

    Raises:
        LeopardError: If no file gave a page, with one line for each.
    """
    from leopard.documents import load_pages

    with waiting(console, "Opening files"):
        return _not_empty(load_pages(files, options=how, on_error="collect", later=True))


def look_at(
    read: LoadedPages, look: Callable[[LoadedPages], ResultT]
) -> tuple[LoadedPages, ResultT]:
    """Look at pages while they are drawn, and once more without those that cannot be drawn.

    Args:
        read: Pages that may not have been drawn.
        look: Uses them; the vision encoder remembers what it saw of them.

    Returns:
        The pages that were drawn, with all failures, and what `look` gave for them.

    Raises:
        LeopardError: If no page can be drawn, with one line for each.
    """
    try:
        return read, look(read)
    except DocumentError:
        read = _not_empty(read.drawn())
        return read, look(read)


def _not_empty(read: LoadedPages) -> LoadedPages:
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
