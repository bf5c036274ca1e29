"""Passes stay within their budgets and are dealt evenly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leopard.training.passes import Pick, plan_passes, positions
from leopard.training.settings import BatchSettings

PICKS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 10)), min_size=1, max_size=40)


def picks(sizes: list[tuple[int, int]]) -> list[Pick]:
    return [
        Pick(source=0, row=row, num_messages=2, tokens=tokens, crops=crops, learned=1)
        for row, (tokens, crops) in enumerate(sizes)
    ]


@pytest.mark.parametrize("layout", ["packed", "padded"])
@given(sizes=PICKS, world=st.integers(1, 5))
def test_budgets_hold_and_every_sample_is_used_once(
    layout: str, sizes: list[tuple[int, int]], world: int
) -> None:
    settings = BatchSettings.model_validate(
        {"samples": 8, "tokens_per_pass": 104, "crops_per_pass": 12, "layout": layout}
    )
    dealt = plan_passes(picks(sizes), settings, world)
    assert len(dealt) == world
    assert len({len(passes) for passes in dealt}) == 1
    groups = [group for passes in dealt for group in passes]
    assert sorted(pick.row for group in groups for pick in group) == list(range(len(sizes)))
    assert all(positions(group, layout) <= 104 for group in groups)
    assert all(sum(pick.crops for pick in group) <= 12 for group in groups)
    # A process idles only when there are fewer samples than would fill a round.
    assert sum(not group for group in groups) < world


def test_packing_fills_rows_where_padding_wastes_them() -> None:
    sizes = [(96, 0), (8, 0), (8, 0), (88, 0), (16, 0), (96, 0), (8, 0)]
    packed = BatchSettings(tokens_per_pass=104, crops_per_pass=1)
    padded = packed.model_copy(update={"layout": "padded"})
    assert len(plan_passes(picks(sizes), packed)[0]) == 4
    assert len(plan_passes(picks(sizes), padded)[0]) == 4
    (row,) = plan_passes(picks([(60, 0), (30, 0)]), packed)[0]
    assert positions(row, "packed") == 90
    assert len(plan_passes(picks([(60, 0), (30, 0)]), padded)[0]) == 2


def test_one_pass_is_split_so_that_two_processes_work() -> None:
    dealt = plan_passes(picks([(10, 0)] * 4), BatchSettings(tokens_per_pass=104), 2)
    assert [[len(group) for group in passes] for passes in dealt] == [[2], [2]]
