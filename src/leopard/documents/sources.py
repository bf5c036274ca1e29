"""What the user named, spelled out: files, folders, globs, web addresses and images in memory.

Knows how to find files and in which order; not what is in them.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leopard.documents.kinds import kind_by_content, kind_by_name, read_head, unreadable
from leopard.errors import DocumentError
from leopard.schema.file_set import natural_key

if TYPE_CHECKING:
    from PIL.Image import Image

HIDDEN = "hidden file"
UNKNOWN_TYPE = "unknown file type"
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One thing to open. Exactly one of `path`, `url` and `image` is set."""

    source: str
    """Name for people: as the user gave it, or `image N` for images in memory."""
    path: Path | None = None
    url: str = ""
    image: Image | None = None


@dataclass(slots=True)
class Expansion:
    """Everything that sources name, and what was left out."""

    items: list[SourceItem] = field(default_factory=list)
    failures: list[DocumentError] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def _path_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    return tuple(natural_key(part) for part in path.parts)


def expand_sources(sources: Sequence[str | Path | Image]) -> Expansion:
    """Spell out folders and globs, in natural order within each.

    Failures are gathered, not raised: the other sources are not concerned.
    """
    expansion = Expansion()
    for position, source in enumerate(sources, start=1):
        if not isinstance(source, str | Path):
            expansion.items.append(SourceItem(f"image {position}", image=source))
            continue
        try:
            _expand_one(source, expansion)
        except DocumentError as error:
            expansion.failures.append(error)
    return expansion


def _expand_one(source: str | Path, expansion: Expansion) -> None:
    name = str(source)
    scheme = _SCHEME.match(name) if isinstance(source, str) else None
    if scheme:
        if scheme[1].lower() not in ("http", "https"):
            raise DocumentError(
                f"addresses of kind {scheme[1]}:// are not read",
                source=name,
                remedy="give a file path or an http:// or https:// address",
            )
        expansion.items.append(SourceItem(name, url=name))
        return
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            _expand_folder(path, name, expansion)
        elif not path.exists() and isinstance(source, str) and glob.has_magic(name):
            _expand_glob(str(path), name, expansion)
        else:
            expansion.items.append(SourceItem(name, path=_regular_file(path, name)))
    except (OSError, ValueError, RuntimeError) as error:
        cause = ValueError(error) if isinstance(error, RuntimeError) else error
        raise unreadable(cause, source=name) from error


def _regular_file(path: Path, source: str) -> Path:
    path.stat()
    if not path.is_file():
        raise DocumentError(
            "it is a device or a pipe, not a file", source=source, remedy="give a regular file"
        )
    return path


def _expand_folder(folder: Path, source: str, expansion: Expansion) -> None:
    before, failures_before = len(expansion.items), len(expansion.failures)
    skipped = Counter[str]()
    files = sorted(_walk(folder, skipped, expansion.failures), key=_path_key)
    _keep_known(files, skipped, expansion)
    if len(expansion.items) == before and len(expansion.failures) == failures_before:
        raise _nothing_readable("the folder", source, skipped)


def _expand_glob(pattern: str, source: str, expansion: Expansion) -> None:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    if not matches:
        raise DocumentError("no file matches", source=source, remedy="check the pattern")
    before, failures_before = len(expansion.items), len(expansion.failures)
    skipped = Counter[str]()
    files = {match: None for match in matches if match.is_file()}
    if "**" not in pattern:
        for folder in (match for match in matches if match.is_dir()):
            files.update(dict.fromkeys(_walk(folder, skipped, expansion.failures)))
    _keep_known(sorted(files, key=_path_key), skipped, expansion)
    if len(expansion.items) == before and len(expansion.failures) == failures_before:
        raise _nothing_readable("what matches", source, skipped)


def _nothing_readable(what: str, source: str, skipped: Counter[str]) -> DocumentError:
    counts = ", ".join(f"{count} x {reason}" for reason, count in sorted(skipped.items()))
    return DocumentError(
        f"{what} holds no file that can be read" + (f" (skipped: {counts})" if counts else ""),
        source=source,
        remedy="give PDF, image, office or HTML files",
    )


def _walk(folder: Path, skipped: Counter[str], failures: list[DocumentError]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        failures.append(unreadable(error, source=str(error.filename)))

    for parent, folders, files in os.walk(folder, onerror=note):
        for name in [*folders, *files]:
            skipped[HIDDEN] += name.startswith(".")
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _keep_known(files: Sequence[Path], skipped: Counter[str], expansion: Expansion) -> None:
    for path in files:
        try:
            if _is_known(path):
                expansion.items.append(SourceItem(str(path), path=path))
            else:
                skipped[UNKNOWN_TYPE] += 1
        except DocumentError as error:
            expansion.failures.append(error)
    expansion.skipped += +skipped


def _is_known(path: Path) -> bool:
    if not path.is_file():
        return False
    if kind_by_name(path.name) is not None:
        return True
    return kind_by_content(read_head(path, source=str(path)), path) is not None
