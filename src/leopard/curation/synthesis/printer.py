"""Typst source to PDF bytes, the same bytes for the same source.

Fonts come from pinned folders, never from what a system happens to prefer; an unknown font is a
warning and a warning is a rejected document. Knows nothing of facts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from leopard.errors import ConfigError

FONT_DIRS = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts/opentype")
"""Where font packages install; `LEOPARD_FONT_DIRS` (separated like PATH) replaces them."""


def font_dirs() -> tuple[Path, ...]:
    """The font folders that exist on this computer."""
    named = os.environ.get("LEOPARD_FONT_DIRS")
    wanted = named.split(os.pathsep) if named else FONT_DIRS
    return tuple(Path(name) for name in wanted if Path(name).is_dir())


class Printer:
    """Compiles Typst; keeps one compiler whose fonts were scanned once."""

    def __init__(self) -> None:
        # Typst starts a thread per core; a worker process is one core's worth of work.
        os.environ.setdefault("RAYON_NUM_THREADS", "1")
        try:
            import typst
        except ImportError as error:
            raise ConfigError(
                "curation needs typst, which is not installed: pip install 'leopard[curation]'"
            ) from error
        self._fonts: Any = typst.Fonts(
            include_system_fonts=False, font_paths=[str(folder) for folder in font_dirs()]
        )
        self._compiler: Any = typst.Compiler(font_paths=self._fonts)
        self.families = frozenset(self._fonts.families())

    def available(self, fonts: Iterable[str]) -> tuple[str, ...]:
        """Those of the fonts that this computer has, in order, repeats kept.

        Raises:
            ConfigError: If it has none of them.
        """
        wanted = tuple(fonts)
        found = tuple(font for font in wanted if font in self.families)
        if not found:
            raise ConfigError(
                f"none of the fonts {', '.join(dict.fromkeys(wanted))} is in {font_dirs()}; "
                "install fonts-liberation2 or set LEOPARD_FONT_DIRS"
            )
        return found

    def pdf(self, source: str) -> tuple[bytes, tuple[str, ...]]:
        """PDF bytes and the compiler's warnings."""
        data, warnings = self._compiler.compile_with_warnings(source.encode(), pdf_tags=False)
        return data, tuple(str(warning) for warning in warnings)


@cache
def printer() -> Printer:
    """The printer of this process."""
    return Printer()


@cache
def font_files_hash() -> str:
    """A hash over names and sizes of all font files: two computers that agree print alike."""
    digest = hashlib.sha256()
    for folder in font_dirs():
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in {".ttf", ".otf", ".ttc"}:
                digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
