"""Typst source to PDF bytes, the same bytes for the same source.

Fonts come from pinned folders, never from what a system happens to prefer; an unknown font is a
warning and a warning is a rejected document. Knows nothing of facts.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from leopard.curation.synthesis.fonts import font_dirs
from leopard.errors import ConfigError

_PROFILED = re.compile(rb"obj\n(?P<space>\[/ICCBased (?P<profile>\d+) 0 R\])\nendobj")


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

    def available(self, fonts: Iterable[str], *, in_files: bool = False) -> tuple[str, ...]:
        """Those of the fonts that this computer has, in order, repeats kept.

        Args:
            fonts: Families.
            in_files: Leave out what is built into Typst, because another program is to use them.

        Raises:
            ConfigError: If it has none of them.
        """
        wanted = tuple(fonts)
        known = self.families_in_files if in_files else self.families
        found = tuple(font for font in wanted if font in known)
        if not found:
            raise ConfigError(
                f"none of the fonts {', '.join(dict.fromkeys(wanted))} is in "
                f"{', '.join(map(str, font_dirs()))}; "
                "pip install 'leopard[curation]' brings some, or set LEOPARD_FONT_DIRS"
            )
        return found

    def font_paths(self, family: str) -> list[str]:
        """Files of a font family, one per face; none for one that is built into Typst."""
        faces: dict[tuple[str, int, float], str | None] = {}
        for font in self._fonts.fonts():
            if font.family == family:  # of faces that are there twice, the first is set
                faces.setdefault((font.style, font.weight, font.stretch), font.path)
        return [path for path in faces.values() if path]

    @cached_property
    def families_in_files(self) -> frozenset[str]:
        """Families that other programs can use as well."""
        return frozenset(font.family for font in self._fonts.fonts() if font.path)

    def pdf(self, source: str) -> tuple[bytes, tuple[str, ...]]:
        """PDF bytes and the compiler's warnings."""
        data, warnings = self._compiler.compile_with_warnings(source.encode(), pdf_tags=False)
        return with_device_colours(data), tuple(str(warning) for warning in warnings)


def with_device_colours(pdf: bytes) -> bytes:
    """The PDF with plain RGB and grey where Typst names an sRGB profile; as long as before.

    PDFium sets up a colour transform for every profile of every file it opens, which takes longer
    than all else of reading a page back; the pixels are the same.
    """

    def device(found: re.Match[bytes]) -> bytes:
        profile = re.search(rb"\n%s 0 obj\n<<[^>]*/N ([13])/" % found["profile"], pdf)
        if profile is None:
            return found[0]
        name = b"/DeviceRGB" if profile[1] == b"3" else b"/DeviceGray"
        return b"obj\n" + name.ljust(len(found["space"])) + b"\nendobj"

    return _PROFILED.sub(device, pdf)


@cache
def printer() -> Printer:
    """The printer of this process."""
    return Printer()


@cache
def font_files_hash(family: str) -> str:
    """A hash over the content of the files of a font family, 16 hex digits.

    Two computers that agree print alike; a family that is built into Typst hangs on its version.
    """
    files = [Path(path) for path in printer().font_paths(family)]
    named = {(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files}
    plain = "".join(f"{name}\0{content}\n" for name, content in sorted(named))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
