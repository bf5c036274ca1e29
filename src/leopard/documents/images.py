"""Image files and images in memory as documents: every frame a page, upright RGB.

Knows Pillow; how modes become RGB is `leopard.schema.pixels`' knowledge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image

from leopard.documents.document import one_line
from leopard.documents.limits import Limits
from leopard.documents.resolution import PageExtent
from leopard.errors import DocumentError, DocumentFormatError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import (
    DECODER_ERRORS,
    IMAGE_FORMATS,
    decoding,
    has_swapped_sides,
    to_rgb,
)

LATER_FRAMES = "animation frame after the first"

_SCALE_DOWN = "scale the image down or raise max_pixels (--max-megapixels)"


class ImageDocument:
    """An image file; TIFF pages, and animation frames if asked for, are its pages.

    Args:
        path: The file.
        source: Name for people.
        limits: Pixels are checked from the header, before anything is decoded.
        all_frames: Whether all frames of an animation are pages, or the first only.

    Raises:
        DocumentFormatError: If the file is damaged.
        DocumentLimitError: If a frame has too many pixels.
    """

    def __init__(
        self, path: Path, *, source: str, limits: Limits, all_frames: bool = False
    ) -> None:
        self.source = source
        self.skipped = Counter[str]()
        self._path = path
        self._limits = limits
        self._image: PIL.Image.Image | None = None
        with self._decoding():
            image = self._open()
            frames = int(getattr(image, "n_frames", 1))
            has_pages = all_frames or image.format == "TIFF"
        self.num_pages = frames if has_pages and image.format != "MPO" else 1
        if image.format != "MPO":  # the further pictures of an MPO are previews
            self.skipped[LATER_FRAMES] += frames - self.num_pages

    def extent(self, number: int) -> PageExtent:
        """Upright size of a frame in pixels, from its header."""
        with self._decoding(number):
            image = self._frame(number)
            size = _upright_size(image)
        self._limits.check_pixels(size, source=self.source, page=number, remedy=_SCALE_DOWN)
        return PageExtent(size.width, size.height, is_vector=False)

    def render(self, number: int, size: ImageSize) -> PIL.Image.Image:
        """Decode a frame; it is scaled only if `size` is not its own size."""
        self.extent(number)
        with self._decoding(number):
            image = to_rgb(self._frame(number))
            # Pages outlive the file: a frame that is still the file's own is copied.
            image = image.copy() if image is self._image else image
            return _scaled(image, size)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._image is not None:
            self._image.close()
            self._image = None

    def _open(self) -> PIL.Image.Image:
        if self._image is None:
            self._image = PIL.Image.open(self._path, formats=IMAGE_FORMATS)
        return self._image

    def _frame(self, number: int) -> PIL.Image.Image:
        image = self._open()
        if getattr(image, "n_frames", 1) > 1:
            image.seek(number - 1)
        return image

    @contextmanager
    def _decoding(self, number: int | None = None) -> Iterator[None]:
        page = number if number is not None and self._has_pages else None
        try:
            with _as_document_errors(self.source, page):
                yield
        except DocumentError:
            self.close()
            raise

    @property
    def _has_pages(self) -> bool:
        return getattr(self, "num_pages", 1) > 1


class MemoryImage:
    """An image that the caller holds in memory."""

    def __init__(self, image: PIL.Image.Image, *, source: str, limits: Limits) -> None:
        self.source = source
        self.num_pages = 1
        self.skipped = Counter[str]()
        self._image = image
        self._limits = limits

    def extent(self, number: int) -> PageExtent:
        """Upright size in pixels."""
        with _as_document_errors(self.source):
            if min(self._image.size) < 1:
                raise ValueError(f"it is {self._image.width}x{self._image.height} pixels")
            size = _upright_size(self._image)
        self._limits.check_pixels(size, source=self.source, page=number, remedy=_SCALE_DOWN)
        return PageExtent(size.width, size.height, is_vector=False)

    def render(self, number: int, size: ImageSize) -> PIL.Image.Image:
        """The image as upright RGB; scaled only if `size` is not its own size."""
        assert number == 1
        with _as_document_errors(self.source):
            return _scaled(to_rgb(self._image), size)

    def close(self) -> None:
        """Nothing to give back: the image is the caller's."""


def _upright_size(image: PIL.Image.Image) -> ImageSize:
    width, height = image.size
    if has_swapped_sides(image):
        width, height = height, width
    return ImageSize(width, height)


def _scaled(image: PIL.Image.Image, size: ImageSize) -> PIL.Image.Image:
    wanted = (size.width, size.height)
    if image.size == wanted:
        return image
    return image.resize(wanted, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)


@contextmanager
def _as_document_errors(source: str, page: int | None = None) -> Iterator[None]:
    """Turn what Pillow raises into the errors of `leopard.errors`."""
    try:
        with decoding():
            yield
    except PIL.Image.DecompressionBombError as error:
        raise DocumentLimitError(
            "the header claims more pixels than Pillow opens safely",
            source=source,
            page=page,
            remedy="scale the image down",
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise DocumentFormatError(
            "the image header is damaged", source=source, page=page, remedy="save it again"
        ) from error
    except DECODER_ERRORS as error:
        reason = one_line(error) or type(error).__name__
        raise DocumentFormatError(
            f"the image is damaged or cut short ({reason})",
            source=source,
            page=page,
            remedy="save or fetch it again",
        ) from error
