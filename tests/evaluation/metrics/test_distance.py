from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.evaluation.metrics.distance import best_assignment, levenshtein, similarity

words = st.text("abc", max_size=7)


def by_definition(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        by_definition(a[1:], b[1:]) + (a[0] != b[0]),
        by_definition(a[1:], b) + 1,
        by_definition(a, b[1:]) + 1,
    )


@settings(max_examples=40, deadline=None)
@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
def test_edit_distance_meets_its_definition(a, b):
    assert levenshtein(a, b) == by_definition(a, b)


@settings(max_examples=40, deadline=None)
@given(words, words, words)
def test_edit_distance_is_a_distance(a, b, c):
    assert levenshtein(a, b) == levenshtein(b, a)
    assert (levenshtein(a, b) == 0) == (a == b)
    assert levenshtein(a, c) <= levenshtein(a, b) + levenshtein(b, c)


def test_empty_texts_are_equal():
    assert similarity("", "") == 1.0
    assert similarity("", "ab") == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_assignment_is_the_best_of_all(rows, cols, data):
    gains = [[data.draw(st.integers(0, 6)) / 6 for _ in range(cols)] for _ in range(rows)]
    pairs = best_assignment(gains)
    assert len(pairs) == len({r for r, _ in pairs}) == len({c for _, c in pairs}) == min(rows, cols)
    if rows <= cols:
        best = max(
            sum(gains[r][c] for r, c in enumerate(p)) for p in permutations(range(cols), rows)
        )
    else:
        best = max(
            sum(gains[r][c] for c, r in enumerate(p)) for p in permutations(range(rows), cols)
        )
    assert abs(sum(gains[r][c] for r, c in pairs) - best) < 1e-9


def test_nothing_to_assign_gives_no_pairs():
    assert best_assignment([]) == best_assignment([[]]) == []
