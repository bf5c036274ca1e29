"""Crops that are encoded one by one, and pages whose tiles are encoded together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from leopard import Leopard
from leopard.inference.encoders import CropEncoder
from leopard.inference.vision_cache import VisionCache, page_keys
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message, TextPart

Picture = PIL.Image.Image


def drawn(seed: int) -> Picture:
    """A page of four tiles: boxes like letters, at random."""
    rng = np.random.default_rng(seed)
    pixels = np.where(rng.random((56, 56)) < 0.3, 0, 255).astype(np.uint8)
    return PIL.Image.fromarray(pixels).resize((728, 728), PIL.Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def shipped() -> Leopard:
    return Leopard.from_pretrained()


class _Counted:
    """An encoder of the shipped model, and how many crops it has encoded."""

    def __init__(self, leopard: Leopard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crops = 0
        generator: Any = leopard.generator
        encode = generator.model.get_image_features

        def counting(pixels: torch.Tensor, **kwargs: Any) -> Any:
            self.crops += len(pixels)
            return encode(pixels, **kwargs)

        monkeypatch.setattr(generator.model, "get_image_features", counting)
        self.encoder = CropEncoder(generator.model, generator.processor, VisionCache(10**9))

    def __call__(self, *images: Picture) -> tuple[torch.Tensor, tuple[str, ...]]:
        parts = (*(ImagePart() for _ in images), TextPart("What is it?"))
        request = GenerationRequest(
            messages=(Message("user", parts),), images=images, sampling=SamplingOptions()
        )
        found = _ended(self.encoder.looking(self.encoder.prepare(request)))
        return found.tokens, tuple(found.keys)


def _ended(steps: Iterator[None]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture
def counted(shipped: Leopard, monkeypatch: pytest.MonkeyPatch) -> _Counted:
    return _Counted(shipped, monkeypatch)


def test_pages_are_encoded_once_and_alike_in_any_company(counted: _Counted) -> None:
    one, other = drawn(1), drawn(2)
    tokens, keys = counted(one, other, one)
    assert counted.crops == 10
    assert len(keys) == 15
    assert len(set(keys)) == 10
    again, own = counted(other)
    assert counted.crops == 10
    assert own == keys[5:10]
    assert torch.equal(again, tokens[5:10])


def test_a_tile_on_another_page_is_another_unit(counted: _Counted) -> None:
    page = drawn(3)
    changed = page.copy()
    changed.paste("white", (0, 0, 364, 364))  # the first tile; the others show the same
    _, keys = counted(page)
    _, others = counted(changed)
    assert counted.crops == 10
    assert not set(keys) & set(others)


def test_keys_of_a_page_hang_on_all_its_crops_their_order_and_its_grid() -> None:
    keys = page_keys(["a", "b", "a"], (1, 2))
    assert len(set(keys)) == 3  # equal crops at two places differ in what stands around them
    assert keys == page_keys(["a", "b", "a"], (1, 2))
    for other in (page_keys(["a", "b", "a"], (2, 1)), page_keys(["a", "a", "b"], (1, 2))):
        assert not set(keys) & set(other)
