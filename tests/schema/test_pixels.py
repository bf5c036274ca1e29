import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from leopard.schema.pixels import has_swapped_sides, to_rgb

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "La", "RGBa", "CMYK", "YCbCr"]
MODES += ["LAB", "HSV", "I", "F", "I;16", "I;16B", "I;16L"]


def _saved_with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    return Image.open(io.BytesIO(stream.getvalue()))


def _marked() -> Image.Image:
    """4x2, white, red in the top left corner."""
    image = Image.new("RGB", (4, 2), WHITE)
    image.putpixel((0, 0), RED)
    return image


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (4, 2), (0, 0)),
        (2, (4, 2), (3, 0)),
        (3, (4, 2), (3, 1)),
        (4, (4, 2), (0, 1)),
        (5, (2, 4), (0, 0)),
        (6, (2, 4), (1, 0)),
        (7, (2, 4), (1, 3)),
        (8, (2, 4), (0, 3)),
    ],
)
def test_every_exif_orientation_comes_out_upright(
    orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = _saved_with_orientation(_marked(), orientation)
    assert has_swapped_sides(image) == (orientation >= 5)
    upright = to_rgb(image)
    assert upright.size == size
    assert upright.getpixel(corner) == RED
    assert np.asarray(upright).sum() == 7 * 3 * 255 + 255


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_upright_size_is_known_before_decoding(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (16, 8), RED).save(stream, kind, exif=exif)
    image = Image.open(io.BytesIO(stream.getvalue()))
    width, height = image.size
    expected = (height, width) if has_swapped_sides(image) else (width, height)
    assert expected == to_rgb(image).size == (8, 16)


def test_turned_image_is_not_turned_again() -> None:
    upright = to_rgb(_saved_with_orientation(_marked(), 6))
    assert to_rgb(upright) is upright


def test_damaged_exif_is_taken_as_upright() -> None:
    image = _marked()
    image.info["exif"] = b"Exif\x00\x00II*\x00\xff\xff\xff\xff broken"
    assert to_rgb(image).size == (4, 2)
    assert not has_swapped_sides(image)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_outside_the_standard_is_ignored(orientation: int) -> None:
    assert to_rgb(_saved_with_orientation(_marked(), orientation)).getpixel((0, 0)) == RED


def test_plain_rgb_is_returned_as_it_is() -> None:
    image = _marked()
    assert to_rgb(image) is image


def test_the_given_image_is_never_changed() -> None:
    image = Image.new("RGBA", (3, 3), (1, 2, 3, 4))
    before = image.tobytes()
    to_rgb(image)
    assert image.mode == "RGBA"
    assert image.tobytes() == before


def test_alpha_is_laid_over_white() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 128)])
    assert [to_rgb(image).getpixel((x, 0)) for x in range(3)] == [RED, WHITE, (127, 127, 127)]


def test_grey_with_alpha_is_laid_over_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(0, 255), (0, 0)])
    assert [to_rgb(image).getpixel((x, 0)) for x in range(2)] == [BLACK, WHITE]


@pytest.mark.parametrize("key", [1, bytes([255, 0])])
def test_transparent_palette_entry_is_white(key: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.putdata([0, 1])
    image.info["transparency"] = key
    assert [to_rgb(image).getpixel((x, 0)) for x in range(2)] == [RED, WHITE]


def test_palette_without_transparency_keeps_its_colours() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([9, 8, 7])
    assert to_rgb(image).getpixel((0, 0)) == (9, 8, 7)


def test_transparent_colour_key_of_an_rgb_image_is_white() -> None:
    image = _marked()
    image.info["transparency"] = RED
    rgb = to_rgb(image)
    assert rgb.getpixel((0, 0)) == WHITE
    assert to_rgb(rgb) is rgb


def test_bilevel_is_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert [to_rgb(image).getpixel((x, 0)) for x in range(2)] == [BLACK, WHITE]


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_grey_is_scaled_not_clipped(dtype: str) -> None:
    image = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=dtype))
    assert image.mode.startswith("I;16")
    assert [to_rgb(image).getpixel((x, 0))[0] for x in range(3)] == [0, 100, 255]


def test_sixteen_bit_png_is_scaled_not_clipped() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16)).save(stream, "PNG")
    image = Image.open(io.BytesIO(stream.getvalue()))
    assert [to_rgb(image).getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([0, 2**30, 2**31 - 1], [0, 128, 255]),
        ([-10, 0, 10], [0, 128, 255]),
    ],
)
def test_32_bit_integers_use_the_least_scale_that_holds_them(
    values: list[int], expected: list[int]
) -> None:
    image = Image.fromarray(np.array([values], dtype=np.int32))
    assert image.mode == "I"
    assert [to_rgb(image).getpixel((x, 0))[0] for x in range(3)] == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([float("nan"), 0.0, 1.0], [0, 0, 255]),
        ([float("inf"), -1.0, 1.0], [0, 0, 255]),
        ([-3.4e38, 0.0, 3.4e38], [0, 128, 255]),
    ],
)
def test_float_grey_uses_the_least_scale_that_holds_it(
    values: list[float], expected: list[int]
) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert image.mode == "F"
    assert [to_rgb(image).getpixel((x, 0))[0] for x in range(3)] == expected


def test_cmyk_inks_become_light() -> None:
    image = Image.new("CMYK", (2, 1))
    image.putdata([(0, 255, 255, 0), (0, 0, 0, 0)])
    assert [to_rgb(image).getpixel((x, 0)) for x in range(2)] == [RED, WHITE]


def test_cmyk_jpeg_reads_as_drawn() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(stream, "JPEG", quality=95)
    red = to_rgb(Image.open(io.BytesIO(stream.getvalue()))).getpixel((8, 8))
    assert red[0] > 250
    assert max(red[1:]) < 8


@pytest.mark.parametrize("profile", [b"not a profile", "sRGB"])
def test_unusable_cmyk_profile_falls_back_to_the_plain_formula(profile: bytes | str) -> None:
    if profile == "sRGB":  # a real profile, but of another colour space
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    image.info["icc_profile"] = profile
    assert to_rgb(image).getpixel((0, 0)) == RED


def test_ycbcr_and_lab_become_the_same_colours() -> None:
    red = Image.new("RGB", (1, 1), RED)
    assert np.allclose(to_rgb(red.convert("YCbCr")).getpixel((0, 0)), RED, atol=2)
    grey = Image.new("LAB", (1, 1), (128, 128, 128))
    assert np.ptp(to_rgb(grey).getpixel((0, 0))) <= 8


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300)])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_works_down_to_one_pixel(mode: str, size: tuple[int, int]) -> None:
    rgb = to_rgb(Image.new(mode, size))
    assert rgb.mode == "RGB"
    assert rgb.size == size


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    data=st.data(),
)
def test_conversion_twice_equals_once(
    mode: str, width: int, height: int, data: st.DataObject
) -> None:
    per_pixel = {"L": 1, "LA": 2, "RGB": 3, "I;16": 2}.get(mode, 4)
    length = width * height * per_pixel
    raw = data.draw(st.binary(min_size=length, max_size=length))
    rgb = to_rgb(Image.frombytes(mode, (width, height), raw))
    assert (rgb.mode, rgb.size) == ("RGB", (width, height))
    assert to_rgb(rgb).tobytes() == rgb.tobytes()
