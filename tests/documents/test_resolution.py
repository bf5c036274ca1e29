import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.documents.resolution import (
    DEFAULT_DPI,
    MAX_DPI,
    MIN_DPI,
    PageExtent,
    dpi_for_reading,
    dpi_for_tiles,
    drawn_size,
    fitting_dpi,
    on_whole_crops,
    tiles_per_drawn_page,
    within_area,
    within_side,
)
from leopard.processor.allocation import allocate_tiles
from leopard.processor.grid import choose_grid
from leopard.schema.geometry import ImageSize

LETTER, A4, WIDE_SLIDE, SLIDE = (612, 792), (595.28, 841.89), (960, 540), (720, 540)
BANNER, PHONE = (2000, 300), (360, 640)
CROP = 364


def _points_shown(size: tuple[float, float], num_pages: int, dpi: float, policy: str) -> float:
    """Tiles per point that the encoder sees of each page, on average over the deck."""
    drawn = drawn_size(PageExtent(*size, is_vector=True), dpi)
    tiles = allocate_tiles(
        [drawn] * num_pages, budget=50 - num_pages, crop_size=CROP, policy=policy
    )
    total = 0.0
    for count in tiles:
        grid = choose_grid(drawn, max_tiles=count, crop_size=CROP) if count else None
        cols, rows = (grid.cols, grid.rows) if grid else (1, 1)
        total += min(cols / size[0], rows / size[1])
    return total / num_pages


@pytest.mark.parametrize("num_pages", [1, 2, 3, 5, 8, 12, 16, 17, 24])
@pytest.mark.parametrize("size", [LETTER, A4, WIDE_SLIDE, SLIDE, BANNER, PHONE])
@pytest.mark.parametrize(("policy", "share"), [("published", 0.999), ("fill", 0.93)])
def test_encoder_sees_as_much_as_of_any_higher_resolution(
    policy: str, share: float, size: tuple[float, float], num_pages: int
) -> None:
    chosen = _points_shown(size, num_pages, fitting_dpi(size, num_pages), policy)
    best = max(_points_shown(size, num_pages, dpi, policy) for dpi in (150, 200, 300))
    assert chosen >= share * best


@pytest.mark.parametrize("size", [LETTER, A4, WIDE_SLIDE, SLIDE])
def test_no_more_pixels_than_the_grid_takes(size: tuple[float, float]) -> None:
    page = PageExtent(*size, is_vector=True)
    for num_pages in (1, 2, 3, 4, 6):
        tiles = -(-(50 - num_pages) * 4 // (3 * num_pages)) if num_pages > 1 else 49
        drawn = drawn_size(page, fitting_dpi(size, num_pages))
        # One more row and column is the most that a half-filled edge costs.
        assert drawn.area <= CROP**2 * (tiles**0.5 + 1.5) ** 2


def test_letter_page_alone_fills_eight_rows_of_six_tiles_exactly() -> None:
    drawn = drawn_size(PageExtent(*LETTER, is_vector=True), fitting_dpi(LETTER, 1))
    assert drawn.width == 6 * CROP
    assert 7 * CROP < drawn.height <= 8 * CROP


def test_unknown_number_of_pages_gives_the_default() -> None:
    assert fitting_dpi(LETTER) == DEFAULT_DPI


@pytest.mark.parametrize("num_pages", [0, 49, 50, 51, 500])
def test_decks_without_tiles_are_drawn_at_the_least_resolution(num_pages: int) -> None:
    assert fitting_dpi(LETTER, num_pages or 60) == MIN_DPI


@settings(max_examples=100, deadline=None)
@given(width=st.floats(1e-3, 2e4), height=st.floats(1e-3, 2e4), max_tiles=st.integers(-5, 60))
def test_resolution_stays_in_its_bounds(width: float, height: float, max_tiles: int) -> None:
    dpi = dpi_for_tiles(PageExtent(width, height, is_vector=True), max_tiles=max_tiles)
    assert MIN_DPI <= dpi <= MAX_DPI


def test_small_images_leave_their_tiles_to_pages() -> None:
    page = PageExtent(*LETTER, is_vector=True)
    small = PageExtent(100, 100, is_vector=False)
    large = PageExtent(5000, 5000, is_vector=False)

    def tiles(*pages: PageExtent) -> int:
        return tiles_per_drawn_page(pages, crop_size=CROP, max_crops=50)

    assert tiles(page, small, small, small) > tiles(page, large, large, large)
    assert tiles(page, large) >= 24
    assert tiles(small) == 0
    assert tiles() == 0


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    side=st.integers(1, 3000),
    area=st.integers(1, 10**6),
)
def test_bounds_on_side_and_area_hold(width: int, height: int, side: int, area: int) -> None:
    size = ImageSize(width, height)
    bounded = within_side(size, side)
    assert max(bounded.width, bounded.height) == min(side, max(width, height))
    assert within_side(size, None) == size
    # One pixel is the least a side can have, whatever the area.
    assert within_area(size, area).area <= max(area, 1)
    assert within_area(size, size.area) == size


@settings(max_examples=200, deadline=None)
@given(
    width=st.floats(20, 3000),
    height=st.floats(20, 3000),
    max_tiles=st.integers(0, 20),
    reading_dpi=st.floats(72, 300),
)
def test_pages_for_reading_are_no_larger_than_asked_and_fit_their_tiles(
    width: float, height: float, max_tiles: int, reading_dpi: float
) -> None:
    page = PageExtent(width, height, is_vector=True)
    dpi = dpi_for_reading(page, reading_dpi=reading_dpi, max_tiles=max_tiles)
    assert MIN_DPI <= dpi <= max(reading_dpi, MIN_DPI)
    drawn = drawn_size(page, dpi)
    picture = on_whole_crops(drawn, CROP)
    assert picture.width % CROP == picture.height % CROP == 0
    assert 0 <= picture.width - drawn.width < CROP
    assert 0 <= picture.height - drawn.height < CROP
    if dpi > MIN_DPI:
        assert picture.area <= max(max_tiles, 1) * CROP**2


def test_a_little_resolution_is_given_for_fewer_crops() -> None:
    a5 = PageExtent(420, 595, is_vector=True)  # 758 x 1074 at 130: 30 pixels too wide for 2 crops
    drawn = drawn_size(a5, dpi_for_reading(a5, reading_dpi=130, max_tiles=12))
    assert drawn.width == 2 * CROP
    card = PageExtent(200, 200, is_vector=True)
    assert dpi_for_reading(card, reading_dpi=130, max_tiles=12) == 130
    assert on_whole_crops(drawn_size(card, 130), CROP) == ImageSize(CROP, CROP)


@pytest.mark.parametrize("size", [(200, 190), (420, 595), (595, 842), (640, 360)])
def test_pictures_for_reading_are_cut_without_scaling(size: tuple[int, int]) -> None:
    page = PageExtent(*size, is_vector=True)
    drawn = drawn_size(page, dpi_for_reading(page, reading_dpi=130, max_tiles=12))
    picture = on_whole_crops(drawn, CROP)
    (tiles,) = allocate_tiles([picture], budget=49, crop_size=CROP, policy="fill", max_per_image=12)
    grid = choose_grid(picture, max_tiles=tiles, crop_size=CROP) if tiles else None
    assert grid is None or grid.canvas(CROP) == picture
    assert grid is not None or picture == ImageSize(CROP, CROP)
