"""The printer: the same bytes for the same source, in colours that cost nothing to read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from leopard.curation.synthesis.printer import font_files_hash, printer, with_device_colours

pytest.importorskip("typst")
SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='60' height='30'>"
    "<rect width='60' height='30' fill='#2a9d8f' fill-opacity='0.5'/></svg>"
)
SOURCE = f"""#set document(date: none)
#set page(width: 200pt, height: auto, fill: rgb("#fbfaf5"))
#text(fill: rgb("#7a1f1f"))[Red words], #text(fill: luma(120))[grey words]
#table(columns: 2, fill: rgb("#e8eef5"), stroke: 0.4pt + luma(60), [a], [b])
#image(bytes("{SVG}"), format: "svg")
"""


def pixels(pdf: bytes) -> np.ndarray:
    document = pypdfium2.PdfDocument(io.BytesIO(pdf))
    page = document[0]
    image = np.asarray(page.render(scale=3).to_pil())
    page.close()
    document.close()
    return image


def test_the_same_source_gives_the_same_bytes() -> None:
    assert printer().pdf(SOURCE) == printer().pdf(SOURCE)


def test_plain_colours_change_no_pixel() -> None:
    profiled, _ = printer()._compiler.compile_with_warnings(SOURCE.encode(), pdf_tags=False)
    plain = with_device_colours(profiled)
    assert profiled.count(b"[/ICCBased") >= 2
    assert b"[/ICCBased" not in plain
    assert b"/DeviceRGB" in plain
    assert b"/DeviceGray" in plain
    assert len(plain) == len(profiled)
    assert np.array_equal(pixels(plain), pixels(profiled))
    assert len(np.unique(pixels(plain).reshape(-1, 3), axis=0)) > 10


def test_bytes_that_only_look_like_a_profile_are_left_alone() -> None:
    assert with_device_colours(b"obj\n[/ICCBased 9 0 R]\nendobj") == (
        b"obj\n[/ICCBased 9 0 R]\nendobj"
    )
    assert printer().pdf(SOURCE)[0] != b""


def test_a_font_is_known_by_the_content_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (family,) = printer().available(["Lato"])
    paths = [Path(path) for path in printer().font_paths(family)]
    assert paths
    assert all(path.is_file() for path in paths)
    before = font_files_hash(family)
    copies = []
    for number, path in enumerate(paths):
        copies.append(tmp_path / str(number) / path.name)
        copies[-1].parent.mkdir()
        copies[-1].write_bytes(path.read_bytes())
    monkeypatch.setattr(printer(), "font_paths", lambda _: [str(copy) for copy in copies])
    font_files_hash.cache_clear()
    assert font_files_hash(family) == before
    content = bytearray(copies[0].read_bytes())
    content[-1] ^= 1  # of the same name and size
    copies[0].write_bytes(content)
    font_files_hash.cache_clear()
    assert font_files_hash(family) != before
    font_files_hash.cache_clear()
