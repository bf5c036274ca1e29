import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import BudgetError, ContextLengthError
from leopard.processor.crops import plan_crops
from leopard.processor.limits import check_length, kept_images
from leopard.processor.settings import ProcessorSettings
from leopard.schema.geometry import ImageSize


def test_too_many_images_are_an_error_by_default():
    with pytest.raises(BudgetError, match="60 images but max_crops is 50"):
        kept_images(60, ProcessorSettings())


def test_the_first_images_are_kept():
    chosen = kept_images(9, ProcessorSettings(max_crops=3, on_too_many_images="first"))
    assert list(chosen) == [0, 1, 2]


def test_uniform_keeps_both_ends():
    policy = ProcessorSettings(max_crops=3, on_too_many_images="uniform")
    assert list(kept_images(9, policy)) == [0, 4, 8]
    alone = ProcessorSettings(max_crops=1, on_too_many_images="uniform")
    assert list(kept_images(9, alone)) == [0]


@given(st.integers(1, 60), st.integers(0, 300), st.sampled_from(["first", "uniform"]))
@settings(deadline=None, max_examples=60)
def test_kept_images_are_distinct_and_in_order(most, count, choice):
    chosen = list(kept_images(count, ProcessorSettings(max_crops=most, on_too_many_images=choice)))
    assert len(chosen) == min(most, count)
    assert chosen == sorted(set(chosen))
    assert all(0 <= index < count for index in chosen)


def test_what_fits_is_not_complained_about():
    plan = plan_crops([ImageSize(10, 10)])
    check_length(200, plan, 200)
    check_length(10**9, plan, None)


@pytest.mark.parametrize(
    ("length", "limit", "message"),
    [
        (20 + 7 * 169, 20 + 4 * 169, r"takes 1203 tokens \(1183 visual of 7 crops, 20 of text\), "
         "507 more than the limit of 696; max_crops=4 would fit"),
        (20 + 7 * 169, 20 + 2 * 169 - 1, "1 images as thumbnails would fit .*choose pages"),
        (500 + 7 * 169, 400, "without images 0 tokens are left: shorten the text"),
    ],
)  # fmt: skip
def test_too_long_says_by_how_much_and_what_would_fit(length, limit, message):
    plan = plan_crops([ImageSize(728, 728), ImageSize(100, 100)], max_crops=9)
    assert plan.num_crops == 6
    plan = plan_crops([ImageSize(728, 728), ImageSize(364, 100), ImageSize(9, 9)], max_crops=9)
    assert plan.num_crops == 7
    with pytest.raises(ContextLengthError, match=message):
        check_length(length, plan, limit)
