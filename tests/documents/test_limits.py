import time

import pytest

from leopard.documents.limits import Limits, Stopwatch
from leopard.errors import ConfigError, DocumentLimitError
from leopard.schema.geometry import ImageSize


@pytest.mark.parametrize(
    "name", ["max_pages", "max_pixels", "max_bytes", "max_seconds", "max_web_height_px"]
)
def test_a_limit_of_zero_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: 0})


def test_bytes_at_the_limit_pass_and_above_name_file_and_both_numbers() -> None:
    limits = Limits(max_bytes=1000)
    limits.check_bytes(1000, source="a.pdf")
    with pytest.raises(DocumentLimitError, match=r"a\.pdf.*1,001.*1,000.*max_bytes"):
        limits.check_bytes(1001, source="a.pdf")


def test_pixels_above_the_limit_name_page_and_remedy() -> None:
    limits = Limits(max_pixels=100)
    limits.check_pixels(ImageSize(10, 10), source="a", page=2, remedy="r")
    with pytest.raises(DocumentLimitError, match=r"a, page 2: .*101x1.*; scale it") as caught:
        limits.check_pixels(ImageSize(101, 1), source="a", page=2, remedy="scale it")
    assert caught.value.page == 2


def test_stopwatch_counts_work_and_not_the_time_between() -> None:
    watch = Stopwatch(Limits(max_seconds=60), "a")
    time.sleep(0.02)
    assert watch.spent_s == 0
    with watch.running():
        time.sleep(0.02)
        assert watch.spent_s > 0
    spent = watch.spent_s
    time.sleep(0.02)
    assert watch.spent_s == spent
    assert watch.remaining_s == pytest.approx(60 - spent)
    watch.check()


def test_stopwatch_refuses_when_the_time_is_used_up() -> None:
    watch = Stopwatch(Limits(max_seconds=0.001), "a.pdf")
    with watch.running():
        time.sleep(0.01)
    with pytest.raises(DocumentLimitError, match=r"a\.pdf.*0\.001 seconds.*max_seconds"):
        watch.check()
    assert watch.remaining_s > 0
