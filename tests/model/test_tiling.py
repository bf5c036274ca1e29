"""Tiles of pages put together and taken apart."""

from __future__ import annotations

import pytest
import torch

from leopard.model.tiling import by_page, crops_of_pages, num_crops

GRIDS = [(2, 3), (0, 0), (1, 2), (2, 3)]


def test_crops_are_counted_thumbnail_first_and_row_by_row() -> None:
    found = {shape: crops.tolist() for shape, crops in crops_of_pages(GRIDS).items()}
    assert found[2, 3] == [[*range(1, 7)], [*range(12, 18)]]
    assert found[1, 2] == [[9, 10]]
    assert found[1, 1] == [[0], [7], [8], [11]]
    assert num_crops(GRIDS) == 18


def test_pages_are_whole_while_something_is_made_of_them() -> None:
    cells = torch.arange(18 * 4 * 4).view(18, 4, 4, 1)
    seen = []

    def shifted(pages: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(pages.shape))
        return torch.nn.functional.pad(pages[:, :, :-1], (0, 0, 1, 0))  # from the cell on the left

    found = by_page(shifted, cells, grids=GRIDS)
    assert sorted(seen) == [(1, 4, 8, 1), (2, 8, 12, 1), (4, 4, 4, 1)]
    assert torch.equal(found[:, :, 1:], cells[:, :, :-1])
    for tile, left in ((2, 1), (3, 2), (5, 4), (6, 5), (10, 9), (13, 12)):
        assert torch.equal(found[tile, :, 0], cells[left, :, -1])
    for first in (0, 1, 4, 7, 8, 9, 11):  # thumbnails, and first columns of pages
        assert not found[first, :, 0].any()


def test_pages_that_show_nothing_are_left_out() -> None:
    values, is_shown = torch.ones(18, 2, 2, 3), torch.zeros(18, dtype=torch.bool)
    is_shown[14] = True
    found = by_page(lambda pages: 2 * pages, values, grids=GRIDS, is_shown=is_shown)
    assert (found[12:] == 2).all()
    assert not found[:12].any()
    nothing = by_page(lambda pages: 2 * pages, values, grids=None, is_shown=is_shown & False)
    assert nothing.shape == values.shape
    assert not nothing.any()


def test_grids_must_be_those_of_the_crops() -> None:
    with pytest.raises(ValueError, match="5 crops, but grids of 18"):
        by_page(lambda pages: pages, torch.ones(5, 2, 2), grids=GRIDS)


def test_sizes_can_be_counted_without_values() -> None:
    values, is_shown = (torch.ones(shape, device="meta") for shape in ((18, 2, 2, 3), (18,)))
    found = by_page(lambda pages: pages, values, grids=GRIDS, is_shown=is_shown.bool())
    assert found.shape == values.shape
