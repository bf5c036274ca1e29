import importlib.util

import pytest
from PIL import Image, ImageDraw

from leopard.processor.policies import find_policy, policy_names, published, registry
from leopard.processor.policies.registry import register
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message

ONE_FILE = """
from dataclasses import replace

import numpy as np

from leopard.processor.policies.fill import allocate as fill
from leopard.processor.policies.registry import TileRequest, register


@register("ink")
def allocate(request: TileRequest) -> list[int]:
    content = request.content
    weights = tuple(int((np.asarray(image) < 128).sum()) for image in content.images) or None
    if "last" in content.question:
        weights = (0,) * (len(request.sizes) - 1) + (1,)
    return fill(replace(request, content=replace(content, weights=weights)))
"""


def test_policies_are_found_by_name():
    assert policy_names() == ("fill", "published")
    assert find_policy("published") is published.allocate


def test_a_name_is_taken_once():
    with pytest.raises(AssertionError, match="two policies are called fill"):
        register("fill")(lambda request: [])
    assert policy_names() == ("fill", "published")


@pytest.fixture
def tiny_processor(tiny_model_folder):
    from leopard.processor import LeopardProcessor

    return LeopardProcessor.from_pretrained(tiny_model_folder)


@pytest.fixture
def ink(tmp_path, monkeypatch):
    """A third policy that is nothing but one file."""
    path = tmp_path / "ink.py"
    path.write_text(ONE_FILE)
    monkeypatch.setattr(registry, "_POLICIES", dict(registry._POLICIES))
    spec = importlib.util.spec_from_file_location("leopard.processor.policies.ink", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_policy_of_one_file_looks_at_pixels_and_at_the_question(ink, tiny_processor):
    side = tiny_processor.settings.crop_size * 4
    blank, full = Image.new("RGB", (side, side), "white"), Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(full).rectangle((0, 0, side, side // 2), fill="black")
    processor = tiny_processor.with_settings(policy="ink", max_crops=18)

    def tiles(question, images):
        message = Message.of("user", *[ImagePart()] * len(images), question)
        prepared = processor.prepare([message], images)
        return [image.num_tiles for image in prepared.plan.images]

    assert tiles("What is the total?", [full, blank]) == [16, 0]
    assert tiles("What is the total?", [blank, full]) == [0, 16]
    assert tiles("What does the last page say?", [full, blank]) == [0, 16]
    # From sizes alone the policy knows nothing, and must do with that.
    alike = processor.plan([ImageSize(side, side)] * 2)
    assert [image.num_tiles for image in alike.images] == [9, 4]


def test_training_plans_from_sizes_alone(ink, tiny_processor):
    side = tiny_processor.settings.crop_size * 4
    blank, full = Image.new("RGB", (side, side), "white"), Image.new("RGB", (side, side), "black")
    processor = tiny_processor.with_settings(policy="ink", max_crops=18)
    messages = [
        Message.of("user", ImagePart(), ImagePart(), "The last?"),
        Message.of("assistant", "Yes."),
    ]
    example = processor.encode_for_training(messages, [blank, full])
    assert example["num_crops"].tolist() == [10, 5]
