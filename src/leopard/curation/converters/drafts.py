"""What a converter hands over: pictures that are loaded late, and questions about them.

Knows how any encoded picture becomes one that a shard may hold. Knows nothing of sources.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import PIL.Image

from leopard.curation.imports import BadRecordError
from leopard.documents.limits import Limits
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import (
    DECODER_ERRORS,
    IMAGE_FORMATS,
    ORIENTATION_TAG,
    decoding,
    has_swapped_sides,
    png_bytes,
    to_rgb,
)
from leopard.schema.samples import Evidence, PixelImage, QuestionAnswer, Split

MAX_PIXELS = Limits().max_pixels
"""Most pixels of one picture."""
_KEPT = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An encoded image that is read when it is needed."""

    name: str
    """File name for exports."""
    load: Callable[[], bytes]
    """Returns the encoded file; raises BadRecordError if it cannot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One record of a source, not yet a sample."""

    id: str
    """Name of the record in its source; unique in it."""
    doc_id: str
    """Document, deck, picture or page that the record is about."""
    pictures: tuple[Picture | PixelImage, ...]
    """In reading order; read from their files before drafts are put together."""
    qa: tuple[QuestionAnswer, ...]
    split: Split = "train"
    note: Mapping[str, Any] = field(default_factory=dict)
    """What else the source says, for provenance."""


def embedded(value: Any, name: str) -> Picture:
    """A picture inside a record: bytes, or `{bytes, path}` as the `datasets` library stores it.

    Raises:
        BadRecordError: If it holds no bytes.
    """
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(content, bytes) or not content:
        raise BadRecordError("an image is missing")
    return Picture(name=name, load=lambda: content)


def content_name(value: Any) -> str:
    """A name for a picture inside a record that hangs on its bytes alone."""
    return hashlib.sha256(embedded(value, "").load()).hexdigest()[:20]


def pixel_image(picture: Picture | PixelImage) -> PixelImage:
    """The picture as a shard may hold it: upright RGB or grey, JPEG, PNG or WebP.

    A file that is that already is kept byte for byte; any other is drawn anew as PNG. What was
    made by this function comes back unchanged.

    Raises:
        BadRecordError: If it is damaged, too large, or no image.
    """
    if isinstance(picture, PixelImage):
        return picture
    content = picture.load()
    with _decoding(), PIL.Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
        _check_size(image)
        plain = image.format in _KEPT and image.mode in ("RGB", "L")
        single = getattr(image, "n_frames", 1) == 1 or image.format == "JPEG"
        turned = image.getexif().get(ORIENTATION_TAG, 1) != 1
        upright = to_rgb(image)
        size = ImageSize(upright.width, upright.height)
        if not (plain and single and not turned):
            content = png_bytes(upright)
    return PixelImage(data=content, width=size.width, height=size.height, path=_plain(picture.name))


def picture_size(picture: Picture) -> ImageSize:
    """Upright size of a picture in pixels, from its header.

    Raises:
        BadRecordError: If it is no image.
    """
    content = picture.load()
    with _decoding(), PIL.Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
        width, height = image.size
        if has_swapped_sides(image):
            width, height = height, width
    return ImageSize(width, height)


def whole(image: int) -> Evidence:
    """Evidence that is somewhere on one image, counted from 0."""
    return Evidence(image=image, element="page", box=(0.0, 0.0, 1.0, 1.0))


def pixel_box(
    image: int, box: tuple[float, float, float, float], size: ImageSize, element: str
) -> Evidence | None:
    """Evidence from a box in pixels (left, top, right, bottom), or None if it leaves the image."""
    left, top, right, bottom = box
    if not (0 <= left < right <= size.width and 0 <= top < bottom <= size.height):
        return None
    shares = (left / size.width, top / size.height, right / size.width, bottom / size.height)
    a, b, c, d = (round(share, 5) for share in shares)
    return Evidence(image=image, element=element, box=(a, b, c, d))


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn what Pillow raises into a reason."""
    try:
        with decoding():
            yield
    except BadRecordError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise BadRecordError("an image has too many pixels") from error
    except DECODER_ERRORS as error:
        raise BadRecordError("an image cannot be read") from error


def _check_size(image: PIL.Image.Image) -> None:
    if min(image.size) < 1 or image.width * image.height > MAX_PIXELS:
        raise BadRecordError("an image has too many pixels")


def _plain(name: str) -> str:
    """The last part of a path, with characters that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1])[-100:]
