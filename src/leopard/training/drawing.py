"""Pages of vector shards as clean pictures.

Pages that ask for a scan simulation need the drawer of `leopard.curation.pixels`, which the command
line hands in. Knows nothing of samples.
"""

from __future__ import annotations

import PIL.Image
import pypdfium2 as pdfium

from leopard.documents.pdf import draw_page
from leopard.errors import DataError
from leopard.schema.geometry import ImageSize
from leopard.schema.samples import VectorPage


def draw_clean(pdf: bytes, page: VectorPage) -> PIL.Image.Image:
    """Draw a page at its reference size.

    Raises:
        DataError: If the page is to look like a scan.
    """
    if page.augment_seed is not None:
        raise DataError(
            "the page is to look like a scan, which only `leopard train` does by itself; pass "
            "draw=leopard.curation.pixels.draw"
        )
    document = pdfium.PdfDocument(pdf)
    try:
        handle = document[page.page - 1]
        try:
            return draw_page(handle, ImageSize(page.width, page.height))
        finally:
            handle.close()
    finally:
        document.close()
