"""Spelling: characters of a cell one after the other, then their codes."""

from __future__ import annotations

import pytest
import torch

from leopard.model.reader import LeopardReaderConfig
from leopard.model.spelling import Ordinals, Spelling


def small_spelling(*, side: int = 2, num_told: int = 0) -> Spelling:
    """Crops have `side` cells a side; so many characters are told of the line to the left."""
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        image_size=28 * side,
        cell_size=16,
        lines_per_cell=2,
        places_per_line=4,
        last_per_line=2,
        num_classes=6,
        code_size=3,
        chain_size=8,
        num_told=num_told,
    )
    return Spelling(config).eval()


@pytest.fixture
def spelling() -> Spelling:
    return small_spelling()


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


def test_cells_are_told_the_last_characters_of_the_line_to_the_left() -> None:
    spelling = small_spelling(num_told=2)
    cells = torch.randn(6, 4, 16)  # rows of two
    with torch.no_grad():
        spelling.head.weight *= 30
        logits = spelling._weigh_rows(cells)
        said = logits.argmax(-1)[:, ::2]
        left = torch.zeros(6, 2, 2, 2, dtype=torch.long)
        for where in torch.cartesian_prod(torch.arange(6), torch.arange(2), torch.arange(2)):
            crop, row, line = where.tolist()
            read = said[crop, row, line].tolist()
            read = read[: read.index(0)] if 0 in read else read
            for back, number in enumerate(read[:-3:-1]):
                left[crop, row, line, back] = number
        expected = spelling.weigh(cells[:, 1::2], left=left).unflatten(-2, (2, 4))
        untold = spelling.weigh(cells[:, ::2], left=torch.zeros_like(left)).unflatten(-2, (2, 4))
    assert left.any()
    torch.testing.assert_close(logits[:, 1::2], expected)
    torch.testing.assert_close(logits[:, ::2], untold)


def test_of_two_lines_that_read_the_same_print_the_less_sure_is_left_out() -> None:
    spelling = small_spelling(side=3)
    said = torch.zeros(1, 9, 2, 4, dtype=torch.long)
    said[0, :3, 1, :3] = torch.tensor([[1, 2, 3], [2, 2, 1], [4, 1, 0]])  # first row, lower line
    said[0, 3:6, 0, :3] = torch.tensor([[1, 2, 4], [2, 1, 0], [4, 1, 0]])  # and the line below it
    said[0, 6:, 0, :3] = torch.tensor([[5, 5, 1], [1, 0, 0], [2, 3, 0]])
    sure = torch.full((1, 9, 2), 0.9)
    sure[0, 3:6] = 0.6
    kept = spelling._once(said, sure)
    assert kept[0, :3].all()
    assert not kept[0, 3:6, 0].any()
    assert kept[0, 6:].all()
    assert spelling._once(said, torch.full((1, 9, 2), 0.99)).all()  # both are believed


def test_lines_with_the_same_leaders_are_not_the_same_print() -> None:
    spelling = small_spelling(side=3)
    said = torch.zeros(1, 9, 2, 4, dtype=torch.long)
    said[0, :3, :, :3] = 5  # leaders, three in each cell of both lines,
    said[0, 2, 0, :3] = torch.tensor([1, 2, 3])  # then text that differs
    said[0, 2, 1, :3] = torch.tensor([4, 4, 1])
    assert spelling._once(said, torch.full((1, 9, 2), 0.9)).all()
    said[0, :2, :, 0] = 2  # the same in cells with text
    assert not spelling._once(said, torch.full((1, 9, 2), 0.9)).all()


def test_a_character_that_is_half_another_is_the_likelier_one() -> None:
    spelling = small_spelling(side=3)
    torch.nn.init.normal_(spelling.codes)
    shares = torch.rand(1, 9, 12, 6, requires_grad=True)
    sure = spelling.known(shares.argmax(-1))
    torch.testing.assert_close(spelling(shares), sure)
    taught = spelling.train()(shares)
    torch.testing.assert_close(taught, sure)
    taught.square().sum().backward()
    assert shares.grad is not None
    assert shares.grad.any()


def letters(*lengths: int) -> torch.Tensor:
    """Codes of cells with so many characters each, (cells, 3, 4); the last number says there is."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(len(lengths), 3, 4, generator=generator)
    codes[..., -1] = 0.5
    for cell, length in zip(codes, lengths, strict=True):
        cell[length:] = 0
    return codes


WAVES = (1.0, 0.3)


def told(codes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Ordinals of a row of cells with one line, by what they say, in waves or as marks."""
    before = torch.zeros(len(codes), 1, 4)
    before[1:] = codes[:-1, -1:]
    found = Ordinals(WAVES)(torch.cat([before, codes], 1)[None, None, :, None])[0, 0]
    first, begun, end, is_open, run, begins = found.split((4, 4, 4, 1, 1, 1), -1)
    return {
        "first": first,
        "begun": begun,
        "end": end,
        "open": is_open[:, 0],
        "run": run[:, 0],
        "begins": begins[:, 0],
    }


def waves(*ordinals: int) -> torch.Tensor:
    angles = torch.tensor(ordinals)[:, None] * torch.tensor(WAVES)
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(1)


def test_places_are_counted_along_a_row_and_gaps_count_too() -> None:
    found = told(letters(3, 2, 0, 1))
    torch.testing.assert_close(found["first"], waves(0, 3, 5, 8))
    torch.testing.assert_close(found["end"][3:], waves(9))
    assert not found["end"][:3].any()
    assert found["run"].tolist() == [1, 1, 0, 0]
    assert found["open"].tolist() == [1, 1, 1, 1]  # what began at the edge may be a label's end
    assert told(letters(0, 2, 0, 1))["open"].tolist() == [1, 1, 0, 0]


def test_the_last_beginning_of_a_cell_is_told() -> None:
    codes = letters(3, 0, 3, 3)
    codes[2, 1] = torch.tensor([0.3, 0.3, 0.3, 0.0])  # a blank between two characters
    found = told(codes)
    torch.testing.assert_close(found["begun"][2:3], waves(8))
    assert not found["begun"][1].any()
    assert found["begins"].tolist() == [1, 0, 1, 0]  # the last cell goes on without a blank
