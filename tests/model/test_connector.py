import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import GeometryError
from leopard.model.connector import Connector, pixel_shuffle

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "pixel_shuffle.json").read_text())


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda c: f"{c['height']}x{c['width']}x{c['channels']}"
)
def test_pixel_shuffle_moves_every_value_to_its_published_place(case):
    patches, channels = case["height"] * case["width"], case["channels"]
    features = torch.arange(patches * channels).reshape(1, patches, channels)
    shuffled = pixel_shuffle(features)
    assert list(shuffled.shape) == case["output_shape"]
    assert shuffled[0].tolist() == case["output_flat_index"]


def test_pixel_shuffle_agrees_with_the_published_samples_at_full_size():
    features = torch.arange(26 * 26 * 1152).reshape(1, 676, 1152)
    shuffled = pixel_shuffle(features)
    for sample in GOLDEN["siglip_26x26x1152_samples"]:
        patch = sample["src_row"] * 26 + sample["src_col"]
        expected = patch * 1152 + sample["src_channel"]
        assert int(shuffled[0, sample["token"], sample["channel"]]) == expected


@pytest.mark.parametrize(("patches", "message"), [(12, "12 patches"), (9, "side of 3")])
def test_pixel_shuffle_refuses_what_has_no_whole_squares(patches, message):
    with pytest.raises(GeometryError, match=message):
        pixel_shuffle(torch.zeros(1, patches, 4))


def test_factor_one_changes_nothing():
    features = torch.randn(2, 9, 5)
    assert torch.equal(pixel_shuffle(features, 1), features)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_each_visual_token_holds_the_patches_of_its_square(cells, factor, dim, crops):
    side = cells * factor
    features = torch.arange(crops * side * side * dim).reshape(crops, side, side, dim)
    shuffled = pixel_shuffle(features.reshape(crops, side * side, dim), factor)
    for row in range(cells):
        for col in range(cells):
            top, left = row * factor, col * factor
            square = features[:, top : top + factor, left : left + factor]
            assert torch.equal(shuffled[:, row * cells + col], square.reshape(crops, -1))


def test_connector_maps_crops_to_language_model_embeddings():
    connector = Connector(6, 10, shuffle_factor=2)
    assert connector(torch.randn(3, 16, 6)).shape == (3, 4, 10)
    assert Connector(6, 10, bias=False).linear_1.bias is None
