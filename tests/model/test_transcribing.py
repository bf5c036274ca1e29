"""Transcribing: lines read column after column, each told what was said before."""

from __future__ import annotations

import pytest
import torch

from leopard.model.reader_config import LeopardReaderConfig
from leopard.model.transcribing import Transcriber

SIDE, LINES, CLASSES, WIDTH = 3, 2, 6, 8
COLUMNS = SIDE * 7


@pytest.fixture
def transcriber() -> Transcriber:
    torch.manual_seed(0)
    config = LeopardReaderConfig(
        image_size=28 * SIDE,
        cell_size=16,
        conv_channels=4,
        lines_per_cell=LINES,
        places_per_line=7,
        num_classes=CLASSES,
        column_size=WIDTH,
        chain_size=8,
    )
    made = Transcriber(config).eval()
    with torch.no_grad():
        made.told.weight *= 10
    return made


def test_what_was_said_before_changes_what_comes_after_it_and_nothing_before(
    transcriber: Transcriber,
) -> None:
    seen, known = torch.randn(5, COLUMNS, WIDTH), torch.randint(0, CLASSES, (5, COLUMNS))
    other = known.clone()
    other[:, 8] = (known[:, 8] + 1) % CLASSES
    with torch.no_grad():
        is_same = (transcriber.weigh(seen, known) == transcriber.weigh(seen, other)).all(-1).all(0)
    assert is_same.nonzero().flatten().tolist() == list(range(9))


def test_unless_told_it_goes_on_from_what_it_thinks_likeliest(transcriber: Transcriber) -> None:
    seen = torch.randn(5, COLUMNS, WIDTH)
    with torch.no_grad():
        alone = transcriber.read(seen)
        told = transcriber.weigh(seen, alone.argmax(-1))
    assert len(alone.argmax(-1).unique()) > 2
    torch.testing.assert_close(alone, told)


def test_columns_see_the_map_near_their_line_and_the_cell_they_are_in(
    transcriber: Transcriber,
) -> None:
    cells, conv_map = torch.randn(1, SIDE * SIDE, 16), torch.randn(1, 4, COLUMNS, COLUMNS)
    with torch.no_grad():
        seen = transcriber.see(cells, conv_map)
        near, far = conv_map.clone(), cells.clone()
        near[0, :, 7, 15] += 1  # the first row of the second row of cells: the first sees it, too
        far[0, 4] += 1  # the cell in the middle
        by_map = (transcriber.see(cells, near) != seen).any(-1)[0]
        by_cell = (transcriber.see(far, conv_map) != seen).any(-1)[0]
    assert seen.shape == (1, SIDE, LINES, COLUMNS, WIDTH)
    rows = {(row, column) for row, _, column in by_map.nonzero().tolist()}
    assert rows == {(0, 15), (1, 15)}
    rows = {(row, column) for row, _, column in by_cell.nonzero().tolist()}
    assert rows == {(1, column) for column in range(7, 14)}
