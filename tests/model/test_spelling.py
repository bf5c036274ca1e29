"""Spelling: characters of a cell one after the other, then their codes."""

from __future__ import annotations

import pytest
import torch

from leopard.model.reader import LeopardReaderConfig
from leopard.model.spelling import LetterPairs, Spelling


@pytest.fixture
def spelling() -> Spelling:
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        image_size=56,
        cell_size=16,
        lines_per_cell=2,
        places_per_line=4,
        last_per_line=2,
        num_classes=6,
        code_size=3,
        chain_size=8,
    )
    return Spelling(config).eval()


def test_what_was_read_before_changes_what_comes_after_it_and_nothing_before(
    spelling: Spelling,
) -> None:
    cells = torch.randn(5, 16)
    known = torch.randint(0, 6, (5, 8))
    other = known.clone()
    other[:, 1] = (known[:, 1] + 1) % 6  # second place of the upper line
    with torch.no_grad():
        before, after = spelling.weigh(cells, known), spelling.weigh(cells, other)
    is_same = (before == after).all(-1).all(0)
    assert is_same.tolist() == [True, True, False, False, True, True, True, True]


def test_unless_told_it_goes_on_from_what_it_thinks_likeliest(spelling: Spelling) -> None:
    cells = torch.randn(5, 16)
    with torch.no_grad():
        alone = spelling.weigh(cells)
        told = spelling.weigh(cells, alone.argmax(-1))
    torch.testing.assert_close(alone, told)


def test_nothing_stands_behind_the_end_of_a_line_and_its_last_ones_are_named_again(
    spelling: Spelling,
) -> None:
    cells = torch.randn(3, 4, 16)
    with torch.no_grad():
        spelling.head.weight *= 40
        shares = spelling.read(cells)
        likeliest = spelling.weigh(cells).argmax(-1).view(3, 4, 2, 4)
    assert shares.shape == (3, 4, 2 * (4 + 2), 6)
    lines = shares[:, :, :8].view(3, 4, 2, 4, 6)
    last = shares[:, :, 8:].view(3, 4, 2, 2, 6)
    ends = set()
    for where in torch.cartesian_prod(torch.arange(3), torch.arange(4), torch.arange(2)).tolist():
        read = likeliest[tuple(where)].tolist()
        end = read.index(0) if 0 in read else 4
        ends.add(end)
        line = lines[tuple(where)]
        assert (line[end:] == 0).all()
        torch.testing.assert_close(line[:end].sum(-1), torch.ones(end))
        for back in range(2):
            at = end - 1 - back
            expected = line[at] if at >= 0 else torch.zeros(6)
            torch.testing.assert_close(last[tuple(where)][back], expected)
    assert len(ends) > 2


def passages(codes: torch.Tensor) -> torch.Tensor:
    """What stands before each cell of a row of four, given the codes in its only line."""
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        lines_per_cell=1, places_per_line=3, code_size=4, pair_size=16, pair_units=32
    )
    pairs = LetterPairs(config)
    with torch.no_grad():
        pairs.edge.normal_()
        before = torch.zeros(4, 1, 4)
        before[1:] = codes[:-1, -1:]
        rows = torch.cat([before, codes], 1)[None, None, :, None]
        found: torch.Tensor = pairs(rows)[0, 0, :, 0]
    return found


def letters(*lengths: int) -> torch.Tensor:
    """Codes of cells with so many characters each, (cells, 3, 4); the last number says there is."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(len(lengths), 3, 4, generator=generator)
    codes[..., -1] = 0.5
    for cell, length in zip(codes, lengths, strict=True):
        cell[length:] = 0
    return codes


def test_what_stands_before_a_cell_is_its_passage_and_about_one_long() -> None:
    found = passages(letters(3, 3, 3, 3))
    assert not found[0].any()
    assert (found[1:].norm(dim=1) > 0.5).all()
    assert (found.norm(dim=1) < 1.01).all()
    other = letters(3, 3, 3, 3)
    other[2] = 0.3  # what stands in a cell changes nothing before its right neighbour
    changed = passages(other)
    torch.testing.assert_close(changed[:3], found[:3])
    assert not torch.allclose(changed[3], found[3], atol=0.05)


def test_after_an_empty_cell_a_new_passage_begins_and_still_knows_the_one_before() -> None:
    codes = letters(3, 0, 3, 3)
    found = passages(codes)
    torch.testing.assert_close(found[2], found[1], atol=0.3, rtol=0)  # fainter by the gap
    assert torch.cosine_similarity(found[2], found[1], dim=0) > 0.99
    codes[0] = letters(1)[0]  # ... and the new one does not depend on it
    torch.testing.assert_close(passages(codes)[3], found[3])
