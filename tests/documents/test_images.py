import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leopard.documents.images import LATER_FRAMES, ImageDocument, MemoryImage
from leopard.documents.limits import Limits
from leopard.errors import DocumentFormatError, DocumentLimitError
from leopard.schema.geometry import ImageSize
from tests.documents.conftest import image_bytes

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def _open(path: Path, **options: object) -> ImageDocument:
    return ImageDocument(path, source=path.name, limits=options.pop("limits", Limits()), **options)


def _page(document: ImageDocument, number: int = 1) -> Image.Image:
    extent = document.extent(number)
    return document.render(number, ImageSize(int(extent.width), int(extent.height)))


def _frames(path: Path, sizes: list[tuple[int, int]]) -> Path:
    frames = [Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=True)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_becomes_an_rgb_page_of_its_own_size(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(image_bytes(kind, (40, 30), "red"))
    document = _open(path)
    page = _page(document)
    assert document.num_pages == 1
    assert not document.extent(1).is_vector
    assert (page.mode, page.size) == ("RGB", (40, 30))
    assert np.allclose(np.asarray(page).mean(axis=(0, 1)), (255, 0, 0), atol=2)


def test_pages_of_a_tiff_file_have_their_own_sizes(tmp_path: Path) -> None:
    document = _open(_frames(tmp_path / "a.tiff", [(10, 20), (30, 5), (7, 7)]))
    assert document.num_pages == 3
    assert [_page(document, n).size for n in (3, 1, 2)] == [(7, 7), (10, 20), (30, 5)]
    assert [_page(document, n).getpixel((0, 0)) for n in (1, 2, 3)] == COLOURS


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations_give_the_first_frame_and_count_the_others(tmp_path: Path, suffix: str) -> None:
    path = _frames(tmp_path / f"a{suffix}", [(8, 8)] * 3)
    document = _open(path)
    assert document.num_pages == 1
    assert document.skipped == {LATER_FRAMES: 2}
    assert _page(document).getpixel((0, 0)) == COLOURS[0]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_all_frames_of_an_animation_are_pages_on_request(tmp_path: Path, suffix: str) -> None:
    document = _open(_frames(tmp_path / f"a{suffix}", [(8, 8)] * 3), all_frames=True)
    assert document.num_pages == 3
    assert document.skipped.total() == 0
    assert [_page(document, n).getpixel((0, 0)) for n in (1, 2, 3)] == COLOURS


def test_page_does_not_change_when_another_frame_is_read(tmp_path: Path) -> None:
    document = _open(_frames(tmp_path / "a.tiff", [(8, 8)] * 3))
    first = _page(document, 1)
    _page(document, 2)
    document.close()
    assert first.getpixel((0, 0)) == COLOURS[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_exif_orientation_is_applied_to_size_and_pixels(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (40, 20), "red").save(path, exif=exif)
    document = _open(path)
    extent = document.extent(1)
    assert (extent.width, extent.height) == (20, 40)
    assert _page(document).size == (20, 40)


def test_transparent_sixteen_bit_and_cmyk_files_are_read(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "alpha.png")
    Image.fromarray(np.full((4, 4), 65535, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "ink.tiff")
    for name in ("alpha.png", "deep.png", "ink.tiff"):
        assert _page(_open(tmp_path / name)).getpixel((1, 1)) == (255, 255, 255)


def test_larger_pages_are_scaled_to_the_size_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (400, 200), "red").save(path)
    page = _open(path).render(1, ImageSize(100, 50))
    assert page.size == (100, 50)
    assert page.getpixel((50, 25)) == (255, 0, 0)


def test_too_many_pixels_are_refused_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(image_bytes("PNG", (100, 101))[:60])  # the header alone: nothing to decode
    document = _open(path, limits=Limits(max_pixels=10_000))
    with pytest.raises(DocumentLimitError, match=r"100x101.*10,100.*10,000"):
        document.extent(1)


def test_claims_beyond_what_pillow_opens_are_refused(tmp_path: Path) -> None:
    header = bytearray(image_bytes("BMP", (1, 1)))
    header[18:26] = (60_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(header)
    with pytest.raises(DocumentLimitError, match="more pixels than Pillow opens safely"):
        _open(tmp_path / "a.bmp")


def test_pillow_settings_are_left_alone(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.png").write_bytes(image_bytes("PNG"))
    _page(_open(tmp_path / "a.png", limits=Limits(max_pixels=10**9)))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_cut_files_are_errors_that_name_the_cause(tmp_path: Path, kind: str) -> None:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind)
    path = tmp_path / "a"
    path.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    with pytest.raises(DocumentFormatError, match="damaged"):
        _page(_open(path))


def test_damaged_page_of_a_tiff_file_is_named_and_the_others_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    frames = [Image.effect_noise((50, 50), 90) for _ in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], compression="tiff_deflate")
    with Image.open(path) as image:
        image.seek(1)
        offset = image.tag_v2[273][0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    document = _open(path)
    assert _page(document, 1).size == (50, 50)
    with pytest.raises(DocumentFormatError, match=r"a\.tiff, page 2: ") as caught:
        _page(document, 2)
    assert caught.value.page == 2
    assert _page(document, 3).size == (50, 50)


def test_formats_outside_the_list_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    Image.new("RGB", (2, 2)).save(path)
    with pytest.raises(DocumentFormatError):
        _open(path)


def test_image_in_memory_is_a_page() -> None:
    document = MemoryImage(Image.new("LA", (5, 6)), source="image 1", limits=Limits())
    page = document.render(1, ImageSize(5, 6))
    assert (page.mode, page.size) == ("RGB", (5, 6))


def test_image_in_memory_without_pixels_is_an_error() -> None:
    document = MemoryImage(Image.new("RGB", (0, 6)), source="image 2", limits=Limits())
    with pytest.raises(DocumentFormatError, match=r"image 2: .*0x6"):
        document.extent(1)


def test_image_in_memory_has_the_same_pixel_limit() -> None:
    limits = Limits(max_pixels=10)
    with pytest.raises(DocumentLimitError):
        MemoryImage(Image.new("RGB", (4, 4)), source="image 1", limits=limits).extent(1)
