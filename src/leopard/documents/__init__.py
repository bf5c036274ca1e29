"""Files to pages: PDF, images, office files, web pages, with limits.

`load_pages` reads everything at once, `iter_pages` draws page after page, `page_sizes` only
measures. Importing this package loads neither Pillow nor PDFium.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leopard.documents.document import PageInfo
    from leopard.documents.limits import Limits
    from leopard.documents.loader import (
        LoadedPages,
        PageSizes,
        PageStream,
        iter_pages,
        load_pages,
        page_sizes,
    )
    from leopard.documents.options import LoadOptions, WebOptions
    from leopard.documents.page_range import PageRange
    from leopard.documents.resolution import fitting_dpi

_HOMES = {
    "Limits": "limits",
    "LoadOptions": "options",
    "LoadedPages": "loader",
    "PageInfo": "document",
    "PageRange": "page_range",
    "PageSizes": "loader",
    "PageStream": "loader",
    "WebOptions": "options",
    "fitting_dpi": "resolution",
    "iter_pages": "loader",
    "load_pages": "loader",
    "page_sizes": "loader",
}

__all__ = [
    "Limits",
    "LoadOptions",
    "LoadedPages",
    "PageInfo",
    "PageRange",
    "PageSizes",
    "PageStream",
    "WebOptions",
    "fitting_dpi",
    "iter_pages",
    "load_pages",
    "page_sizes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
