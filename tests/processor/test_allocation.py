import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import BudgetError, ConfigError, GeometryError
from leopard.processor.allocation import allocate_tiles, policy_names
from leopard.processor.policies import Content
from leopard.schema.geometry import ImageSize
from tests.processor import golden

ALLOCATION = golden.read("allocation")


@pytest.mark.parametrize("case", ALLOCATION["cases"], ids=lambda case: str(case["id"]))
def test_published_policy_is_bit_exact(case):
    sizes = golden.sizes_of(case["image_sizes_wh"])
    tiles = allocate_tiles(sizes, budget=max(case["budget"], 0), crop_size=364)
    assert tiles == (case["patch_counts"] or [0] * len(sizes))


@pytest.mark.parametrize("case", ALLOCATION["allocate_patches_direct"])
def test_published_policy_is_bit_exact_at_any_budget(case):
    sizes = golden.sizes_of(case["image_sizes_wh"])
    tiles = allocate_tiles(sizes, budget=case["patch_budget"], crop_size=364)
    assert tiles == case["patch_counts"]


def test_published_policy_keeps_the_float_error():
    # 90 tiles wanted, 49 allowed: 90 * (49 / 90) is just below 49.
    assert allocate_tiles([ImageSize(3276, 3640)], budget=49, crop_size=364) == [48]


def test_published_policy_gives_nothing_to_seventeen_pages():
    assert allocate_tiles([ImageSize(1700, 2200)] * 17, budget=33, crop_size=364) != [2] * 17
    assert allocate_tiles([ImageSize(1700, 2200)] * 18, budget=32, crop_size=364) == [1] * 18


@pytest.mark.parametrize("policy", policy_names())
def test_a_negative_budget_is_refused(policy):
    with pytest.raises(BudgetError, match="tile budget is -1"):
        allocate_tiles([ImageSize(10, 10)], budget=-1, crop_size=364, policy=policy)


@pytest.mark.parametrize("policy", policy_names())
def test_no_budget_means_thumbnails_only(policy):
    sizes = [ImageSize(2000, 2000)] * 3
    assert allocate_tiles(sizes, budget=0, crop_size=364, policy=policy) == [0, 0, 0]


@pytest.mark.parametrize("policy", policy_names())
def test_no_image_needs_no_tile(policy):
    assert allocate_tiles([], budget=5, crop_size=364, policy=policy) == []


def test_an_unknown_policy_names_the_known_ones():
    with pytest.raises(ConfigError, match="'greedy' is unknown; use one of fill, published"):
        allocate_tiles([ImageSize(10, 10)], budget=5, crop_size=364, policy="greedy")


def test_a_crop_size_of_nothing_is_refused():
    with pytest.raises(GeometryError, match="crop_size is 0"):
        allocate_tiles([ImageSize(10, 10)], budget=5, crop_size=0)


@pytest.mark.parametrize("weights", [(1,), (1, -1), (1, 2, 3)])
def test_weights_that_do_not_fit_the_images_are_refused(weights):
    with pytest.raises(ConfigError, match="one integer of 0 or more for each of the 2 images"):
        allocate_tiles(
            [ImageSize(9, 9)] * 2, budget=5, crop_size=364, content=Content(weights=weights)
        )


def test_images_to_look_at_must_be_as_many_as_sizes():
    with pytest.raises(ConfigError, match="1 images to look at but 2 sizes"):
        allocate_tiles(
            [ImageSize(9, 9)] * 2, budget=5, crop_size=364, content=Content(images=("page",))
        )


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=20),
    st.integers(0, 60),
    st.sampled_from([14, 56, 364]),
    st.sampled_from(policy_names()),
)
@settings(deadline=None, max_examples=60)
def test_no_policy_spends_more_than_the_budget(pairs, budget, crop_size, policy):
    sizes = [ImageSize(*pair) for pair in pairs]
    tiles = allocate_tiles(sizes, budget=budget, crop_size=crop_size, policy=policy)
    assert len(tiles) == len(sizes)
    assert sum(tiles) <= budget
    assert all(count >= 0 for count in tiles)


def test_allocation_and_grids_load_neither_pillow_nor_numpy_nor_torch():
    code = (
        "import sys, leopard.processor.allocation, leopard.processor.grid\n"
        "print({'PIL', 'numpy', 'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("policy", policy_names())
def test_no_image_gets_more_tiles_than_it_may(policy: str) -> None:
    sizes = [ImageSize(3000, 4000), ImageSize(700, 700)]
    tiles = allocate_tiles(sizes, budget=48, crop_size=364, policy=policy, max_per_image=12)
    assert max(tiles) == 12
