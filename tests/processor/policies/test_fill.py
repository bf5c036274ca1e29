import random
from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leopard.processor.allocation import allocate_tiles
from leopard.processor.grid import choose_grid, grid_ladder
from leopard.processor.policies import Content
from leopard.processor.policies.fill import own_tiles
from leopard.schema.geometry import ImageSize

LETTER, SLIDE, BANNER = ImageSize(1700, 2200), ImageSize(1920, 1080), ImageSize(3000, 150)

decks = st.lists(
    st.builds(ImageSize, st.integers(30, 5000), st.integers(30, 5000)), min_size=1, max_size=14
)
budgets = st.integers(1, 49)
relaxed = settings(deadline=None, max_examples=60)


def fill(sizes, budget, weights=None):
    return allocate_tiles(
        sizes, budget=budget, crop_size=364, policy="fill", content=Content(weights=weights)
    )


def steps(size, budget):
    """Numbers of tiles that an image can use."""
    most = min(own_tiles(size, 364), budget)
    return [0, *(grid.num_tiles for grid in grid_ladder(size, max_tiles=most, crop_size=364))]


def is_over_demand(sizes, budget):
    return sum(steps(size, 10**4)[-1] for size in sizes) > budget


def test_sixteen_of_seventeen_equal_pages_get_two_tiles_of_thirty_three():
    assert fill([LETTER] * 17, 33) == [2] * 16 + [0]


def largest_sum(ladders, budget):
    """Most tiles that whole grids can add up to, by exact search over all sums."""
    sums = {0}
    for ladder in ladders:
        sums = {total + count for total in sums for count in ladder if total + count <= budget}
    return max(sums)


def wanted(sizes, budget, ladders=None):
    """95 % of the budget, or what whole grids allow; a rest of one tile is no grid."""
    ladders = ladders or [steps(size, budget) for size in sizes]
    return min(0.95 * budget, budget - 1, largest_sum(ladders, budget))


def near_shares(sizes, budget):
    """For each image the two grids around its share by area, and the next on either side."""
    ladders = {i: steps(size, 10**4) for i, size in enumerate(sizes)}
    shares = dict.fromkeys(ladders, Fraction(0))
    left, open_images = Fraction(budget), set(ladders)
    while open_images:  # images that their share would more than fill leave the rest to others
        level = left / sum(sizes[i].area for i in open_images)
        full = {i for i in open_images if ladders[i][-1] <= level * sizes[i].area}
        shares.update({i: level * sizes[i].area for i in open_images})
        shares.update({i: Fraction(ladders[i][-1]) for i in full})
        left -= sum(ladders[i][-1] for i in full)
        open_images = open_images - full if full else set()
    found = []
    for i, ladder in ladders.items():
        below = max(place for place, count in enumerate(ladder) if count <= shares[i])
        found.append(ladder[max(below - 1, 0) : below + 3])
    return found


@pytest.mark.parametrize("page", [LETTER, SLIDE, ImageSize(1654, 2339), ImageSize(2000, 2000)])
@pytest.mark.parametrize("num_pages", range(2, 49))
def test_decks_of_equal_pages_use_the_budget(page, num_pages):
    sizes, budget = [page] * num_pages, 50 - num_pages
    if is_over_demand(sizes, budget):
        assert sum(fill(sizes, budget)) >= wanted(sizes, budget)


@pytest.mark.parametrize("page", [LETTER, SLIDE, ImageSize(2000, 2000)])
@pytest.mark.parametrize("num_pages", range(1, 50))
def test_equal_pages_are_at_most_one_grid_apart_where_that_fills_the_budget(page, num_pages):
    budget = 50 - num_pages
    sizes, ladder = [page] * num_pages, steps(page, budget) if budget else [0]
    neighbours = (
        num_high * high + (num_pages - num_high) * low
        for low, high in pairwise(ladder)
        for num_high in range(num_pages + 1)
    )
    closest = max((total for total in neighbours if total <= budget), default=0)
    places = [ladder.index(count) for count in fill(sizes, budget)]
    if closest >= wanted(sizes, budget) or not is_over_demand(sizes, budget):
        assert max(places) - min(places) <= 1
    else:
        # Few pages of many tiles each: filling 95 % and equality exclude each other.
        assert num_pages <= 4
        assert max(places) - min(places) <= 3


def test_random_decks_use_the_budget_as_far_as_whole_grids_near_their_shares_allow():
    source = random.Random(7)
    shares, short, far = [], 0, 0
    for index in range(1000):
        count = source.randint(1, 30 if index % 2 else 8)
        sizes = [
            ImageSize(source.randint(300, 4000), source.randint(300, 4000)) for _ in range(count)
        ]
        budget = 50 - count
        if not is_over_demand(sizes, budget):
            continue
        tiles, ladders = fill(sizes, budget), near_shares(sizes, budget)
        far += any(n not in ladder for n, ladder in zip(tiles, ladders, strict=True))
        short += sum(tiles) < wanted(sizes, budget, ladders)
        shares.append(sum(tiles) / budget)
    assert len(shares) > 800
    # Of all choices with one sum only the nearest is looked at, and sums never fall.
    assert short <= 1
    assert far <= 0.005 * len(shares)
    assert sum(share < 0.95 for share in shares) / len(shares) < 0.015


def test_no_page_starves_for_the_sake_of_the_last_tiles():
    # 16 and none would use all of 16.
    assert fill([ImageSize(2000, 2000)] * 2, 16) == [9, 4]


@given(st.lists(st.builds(ImageSize, st.integers(300, 3000), st.integers(300, 3000)),
                min_size=2, max_size=4), st.integers(8, 30))  # fmt: skip
@relaxed
def test_no_choice_of_the_same_sum_is_nearer_to_shares_by_area(sizes, budget):
    assume(is_over_demand(sizes, budget))
    tiles = fill(sizes, budget)

    def distance(counts):
        return sum(Fraction(n**2, size.area) for n, size in zip(counts, sizes, strict=True))

    choices = product(*(steps(size, budget) for size in sizes))
    same = [counts for counts in choices if sum(counts) == sum(tiles)]
    assert distance(tiles) == min(map(distance, same))


def test_no_rule_fills_the_budget_and_never_takes_tiles_from_a_page():
    sizes = [ImageSize(2000, 2000)] * 3
    choices = list(product(*(steps(size, 48) for size in sizes)))
    full = {
        budget: [c for c in choices if wanted(sizes, budget) <= sum(c) <= budget]
        for budget in (38, 41)
    }
    assert full[38]
    assert full[41]
    for few, many in product(full[38], full[41]):
        assert any(after < before for before, after in zip(few, many, strict=True))


def test_a_banner_gets_tiles_along_its_long_side():
    count, *_ = fill([BANNER, *[LETTER] * 3], 46)
    grid = choose_grid(BANNER, max_tiles=count, crop_size=364)
    assert grid is not None
    assert grid.rows == 1
    assert grid.cols >= 2


def test_alone_every_image_gets_what_its_own_size_fills():
    assert fill([BANNER], 49) == [8]
    assert fill([LETTER], 49) == [30]
    assert fill([ImageSize(728, 364), ImageSize(300, 200)], 48) == [2, 0]


def test_own_tiles_counts_at_least_one_per_axis():
    assert own_tiles(BANNER, 364) == 8
    assert own_tiles(ImageSize(1, 1), 364) == 1
    assert own_tiles(ImageSize(546, 545), 364) == 2


def test_what_a_grid_cannot_use_goes_to_the_next_image():
    # A square takes 16 or 25 tiles; the rest of 20 goes to the strip.
    assert fill([ImageSize(3000, 3000), ImageSize(1456, 300)], 20) == [16, 4]


def test_weights_shift_tiles_towards_what_matters():
    plain = fill([LETTER] * 4, 30)
    shifted = fill([LETTER] * 4, 30, weights=(1, 1, 9, 1))
    assert max(plain) - min(plain) <= 3
    assert shifted[2] == max(shifted) > max(plain)
    assert fill([LETTER] * 2, 12, weights=(0, 1)) == [0, 12]


@given(decks, budgets)
@relaxed
def test_every_allocation_is_a_whole_grid_within_the_budget(sizes, budget):
    tiles = fill(sizes, budget)
    assert sum(tiles) <= budget
    for size, count in zip(sizes, tiles, strict=True):
        grid = choose_grid(size, max_tiles=count, crop_size=364)
        assert count == (grid.num_tiles if grid else 0)
        assert count <= own_tiles(size, 364)


@given(decks, budgets)
@relaxed
def test_nothing_is_left_that_the_next_grid_of_an_image_could_take(sizes, budget):
    tiles = fill(sizes, budget)
    left = budget - sum(tiles)
    for size, count in zip(sizes, tiles, strict=True):
        larger = [step for step in steps(size, budget) if step > count]
        assert not larger or larger[0] - count > left


@given(decks, st.integers(1, 48))
@relaxed
def test_more_budget_never_gives_fewer_tiles_in_all(sizes, budget):
    assert sum(fill(sizes, budget)) <= sum(fill(sizes, budget + 1))


@given(decks, budgets, st.randoms(use_true_random=False))
@relaxed
def test_order_of_images_does_not_matter_where_sizes_differ(sizes, budget, source):
    sizes += [ImageSize(sizes[0].height, sizes[0].width)]
    assume(len(set(sizes)) == len(sizes))
    order = list(range(len(sizes)))
    source.shuffle(order)
    tiles = fill(sizes, budget)
    assert fill([sizes[index] for index in order], budget) == [tiles[index] for index in order]


@given(decks)
@relaxed
def test_with_room_for_all_every_image_gets_its_own_grid(sizes):
    budget = sum(own_tiles(size, 364) for size in sizes)
    assert fill(sizes, budget) == [steps(size, budget)[-1] for size in sizes]


@given(st.integers(400, 4000), st.integers(400, 4000), st.integers(2, 12), budgets)
@relaxed
def test_of_two_alike_shapes_the_larger_never_gets_less(width, height, factor, budget):
    small = ImageSize(width, height)
    large = ImageSize(width * factor, height * factor)
    first, second = fill([small, large], budget)
    assert first <= second


@given(decks, budgets)
@relaxed
def test_allocation_is_the_same_every_time(sizes, budget):
    assert fill(sizes, budget) == fill(list(sizes), budget)
