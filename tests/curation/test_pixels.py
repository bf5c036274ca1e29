"""Where elements of a page are on its image."""

from __future__ import annotations

import pytest

from leopard.curation.pixels import box_on_image
from leopard.schema.geometry import Box
from leopard.schema.samples import VectorPage

PAGE = (200.0, 100.0)


def image(*, augment_seed: int | None = None) -> VectorPage:
    return VectorPage(
        pdf_ref="0" * 64, page=1, dpi=72.0, width=200, height=100, augment_seed=augment_seed
    )


def test_a_box_is_in_shares_of_the_page() -> None:
    assert box_on_image(Box(20, 10, 100, 50), PAGE, image()) == (0.1, 0.1, 0.5, 0.5)


def test_what_stands_out_of_the_page_is_cut_off() -> None:
    assert box_on_image(Box(-4, -3, 210, 120), PAGE, image()) == (0.0, 0.0, 1.0, 1.0)


def test_a_scan_turns_its_boxes() -> None:
    straight = box_on_image(Box(20, 10, 100, 50), PAGE, image())
    turned = box_on_image(Box(20, 10, 100, 50), PAGE, image(augment_seed=5))
    assert turned != straight
    assert turned == pytest.approx(straight, abs=0.05)
