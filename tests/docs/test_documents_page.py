"""The page on documents says what the code does."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from leopard.documents import Limits, LoadOptions, WebOptions, fitting_dpi
from leopard.documents.browser import ONE_PAGE_HEIGHT_PX, PAGE_HEIGHT_PX, PAGE_WIDTH_PX
from leopard.documents.kinds import SUFFIXES
from leopard.documents.programs import CHROMIUM, LIBREOFFICE
from leopard.documents.resolution import MAX_DPI, MIN_DPI, PageExtent, drawn_size

PAGE = Path(__file__).parents[2] / "docs" / "documents.md"
TEXT = PAGE.read_text(encoding="utf-8")
FLOWING = re.sub(r"\s+", " ", TEXT)


def _rows(heading: str) -> list[list[str]]:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_formats_are_all_formats_with_all_their_endings() -> None:
    shown = {row[0]: re.findall(r"`(\.\w+)`", row[1]) for row in _rows("Formats")}
    assert shown == {kind.value: list(suffixes) for kind, suffixes in SUFFIXES.items()}


def test_limits_are_all_limits_with_their_defaults() -> None:
    rows = _rows("Limits")
    assert {row[0].strip("`"): float(row[2].replace(",", "")) for row in rows} == asdict(Limits())
    wanted = {"--max-pages", "--max-megapixels", "--max-megabytes", "--max-seconds"}
    assert {row[1].strip("`") for row in rows if row[1]} == wanted


@pytest.mark.parametrize("helper", [LIBREOFFICE, CHROMIUM])
def test_install_commands_are_those_of_the_messages(helper: object) -> None:
    assert [helper.title, f"`{helper.install}`"] in _rows("Helper programs")  # type: ignore[attr-defined]


def test_layout_of_web_pages_is_as_said() -> None:
    assert f"laid out {PAGE_WIDTH_PX} CSS pixels wide" in FLOWING
    assert f"Up to a height of {ONE_PAGE_HEIGHT_PX} pixels they stay one page" in FLOWING
    assert f"pages of {PAGE_HEIGHT_PX} pixels" in FLOWING


def test_resolutions_are_as_said() -> None:
    alone = fitting_dpi((612, 792), 1)
    size = drawn_size(PageExtent(612, 792, is_vector=True), alone)
    assert f"about {alone:.0f} dpi ({size} pixels), twenty at {MIN_DPI:.0f}" in FLOWING
    assert fitting_dpi((612, 792), 20) == MIN_DPI
    assert f"never below {MIN_DPI:.0f} or above {MAX_DPI:.0f} dpi" in FLOWING


def test_options_that_the_page_names_exist_with_the_defaults_it_implies() -> None:
    options = LoadOptions(
        pages="1-3", password="x", animation_frames="all", target_dpi=100, max_side_px=1000
    )
    assert options.animation_frames == "all"
    assert LoadOptions().animation_frames == "first"
    assert WebOptions() == WebOptions(scripts_in_files=False, scripts_in_urls=True)
    for name in ("password", "animation_frames", "target_dpi", "max_side_px"):
        assert f"`{name}" in TEXT
