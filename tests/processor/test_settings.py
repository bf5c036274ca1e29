import pytest

from leopard.config import build
from leopard.errors import ConfigError, GeometryError
from leopard.processor.settings import CallOptions, ProcessorSettings


def test_defaults_are_the_published_settings():
    settings = ProcessorSettings()
    assert settings.geometry.visual_tokens_per_crop == 169
    assert (settings.max_crops, settings.policy) == (50, "published")
    assert settings.layout == "published-inference"
    assert settings.on_too_many_images == "error"
    assert settings.normalisation.scale == 0.00392156862745098


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policy": "greedy"}, "'greedy' is unknown"),
        ({"layout": "mine"}, "layout 'mine' is unknown"),
        ({"max_crops": 0}, "max_crops"),
        ({"on_too_many_images": "last"}, "on_too_many_images"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        build(ProcessorSettings, values)


def test_a_geometry_that_cuts_patches_is_refused():
    with pytest.raises(GeometryError, match="would cut patches"):
        build(ProcessorSettings, {"crop_size": 100})


def test_a_call_changes_only_what_it_names():
    settings = ProcessorSettings(max_crops=7, context_length=100)
    assert CallOptions().applied_to(settings) is settings
    changed = CallOptions(policy="fill", max_length=5).applied_to(settings)
    assert (changed.policy, changed.context_length, changed.max_crops) == ("fill", 5, 7)


def test_a_call_with_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="'greedy' is unknown"):
        CallOptions(policy="greedy").applied_to(ProcessorSettings())
