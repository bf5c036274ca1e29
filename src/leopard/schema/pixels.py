"""Any Pillow image to upright RGB: the one place that knows modes, alpha and EXIF orientation.

Pillow and numpy are imported when a function is called, so that the schema stays light. Knows
nothing of files, crops or tensors.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from leopard.schema.geometry import ImageSize

WHITE = (255, 255, 255)
ORIENTATION_TAG = 0x0112
"""EXIF tag of the orientation, values 1 to 8 (EXIF 2.32, section 4.6.4)."""
_SWAPPED_ORIENTATIONS = frozenset({5, 6, 7, 8})
_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV", "LAB"})
_FULL_SCALES = (1.0, 255.0, 65535.0)

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
"""Pillow plugins that may look at a file. The others, some of them external programs, may not."""

# Pillow's decoders answer damaged data with any of these.
DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# What Pillow raises on EXIF data that does not parse; such data says nothing about orientation.
_EXIF_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)


@contextmanager
def decoding() -> Iterator[None]:
    """Keep Pillow from warning: limits are checked by callers, odd metadata does no harm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def to_rgb(image: Image) -> Image:
    """Turn an image of any mode into an upright RGB one.

    EXIF orientation is applied; transparency is laid over white, as paper would show it; grey
    images of more than 8 bits are scaled from their full range (see `_deep_grey_to_rgb`); CMYK
    goes through its embedded colour profile when there is one. Applying it twice changes nothing.

    Args:
        image: Any Pillow image; it is decoded if it was not yet, and never changed. One that says
            `is_upright_rgb` is believed, and not decoded.

    Returns:
        The same object if it was upright and opaque RGB already, otherwise a new image.

    Raises:
        OSError: If the image is opened lazily and its data is damaged (from Pillow).
    """
    if getattr(image, "is_upright_rgb", False):
        return image
    image.load()
    upright = _upright(image)
    if upright.mode == "RGB" and not upright.has_transparency_data:
        return upright
    rgb = _convert(upright)
    # Profiles, transparency keys and EXIF of the old mode are wrong for the new one.
    rgb.info = {}
    return rgb


def with_margins(image: Image, size: ImageSize) -> Image:
    """An RGB image at the left and top of a white one.

    Args:
        image: No larger than `size`; returned as it is where it has that size.
        size: Of the result, in pixels.
    """
    if image.size == (size.width, size.height):
        return image
    import PIL.Image

    picture = PIL.Image.new("RGB", (size.width, size.height), "white")
    picture.paste(image, (0, 0))
    return picture


def png_bytes(image: Image) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def has_swapped_sides(image: Image) -> bool:
    """Whether `to_rgb` swaps the width and height that the image reports now.

    Reads the header only where Pillow can. Of TIFF files Pillow reports the upright size itself.
    """
    return image.format != "TIFF" and _orientation(image) in _SWAPPED_ORIENTATIONS


def _orientation(image: Image) -> int:
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged EXIF data; the picture itself is not concerned.
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ORIENTATION_TAG, 1))
    except _EXIF_ERRORS:
        return 1


def _upright(image: Image) -> Image:
    if not 2 <= _orientation(image) <= 8:
        return image
    from PIL import ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        turned = ImageOps.exif_transpose(image)
    # A second tag can hide in XMP; with all metadata gone nobody turns the picture twice.
    turned.info = {key: turned.info[key] for key in ("transparency",) if key in turned.info}
    turned.getexif().clear()
    return turned


def _convert(image: Image) -> Image:
    if image.has_transparency_data:
        return _over_white(image)
    if image.mode in _PLAIN_MODES:
        return image.convert("RGB")
    if image.mode.startswith("I;16"):
        return _grey_to_rgb(_as_array(image) / 65535.0)
    if image.mode in ("I", "F"):
        return _deep_grey_to_rgb(image)
    if image.mode == "CMYK":
        return _cmyk_to_rgb(image)
    return image.convert("RGB")


def _over_white(image: Image) -> Image:
    import PIL.Image

    # Pillow undoes premultiplied grey only into plain grey with alpha.
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    paper = PIL.Image.new("RGBA", rgba.size, (*WHITE, 255))
    return PIL.Image.alpha_composite(paper, rgba).convert("RGB")


def _as_array(image: Image) -> Any:
    import numpy as np

    # Signalling NaNs of damaged float images warn when they are cast; they become NaN all the same.
    with np.errstate(invalid="ignore"):
        return np.asarray(image).astype(np.float64)


def _grey_to_rgb(share: Any) -> Image:
    """Grey values from 0 (black) to 1 (white), shape (height, width), to RGB."""
    import numpy as np
    import PIL.Image

    grey = np.rint(np.clip(share, 0.0, 1.0) * 255.0).astype(np.uint8)
    return PIL.Image.fromarray(grey).convert("RGB")


def _deep_grey_to_rgb(image: Image) -> Image:
    """32-bit integer or float grey, whose files do not say what white is.

    White is the least of 1 (floats only), 255 and 65535 that no value exceeds; a picture outside
    all of them is stretched from its minimum to its maximum. Values that are no numbers are black.
    """
    import numpy as np

    values = _as_array(image)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)
    low, high = float(values.min()), float(values.max())
    scales = _FULL_SCALES if image.mode == "F" else _FULL_SCALES[1:]
    white = next((scale for scale in scales if low >= 0 and high <= scale), None)
    if white is not None:
        return _grey_to_rgb(values / white)
    # Halved before subtracting: the range of float32 extremes is kept finite.
    share = (values / 2 - low / 2) / max(high / 2 - low / 2, np.finfo(np.float64).tiny)
    return _grey_to_rgb(np.where(finite, share, 0.0))


def _cmyk_to_rgb(image: Image) -> Image:
    profile = image.info.get("icc_profile")
    if profile:
        from PIL import ImageCms

        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
