"""Folders with the fonts that pages are set in, the same for every typesetter.

Font packages of PyPI come first: they are pinned with the rest of the environment, so that a font
that a computer has twice looks as it does elsewhere. Knows nothing of typesetting.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from xml.sax.saxutils import escape

from leopard.errors import ConfigError

SYSTEM_DIRS = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts/opentype")
"""Where font packages of a system install; `LEOPARD_FONT_DIRS`, separated like PATH, replaces
them."""
ENTRY_POINTS = ("fonts_ttf", "fonts_otf")
"""Groups in which font packages of PyPI name their files, as a dictionary name -> path."""


def font_dirs() -> tuple[Path, ...]:
    """The font folders that exist on this computer, best first."""
    named = os.environ.get("LEOPARD_FONT_DIRS")
    wanted = named.split(os.pathsep) if named else SYSTEM_DIRS
    return (*packaged_dirs(), *(Path(name) for name in wanted if Path(name).is_dir()))


@cache
def packaged_dirs() -> tuple[Path, ...]:
    """Folders of the font packages in this Python environment, by package name.

    Raises:
        ConfigError: If a package does not hold what it names.
    """
    found: dict[Path, None] = {}
    points = [point for group in ENTRY_POINTS for point in entry_points(group=group)]
    for point in sorted(points, key=lambda point: point.value):
        try:
            files = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the font package behind {point.value!r} cannot be read ({error}); "
                "install it again or remove it"
            ) from error
        found |= dict.fromkeys(sorted({Path(file).parent for file in files.values()}))
    return tuple(found)


def fontconfig(cache_dir: Path) -> str:
    """Settings for programs that find fonts by fontconfig: these folders and no others.

    Args:
        cache_dir: Where fontconfig may keep what it learns of the files.
    """
    folders = "".join(f"<dir>{escape(str(folder))}</dir>" for folder in font_dirs())
    return (
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">'
        f"<fontconfig>{folders}<cachedir>{escape(str(cache_dir))}</cachedir></fontconfig>\n"
    )
