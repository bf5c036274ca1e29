import os
from pathlib import Path

import pytest
from PIL import Image

from leopard.documents.sources import HIDDEN, UNKNOWN_TYPE, expand_sources
from leopard.errors import DocumentError


def _names(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" if name.endswith(".png") else b"text")


def _found(folder: Path, *sources: str) -> list[str]:
    items = expand_sources(list(sources)).items
    return [str(item.path.relative_to(folder)) for item in items if item.path]


def test_folder_is_read_in_natural_order_and_leftovers_are_counted(tmp_path: Path) -> None:
    _names(tmp_path, "page10.png", "page2.png", "Page1.png", "notes.txt", ".hidden.png")
    _names(tmp_path, "b/1.png", ".git/x.png", "a.png")
    found = expand_sources([str(tmp_path)])
    names = [str(item.path.relative_to(tmp_path)) for item in found.items if item.path]
    assert names == ["a.png", "b/1.png", "Page1.png", "page2.png", "page10.png"]
    assert found.skipped == {HIDDEN: 2, UNKNOWN_TYPE: 1}
    assert not found.failures


def test_file_of_known_content_but_odd_name_is_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert _found(tmp_path, str(tmp_path)) == ["scan"]


def test_glob_is_expanded_in_natural_order(tmp_path: Path) -> None:
    _names(tmp_path, "p10.png", "p9.png", "q1.png", "p1.txt", "sub/p3.png")
    assert _found(tmp_path, f"{tmp_path}/p*") == ["p9.png", "p10.png"]
    assert _found(tmp_path, f"{tmp_path}/**/p*.png") == ["p9.png", "p10.png", "sub/p3.png"]
    assert _found(tmp_path, f"{tmp_path}/s*") == ["sub/p3.png"]


def test_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    _names(tmp_path, "a[1].png", "a1.png")
    assert _found(tmp_path, f"{tmp_path}/a[1].png") == ["a[1].png"]


def test_order_of_the_sources_is_kept(tmp_path: Path) -> None:
    _names(tmp_path, "z.png", "a.png")
    assert _found(tmp_path, f"{tmp_path}/z.png", f"{tmp_path}/a.png") == ["z.png", "a.png"]


def test_images_and_addresses_pass_through() -> None:
    image = Image.new("RGB", (1, 1))
    items = expand_sources([image, "https://example.org/a.pdf"]).items
    assert (items[0].source, items[0].image) == ("image 1", image)
    assert items[1].url == "https://example.org/a.pdf"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere/at/all.pdf", "no such file"),
        ("file:///etc/passwd", "addresses of kind file:// are not read"),
        ("ftp://example.org/a.pdf", "ftp://"),
        ("/nowhere/*.pdf", "no file matches"),
        ("a\0b.pdf", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("~no-such-user-here/a.pdf", ""),
        ("/dev/null", "device"),
    ],
)
def test_bad_names_are_failures_of_one_line_that_do_not_stop_the_others(
    tmp_path: Path, source: str, said: str
) -> None:
    _names(tmp_path, "a.png")
    found = expand_sources([source, str(tmp_path / "a.png")])
    assert len(found.items) == 1
    (error,) = found.failures
    assert isinstance(error, DocumentError)
    assert said in str(error)
    assert "\n" not in str(error)


def test_folder_without_readable_files_says_what_was_skipped(tmp_path: Path) -> None:
    _names(tmp_path, "a.txt", ".b.png")
    (error,) = expand_sources([str(tmp_path)]).failures
    assert "1 x hidden file, 1 x unknown file type" in str(error)


def test_empty_folder_is_a_failure(tmp_path: Path) -> None:
    (error,) = expand_sources([tmp_path]).failures
    assert "no file that can be read" in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission_is_a_failure(tmp_path: Path) -> None:
    _names(tmp_path, "in/a.png")
    (tmp_path / "in").chmod(0)
    try:
        (error,) = expand_sources([str(tmp_path)]).failures
    finally:
        (tmp_path / "in").chmod(0o700)
    assert "permission" in str(error)
