import math

import pytest

from leopard.documents import LoadOptions
from leopard.errors import ConfigError


@pytest.mark.parametrize(
    "values",
    [
        {"pages": "x"},
        {"target_dpi": 0},
        {"target_dpi": math.nan},
        {"target_dpi": 1e9},
        {"reading_dpi": 50},
        {"reading_dpi": math.inf},
        {"max_side_px": 0},
        {"animation_frames": "some"},
        {"max_crops": 0},
        {"crop_size": 0},
    ],
)
def test_values_outside_their_range_are_config_errors(values: dict[str, object]) -> None:
    name, value = next(iter(values.items()))
    with pytest.raises(ConfigError, match=name):
        LoadOptions(**{name: value})


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(LoadOptions(password="secret"))


def test_all_pages_are_wanted_by_default() -> None:
    assert LoadOptions().select_pages(3) == (1, 2, 3)
    assert LoadOptions().num_absent_pages(3) == 0


def test_page_range_is_applied() -> None:
    options = LoadOptions(pages="2-5")
    assert options.select_pages(3) == (2, 3)
    assert options.num_absent_pages(3) == 2
