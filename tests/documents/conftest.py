"""Real files made on the spot."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import pypdf
import pytest
import typst
from PIL import Image


@functools.cache
def pdf_bytes(num_pages: int = 1, width: int = 612, height: int = 792) -> bytes:
    """A PDF whose page n says `Page n`."""
    pages = "\n#pagebreak()\n".join(f"= Page {n}" for n in range(1, num_pages + 1))
    source = f"#set page(width: {width}pt, height: {height}pt, margin: 40pt)\n{pages}"
    return bytes(typst.compile(source.encode()))


def encrypted_pdf(password: str, algorithm: str = "AES-256") -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_bytes(2)))
    writer.encrypt(password, algorithm=algorithm)
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def image_bytes(kind: str, size: tuple[int, int] = (40, 30), colour: str = "red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "a.pdf", num_pages: int = 1, width: int = 612, height: int = 792) -> Path:
        path = tmp_path / name
        path.write_bytes(pdf_bytes(num_pages, width, height))
        return path

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, size: tuple[int, int] = (40, 30), colour: str = "red") -> Path:
        path = tmp_path / name
        Image.new("RGB", size, colour).save(path)
        return path

    return make
