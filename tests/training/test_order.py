"""The order of samples: every row once an epoch, shares kept all along, the same again from a
position."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from leopard.training.order import Mix, MixState, Shuffle, mix_shares

GROUPS = [[range(5), range(5, 9)], [range(3)]]


def mix(drawn: list[int] | None = None, *, enabled: bool = True) -> Mix:
    return Mix(
        groups=GROUPS,
        shares=[0.75, 0.25],
        shuffle=Shuffle(seed=3, window=4, enabled=enabled),
        state=MixState(drawn or []),
    )


def test_every_row_comes_once_an_epoch_in_another_order_each_time() -> None:
    one = mix()
    rows = [row for source, row in (one.draw() for _ in range(24)) if source == 0]
    first, second = rows[:9], rows[9:18]
    assert sorted(first) == sorted(second) == list(range(9))
    assert first != second
    assert first != list(range(9))


def test_a_mix_goes_on_from_its_counts_alone() -> None:
    whole = mix()
    before = [whole.draw() for _ in range(17)]
    assert len(set(before)) > 9
    rest = [whole.draw() for _ in range(20)]
    again = mix([sum(s == 0 for s, _ in before), sum(s == 1 for s, _ in before)])
    assert [again.draw() for _ in range(20)] == rest


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_shares_hold_on_every_stretch(weights: list[int]) -> None:
    shares = mix_shares([1] * len(weights), [float(w) for w in weights])
    many = Mix(groups=[[range(1)]] * len(weights), shares=shares, shuffle=Shuffle(seed=0, window=1))
    seen: Counter[int] = Counter()
    for count in range(1, 120):
        seen[many.draw()[0]] += 1
        for source, share in enumerate(shares):
            assert abs(seen[source] - share * count) < len(weights)


def test_sources_without_weight_keep_what_their_samples_make_of_all() -> None:
    assert mix_shares([30, 10], [None, None]) == [0.75, 0.25]
    assert mix_shares([50, 25, 25], [None, 3.0, 1.0]) == [0.5, 0.375, 0.125]


def test_unshuffled_rows_come_in_file_order() -> None:
    one = mix(enabled=False)
    rows = [row for source, row in (one.draw() for _ in range(12)) if source == 0]
    assert rows == list(range(9))
