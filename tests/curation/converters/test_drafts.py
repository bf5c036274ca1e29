"""Pictures of records: what a shard may hold, and what is refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from leopard.curation.converters.drafts import (
    Picture,
    content_name,
    embedded,
    picture_size,
    pixel_box,
    pixel_image,
)
from leopard.curation.imports import BadRecordError
from leopard.schema.geometry import ImageSize
from tests.curation.converters.fixtures import picture

ORIENTATION = 0x0112


def held(content: bytes, name: str = "a.png") -> Picture:
    return Picture(name=name, load=lambda: content)


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_plain_file_is_kept_byte_for_byte(kind: str) -> None:
    content = picture(4, kind=kind)
    assert pixel_image(held(content)).data == content


def test_any_other_file_becomes_a_png_of_the_same_pixels() -> None:
    colours = PIL.Image.open(io.BytesIO(picture(4)))
    for image, kind in ((colours, "BMP"), (colours.quantize(), "PNG"), (colours, "TIFF")):
        made = pixel_image(held(encoded(image, kind)))
        with PIL.Image.open(io.BytesIO(made.data)) as again:
            assert again.format == "PNG"
            assert again.mode == "RGB"
            assert np.array_equal(np.asarray(again), np.asarray(image.convert("RGB")))


def test_a_picture_lying_on_its_side_is_turned_up() -> None:
    image = PIL.Image.new("RGB", (30, 20), "white")
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    lying = held(encoded(image, "JPEG", exif=exif))
    made = pixel_image(lying)
    assert (made.width, made.height) == (20, 30)
    assert picture_size(lying) == ImageSize(20, 30)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"<svg/>", "cannot be read"),
        (picture(1)[:60], "cannot be read"),
        (encoded(PIL.Image.new("1", (20_000, 20_000)), "PNG"), "too many pixels"),
    ],
)
def test_damaged_and_huge_pictures_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadRecordError, match=reason):
        pixel_image(held(content))


def test_names_are_plain() -> None:
    made = pixel_image(held(picture(1), "../a b/ü?.png"))
    assert Path(made.path).name == made.path
    assert "?" not in made.path


def test_a_picture_in_a_record_is_bytes_with_or_without_a_path() -> None:
    content = picture(1)
    for value in (content, {"bytes": content, "path": None}):
        assert embedded(value, "x.png").load() == content
        assert content_name(value) == content_name(content)
    for nothing in (None, {"bytes": None}, b"", "text"):
        with pytest.raises(BadRecordError, match="an image is missing"):
            embedded(nothing, "x.png")


def test_boxes_are_shares_of_the_picture_and_stay_inside() -> None:
    size = ImageSize(200, 100)
    box = pixel_box(1, (20, 10, 100, 60), size, "7")
    assert box is not None
    assert box.box == (0.1, 0.1, 0.5, 0.6)
    for outside in ((-1, 0, 5, 5), (0, 0, 201, 5), (5, 5, 5, 9), (9, 5, 4, 9)):
        assert pixel_box(0, outside, size, "7") is None
