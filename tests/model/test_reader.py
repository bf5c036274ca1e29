"""The small vision encoder: shapes, spelling, and a round trip through a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

from leopard.model.reader import LeopardReader
from leopard.model.reader_config import LeopardReaderConfig

SIZES = {
    "image_size": 56,
    "cell_size": 16,
    "conv_channels": 8,
    "num_conv_blocks": 1,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
SPELLING = {
    "lines_per_cell": 1,
    "places_per_line": 7,
    "last_per_line": 1,
    "num_classes": 5,
    "code_size": 4,
    "column_size": 6,
    "chain_size": 6,
}


def reader(**extra: int) -> LeopardReader:
    torch.manual_seed(0)
    return LeopardReader(LeopardReaderConfig(**SIZES, **extra)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("extra", "width"), [({}, 16), (SPELLING, 8 * 4 + 2 + 2)])
def test_a_feature_vector_per_cell_of_the_width_that_the_config_says(
    extra: dict[str, int], width: int
) -> None:
    encoder = reader(**extra)
    assert encoder.config.hidden_size == width
    output = encoder(pixel_values=torch.randn(2, 3, 56, 56))
    assert output.last_hidden_state.shape == (2, 4, width)


def test_what_it_is_sure_of_comes_out_as_the_code_alone() -> None:
    spelling = reader(**SPELLING).spelling
    assert spelling is not None
    shares = torch.zeros(1, 4, 8, 5)
    shares[..., 0] = 1
    shares[0, 2, 1] = torch.tensor([0.0, 0, 1, 0, 0])
    features = spelling(shares)[0]
    torch.testing.assert_close(features[2, 4:8], spelling.codes[1])
    assert features[2, :4].abs().sum() == 0
    assert features[:, 32:].tolist() == [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]]


def test_weights_survive_a_folder(tmp_path: Path) -> None:
    encoder = reader(**SPELLING)
    encoder.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).column_size == 6
    again = AutoModel.from_pretrained(tmp_path).eval()
    pixels = torch.randn(1, 3, 56, 56)
    torch.testing.assert_close(again(pixels)[0], encoder(pixels)[0])


def test_a_line_has_as_many_places_as_a_cell_has_columns() -> None:
    with pytest.raises(ValueError, match="places_per_line is 5; it must be 7"):
        reader(**{**SPELLING, "places_per_line": 5})


def test_pages_are_read_in_chunks_and_passed_on_whole() -> None:
    torch.manual_seed(1)
    encoder = reader(**SPELLING, ordinal_waves=[1.0], blank_class=4)  # type: ignore[arg-type]
    assert encoder.config.joins_tiles
    assert not reader(**SPELLING).config.joins_tiles
    pixels = torch.randn(6, 3, 56, 56)
    with torch.inference_mode():
        whole = encoder(pixels, grids=[(2, 2), (0, 0)]).last_hidden_state
        parts = encoder(pixels, grids=[(2, 2), (0, 0)], chunk=4).last_hidden_state
        alone = encoder(pixels).last_hidden_state
    torch.testing.assert_close(parts, whole)
    is_other = (whole != alone).flatten(1).any(1)
    assert is_other.tolist() == [False, False, True, False, True, False]  # right-hand tiles
