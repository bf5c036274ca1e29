"""Whatever the bytes and whatever the name: pages or a DocumentError of one line, nothing else."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from leopard.documents import Limits, LoadOptions, load_pages, page_sizes
from leopard.documents.kinds import SUFFIXES, Kind
from leopard.errors import DocumentError
from tests.documents.conftest import encrypted_pdf, image_bytes, pdf_bytes

FUZZ = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
OPTIONS = LoadOptions(target_dpi=20, limits=Limits(max_pixels=4_000_000))
ALL_SUFFIXES = sorted(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
SIGNATURES = [
    *(b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0"),
    *(b"MM\0*", b"RIFF\x20\0\0\0WEBPVP8 ", b""),
]


@pytest.fixture(autouse=True)
def _no_helper_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def _try(path: Path) -> None:
    """Read a file in all ways; anything but a DocumentError fails the test."""
    for read in (load_pages, page_sizes):
        found = read([path], options=OPTIONS, on_error="collect")
        assert found.pages or found.failures
        for error in found.failures:
            assert "\n" not in str(error)
            assert str(error).startswith(str(path))
            assert error.cause
            assert error.remedy


def _tiff() -> bytes:
    stream = io.BytesIO()
    frames = [Image.effect_noise((30, 20), 50) for _ in range(2)]
    frames[0].save(stream, "TIFF", save_all=True, append_images=frames[1:], compression="tiff_lzw")
    return stream.getvalue()


REAL = {
    "pdf": lambda: pdf_bytes(2),
    "locked.pdf": lambda: encrypted_pdf("x"),
    "png": lambda: image_bytes("PNG"),
    "jpg": lambda: image_bytes("JPEG"),
    "webp": lambda: image_bytes("WEBP"),
    "gif": lambda: image_bytes("GIF"),
    "bmp": lambda: image_bytes("BMP"),
    "tiff": _tiff,
}


@pytest.mark.parametrize("suffix", ALL_SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x00", b"text\n", b"\xff\xfe\x00\x01" * 50])
def test_junk_with_every_ending(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    _try(path)


@FUZZ
@given(
    suffix=st.sampled_from([*ALL_SUFFIXES, "", ".txt"]),
    signature=st.sampled_from(SIGNATURES),
    tail=st.binary(max_size=300),
)
def test_random_bytes_behind_every_signature(
    tmp_path: Path, suffix: str, signature: bytes, tail: bytes
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(signature + tail)
    _try(path)


@pytest.mark.parametrize("name", REAL)
def test_real_files_cut_at_many_lengths(tmp_path: Path, name: str) -> None:
    content = REAL[name]()
    path = tmp_path / f"a.{name}"
    for part in range(16):
        path.write_bytes(content[: len(content) * part // 16])
        _try(path)


@FUZZ
@given(
    name=st.sampled_from(sorted(REAL)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
def test_real_files_with_changed_bytes(
    tmp_path: Path, name: str, changes: list[tuple[float, int]]
) -> None:
    # Places are shares of the length: encrypted files differ in length from run to run.
    content = bytearray(REAL[name]())
    for place, value in changes:
        content[int(place * len(content))] = value
    path = tmp_path / f"a.{name}"
    path.write_bytes(content)
    _try(path)


def test_every_kind_has_endings() -> None:
    assert set(SUFFIXES) == set(Kind)


def test_file_that_vanishes_between_measuring_and_drawing_is_a_document_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leopard.documents import iter_pages

    for name, content in (("a.png", image_bytes("PNG")), ("a.pdf", pdf_bytes())):
        path = tmp_path / name
        path.write_bytes(content)
        with iter_pages([path]) as stream:
            path.unlink()
            with pytest.raises(DocumentError, match=name):
                list(stream)


def test_a_line_break_in_a_file_name_makes_no_second_line(tmp_path: Path) -> None:
    from leopard.documents import load_pages

    path = tmp_path / "two\nlines\x1b[31m.pdf"
    path.write_bytes(b"%PDF-1.7 and no more")
    with pytest.raises(DocumentError) as caught:
        load_pages([path])
    assert str(caught.value).isprintable()
    assert "two\\nlines\\x1b[31m.pdf" in str(caught.value)
    assert caught.value.source == str(path)
