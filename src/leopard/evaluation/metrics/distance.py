"""Edit distance and best one-to-one assignment, exact and without third-party libraries.

Knows nothing of answers, thresholds or benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence


def levenshtein(first: str, second: str) -> int:
    """Least number of single-character edits that turn one text into the other.

    Source: Levenshtein 1966; the two-row form of Wagner and Fischer 1974.
    """
    short, long = sorted((first, second), key=len)
    row = list(range(len(short) + 1))
    for index, char in enumerate(long, start=1):
        previous, row = row, [index]
        for column, other in enumerate(short):
            substituted = previous[column] + (char != other)
            row.append(min(substituted, previous[column + 1] + 1, row[column] + 1))
    return row[-1]


def similarity(first: str, second: str) -> float:
    """One minus edit distance over the longer length; two empty texts are equal (1.0)."""
    longest = max(len(first), len(second))
    return 1.0 - levenshtein(first, second) / longest if longest else 1.0


def best_assignment(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pair rows with columns one to one so that the summed gain is greatest.

    Args:
        gains: Gain of each pair, (num_rows, num_cols).

    Returns:
        `min(num_rows, num_cols)` pairs (row, column), by row.

    Source: the Hungarian method (Kuhn 1955) by shortest augmenting paths with potentials.
    """
    if not gains or not gains[0]:
        return []
    if len(gains) > len(gains[0]):
        flipped = [list(column) for column in zip(*gains, strict=True)]
        return sorted((row, column) for column, row in best_assignment(flipped))
    row_of_column = _augment_all(gains)
    return sorted((row - 1, column - 1) for column, row in enumerate(row_of_column) if row > 0)


def _augment_all(gains: Sequence[Sequence[float]]) -> list[int]:
    # Rows and columns count from 1; index 0 is the virtual root of each augmenting path.
    num_rows, num_cols = len(gains), len(gains[0])
    row_potential = [0.0] * (num_rows + 1)
    column_potential = [0.0] * (num_cols + 1)
    row_of_column = [0] * (num_cols + 1)
    for row in range(1, num_rows + 1):
        row_of_column[0] = row
        slack = [float("inf")] * (num_cols + 1)
        came_from = [0] * (num_cols + 1)
        used = [False] * (num_cols + 1)
        column = 0
        while row_of_column[column]:
            used[column] = True
            current = row_of_column[column]
            step, following = float("inf"), 0
            for candidate in range(1, num_cols + 1):
                if used[candidate]:
                    continue
                reduced = (
                    -gains[current - 1][candidate - 1]
                    - row_potential[current]
                    - column_potential[candidate]
                )
                if reduced < slack[candidate]:
                    slack[candidate], came_from[candidate] = reduced, column
                if slack[candidate] < step:
                    step, following = slack[candidate], candidate
            for index in range(num_cols + 1):
                if used[index]:
                    row_potential[row_of_column[index]] += step
                    column_potential[index] -= step
                else:
                    slack[index] -= step
            column = following
        while column:
            row_of_column[column] = row_of_column[came_from[column]]
            column = came_from[column]
    row_of_column[0] = 0
    return row_of_column
