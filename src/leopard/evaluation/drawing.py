"""The pictures of a sample: files as they are, pages drawn at the size that the model wants.

Knows nothing of benchmarks or models.
"""

from __future__ import annotations

from collections.abc import Sequence

from leopard.documents.resolution import DrawnSize, PageExtent
from leopard.evaluation.encoding import Encoding
from leopard.evaluation.samples import DrawnPage, ImageSource, open_image
from leopard.schema.pixels import png_bytes, with_margins

RESOLUTIONS = ("model", "data")


def read_images(
    images: Sequence[ImageSource], encoding: Encoding | None, resolution: str = "model"
) -> list[bytes]:
    """Encoded pictures, in order.

    Args:
        images: Images of one sample.
        encoding: What the model does with them; None when it does it elsewhere.
        resolution: `model` draws pages as `leopard ask` would; `data` takes the data set's size.

    Raises:
        EvaluationError: If a file is no picture.
    """
    if encoding is None or resolution == "data" or all(image.page is None for image in images):
        return [image.read() for image in images]
    contents = [b"" if image.page else image.read() for image in images]
    extents = [
        image.page.extent if image.page else _extent(content, image.label)
        for image, content in zip(images, contents, strict=True)
    ]
    sizes = encoding.drawn_sizes(extents)
    return [
        _drawn(image.page, size) if image.page else content
        for image, content, size in zip(images, contents, sizes, strict=True)
    ]


def _drawn(page: DrawnPage, size: DrawnSize) -> bytes:
    content = page.draw(size.page)
    if size.page == size.picture:
        return content
    return png_bytes(with_margins(open_image(content, "drawn page"), size.picture))


def _extent(content: bytes, label: str) -> PageExtent:
    picture = open_image(content, label)
    return PageExtent(picture.width, picture.height, is_vector=False)
