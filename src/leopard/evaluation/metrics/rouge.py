"""ROUGE F scores in the form of the `rouge` package (1.0.1), on which web benchmarks rely.

That package splits at ".", works on *sets* of n-grams and adds 1e-8 to a denominator, so a
perfect score is 0.999999995. An empty side scores 0 here (the package raises).
Source: Lin 2004, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence


def rouge_n(hypothesis: str, reference: str, n: int) -> float:
    """F score over the sets of word n-grams, 0 to 1."""
    first, second = _sentences(hypothesis), _sentences(reference)
    if not first or not second:
        return 0.0
    got, wanted = _ngrams(_words(first), n), _ngrams(_words(second), n)
    return _f_score(len(got & wanted), len(got), len(wanted))


def rouge_l(hypothesis: str, reference: str) -> float:
    """Summary-level F score: longest common subsequences, united over sentences, 0 to 1."""
    first, second = _sentences(hypothesis), _sentences(reference)
    if not first or not second:
        return 0.0
    union: set[str] = set()
    total = 0
    for sentence in second:
        before = len(union)
        for other in first:
            union |= set(_common_subsequence(sentence.split(" "), other.split(" ")))
        total += len(union) - before
    return _f_score(total, len(set(_words(first))), len(set(_words(second))))


def _sentences(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split(".") if part]


def _words(sentences: Sequence[str]) -> list[str]:
    return [word for sentence in sentences for word in sentence.split(" ")]


def _ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def _f_score(overlap: int, num_got: int, num_wanted: int) -> float:
    precision = overlap / num_got if num_got else 0.0
    recall = overlap / num_wanted if num_wanted else 0.0
    return 2.0 * (precision * recall) / (precision + recall + 1e-8)


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> list[str]:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, word in enumerate(first, start=1):
        for j, other in enumerate(second, start=1):
            if word == other:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    words: list[str] = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            words.append(first[i - 1])
            i, j = i - 1, j - 1
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words
