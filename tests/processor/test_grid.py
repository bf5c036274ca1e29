import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import GeometryError
from leopard.processor.grid import choose_grid, grid_ladder
from leopard.schema.geometry import Grid, ImageSize
from tests.processor import golden

sides = st.integers(1, 12000)


@pytest.mark.parametrize("case", golden.read("allocation")["select_best_resolution_direct"])
def test_grid_is_the_published_one(case):
    grid = choose_grid(ImageSize(*case["size_wh"]), max_tiles=case["num_patches"], crop_size=364)
    canvas = None if grid is None else [grid.cols * 364, grid.rows * 364]
    assert canvas == case["best_resolution_wh"]


@pytest.mark.parametrize("max_tiles", [-1, 0, 1])
def test_fewer_than_two_tiles_make_no_grid(max_tiles):
    assert choose_grid(ImageSize(4000, 4000), max_tiles=max_tiles, crop_size=364) is None


def test_a_square_takes_two_columns_rather_than_two_rows():
    assert choose_grid(ImageSize(900, 900), max_tiles=2, crop_size=364) == Grid(1, 2)


def test_a_crop_size_of_nothing_is_refused():
    with pytest.raises(GeometryError, match="crop_size is 0"):
        choose_grid(ImageSize(10, 10), max_tiles=4, crop_size=0)


@given(sides, sides, st.integers(2, 49))
@settings(deadline=None, max_examples=60)
def test_a_grid_has_at_least_two_tiles_and_no_more_than_allowed(width, height, most):
    grid = choose_grid(ImageSize(width, height), max_tiles=most, crop_size=364)
    assert grid is not None
    assert 2 <= grid.num_tiles <= most


@given(sides, sides, st.integers(0, 30))
@settings(deadline=None, max_examples=40)
def test_the_ladder_holds_every_grid_that_some_allowance_gives(width, height, most):
    size = ImageSize(width, height)
    chosen = {choose_grid(size, max_tiles=n, crop_size=364) for n in range(most + 1)} - {None}
    ladder = grid_ladder(size, max_tiles=most, crop_size=364)
    assert set(ladder) == chosen
    counts = [grid.num_tiles for grid in ladder]
    assert counts == sorted(set(counts))
