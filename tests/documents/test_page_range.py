import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.documents.page_range import PageRange
from leopard.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "num_pages", "expected"),
    [
        ("1", 3, (1,)),
        ("1-3,7", 10, (1, 2, 3, 7)),
        ("5-", 7, (5, 6, 7)),
        (" 2 - 3 , 1 ", 3, (2, 3, 1)),
        ("1-3,2-4", 9, (1, 2, 3, 4)),
        ("2-999999999", 3, (2, 3)),
        ("4", 3, ()),
    ],
)
def test_selects_pages_in_the_order_asked(
    text: str, num_pages: int, expected: tuple[int, ...]
) -> None:
    assert PageRange.parse(text).select(num_pages) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "1,",
        "a",
        "0",
        "-3",
        "3-1",
        "1--2",
        "1 2",
        "1.5",
        "+1",
        "\u0661",
        "9999999999",
        "0-2",
    ],
)
def test_refuses_what_is_no_range_and_shows_it(text: str) -> None:
    with pytest.raises(ConfigError, match="pages"):
        PageRange.parse(text)


@pytest.mark.parametrize(
    ("text", "num_pages", "absent"),
    [("1-3", 3, 0), ("1-5", 3, 2), ("7", 3, 1), ("4-5,5-6,5", 3, 3), ("2-", 3, 0), ("5-", 3, 1)],
)
def test_counts_pages_that_are_not_there(text: str, num_pages: int, absent: int) -> None:
    assert PageRange.parse(text).num_absent(num_pages) == absent


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), min_size=1, max_size=5),
    num_pages=st.integers(1, 25),
)
def test_chosen_and_absent_pages_together_are_all_named_pages(
    parts: list[tuple[int, int]], num_pages: int
) -> None:
    page_range = PageRange(tuple((first, first + extra) for first, extra in parts))
    named = {n for first, extra in parts for n in range(first, first + extra + 1)}
    chosen = page_range.select(num_pages)
    assert set(chosen) == {n for n in named if n <= num_pages}
    assert len(chosen) == len(set(chosen))
    assert page_range.num_absent(num_pages) == len(named) - len(chosen)


@given(st.text(max_size=12))
def test_any_text_is_a_range_that_reads_back_or_a_config_error(text: str) -> None:
    try:
        page_range = PageRange.parse(text)
    except ConfigError:
        return
    assert PageRange.parse(str(page_range)) == page_range
