import json
import shutil

import pytest
import torch
from torch import nn

from leopard.errors import ConfigError
from leopard.inference import quantized
from leopard.inference.loading import LoadSettings, load_generator
from leopard.inference.memory import weight_bytes_of
from leopard.inference.quantized import Int8Linear, quantize
from leopard.inference.vision_cache import WeightsFingerprint
from tests.inference.test_engine import REQUESTS, fresh


def linear(inputs=64, outputs=48, *, bias=True, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(inputs, outputs, bias=bias)


@pytest.fixture(autouse=True)
def fbgemm(monkeypatch):
    monkeypatch.setattr(torch.backends.quantized, "engine", "fbgemm")


@pytest.mark.parametrize("bias", [True, False])
def test_products_are_near_those_in_full_precision(bias):
    full = linear(bias=bias)
    x = torch.randn(3, 5, 64)
    with torch.inference_mode():
        expected = full(x)
        found = Int8Linear(full)(x)
    assert found.shape == expected.shape
    assert 0 < float((found - expected).norm() / expected.norm()) < 0.02


def test_rows_do_not_depend_on_their_neighbours():
    layer = Int8Linear(linear())
    x = torch.randn(7, 64) * torch.logspace(-3, 3, 7)[:, None]
    with torch.inference_mode():
        together = layer(x)
        assert torch.equal(together, torch.cat([layer(row[None]) for row in x]))


def test_zeros_and_no_rows_are_no_trouble():
    full = linear()
    layer = Int8Linear(full)
    with torch.inference_mode():
        assert torch.allclose(layer(torch.zeros(2, 64)), full.bias.expand(2, -1), atol=1e-6)
        assert layer(torch.zeros(0, 64)).shape == (0, 48)


def test_number_type_of_the_inputs_is_kept():
    with torch.inference_mode():
        assert Int8Linear(linear())(torch.randn(2, 64).bfloat16()).dtype is torch.bfloat16


def test_largest_values_do_not_overflow_without_vnni(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    full = nn.Linear(256, 8, bias=False)
    nn.init.ones_(full.weight)
    with torch.inference_mode():
        assert torch.allclose(Int8Linear(full)(torch.ones(1, 256)), torch.tensor(256.0), rtol=0.01)


def test_fingerprints_tell_weights_and_forms_apart():
    names = {
        WeightsFingerprint(layer)()
        for layer in (linear(), Int8Linear(linear()), Int8Linear(linear(seed=1)))
    }
    assert len(names) == 3
    assert WeightsFingerprint(Int8Linear(linear()))() in names


@pytest.fixture(scope="module")
def by_torch(tiny_model_folder):
    return load_generator(tiny_model_folder, settings=LoadSettings(engine="torch", weights="int8"))


def test_whole_model_takes_8_bits_and_the_connector_none(by_torch):
    model = by_torch.model.model
    for part in (model.language_model, model.vision_encoder):
        assert {type(one) for one in part.modules() if hasattr(one, "in_features")} == {Int8Linear}
    assert isinstance(by_torch.model.lm_head, Int8Linear)
    assert isinstance(model.connector.linear_1, nn.Linear)


@pytest.fixture
def unrounded(tiny_model_folder, tmp_path):
    """The same model, whose configuration leaves layer 0 as it is."""
    folder = shutil.copytree(tiny_model_folder, tmp_path / "unrounded")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"unrounded_layers": [0]}), encoding="utf-8")
    return str(folder)


def test_layers_that_the_configuration_names_stay_in_full_precision(unrounded):
    found = load_generator(unrounded, settings=LoadSettings(engine="torch", weights="int8"))
    first, *others = found.model.model.language_model.layers
    assert not any(isinstance(part, Int8Linear) for part in first.modules())
    for layer in others:
        assert isinstance(layer.mlp.up_proj, Int8Linear)


def test_the_other_engine_leaves_them_as_they_are_too(unrounded, tiny_model_folder):
    settings = LoadSettings(engine="onnx", weights="int8")
    sizes = [
        weight_bytes_of(load_generator(folder, settings=settings).model)
        for folder in (unrounded, tiny_model_folder)
    ]
    layer = load_generator(tiny_model_folder).model.model.language_model.layers[0]
    weights = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
    assert sizes[0] - sizes[1] > 2 * weights


def test_quantised_answers_are_the_same_cached_or_not_alone_or_batched(by_torch):
    together = [one.text for one in fresh(by_torch).generate(REQUESTS)]
    alone = [fresh(by_torch).generate([request])[0].text for request in REQUESTS]
    bare = fresh(by_torch, vision_cache_bytes=0, prefix_cache_bytes=0)
    assert together == alone == [bare.generate([request])[0].text for request in REQUESTS]


def test_unknown_form_is_refused():
    with pytest.raises(ConfigError, match="int3"):
        LoadSettings(weights="int3")


def test_other_processors_and_devices_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="meta"):
        quantize(nn.Sequential(linear()).to("meta"))
    monkeypatch.setattr(quantized, "_linears", lambda _: [])
    monkeypatch.setattr(
        quantized.torch.backends.quantized.__class__, "supported_engines", ["qnnpack"]
    )
    with pytest.raises(ConfigError, match="x86"):
        quantize(nn.Sequential(linear()))
