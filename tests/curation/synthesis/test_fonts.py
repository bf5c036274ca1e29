"""Fonts: enough of them on every computer, the pinned ones first."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from leopard.curation import reading_pages
from leopard.curation.reading_fonts import READING_FONTS
from leopard.curation.synthesis import fonts, theme
from leopard.curation.synthesis.fonts import font_dirs, fontconfig, packaged_dirs
from leopard.curation.synthesis.printer import Printer
from leopard.errors import ConfigError

pytest.importorskip("typst")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all this computer has for fonts."""
    monkeypatch.setenv("LEOPARD_FONT_DIRS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("lists", [theme, reading_pages])
def test_a_computer_without_fonts_has_some_to_train_and_some_to_test(
    bare: Path, lists: object
) -> None:
    bare_printer = Printer()
    for in_files in (True, False):
        train = bare_printer.available(lists.TRAIN_FONTS, in_files=in_files)  # type: ignore[attr-defined]
        test = bare_printer.available(lists.HELD_OUT_FONTS, in_files=in_files)  # type: ignore[attr-defined]
        assert len(set(train)) >= 2
        assert len(set(test)) >= 2


def test_no_font_is_both_trained_on_and_held_out() -> None:
    trained = {*theme.TRAIN_FONTS, *reading_pages.TRAIN_FONTS, *READING_FONTS}
    assert not trained & {*theme.HELD_OUT_FONTS, *reading_pages.HELD_OUT_FONTS}


def test_the_pinned_files_win_over_those_of_the_system(bare: Path) -> None:
    (packaged,) = [folder for folder in packaged_dirs() if "lato" in folder.as_posix()]
    for file in packaged.glob("*.ttf"):
        (bare / f"other-{file.name}").write_bytes(file.read_bytes())
    used = Printer().font_paths("Lato")
    assert len(used) >= 4
    assert {Path(path).parent for path in used} == {packaged}


def test_other_programs_are_shown_the_same_folders(bare: Path) -> None:
    tree = ElementTree.fromstring(fontconfig(bare / "a & b"))
    assert [node.text for node in tree.iter("dir")] == [str(folder) for folder in font_dirs()]
    assert [node.text for node in tree.iter("cachedir")] == [str(bare / "a & b")]


def test_a_broken_font_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        value = "font_gone:files"

        def load(self) -> dict[str, str]:
            raise ImportError("No module named 'font_gone'")

    monkeypatch.setattr(fonts, "entry_points", lambda group: [Broken()])
    packaged_dirs.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"font_gone:files.*install it again"):
            packaged_dirs()
    finally:
        packaged_dirs.cache_clear()
