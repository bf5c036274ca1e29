import pytest
import torch
from torch import nn

from leopard.errors import ConfigError
from leopard.inference import quantized
from leopard.inference.loading import LoadSettings, load_generator
from leopard.inference.quantized import Int4Linear, Int8Linear, quantize
from leopard.inference.vision_cache import WeightsFingerprint
from tests.inference.test_engine import REQUESTS, fresh


def linear(inputs=64, outputs=48, *, bias=True, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(inputs, outputs, bias=bias)


@pytest.fixture(params=[(Int8Linear, 0.02), (Int4Linear, 0.12)], ids=["int8", "int4"])
def form(request, monkeypatch):
    monkeypatch.setattr(torch.backends.quantized, "engine", "fbgemm")
    return request.param


@pytest.mark.parametrize("bias", [True, False])
def test_products_are_near_those_in_full_precision(bias, form):
    kind, most = form
    full = linear(bias=bias)
    x = torch.randn(3, 5, 64)
    with torch.inference_mode():
        expected = full(x)
        found = kind(full)(x)
    assert found.shape == expected.shape
    assert 0 < float((found - expected).norm() / expected.norm()) < most


def test_rows_do_not_depend_on_their_neighbours(form):
    layer = form[0](linear())
    x = torch.randn(7, 64) * torch.logspace(-3, 3, 7)[:, None]
    with torch.inference_mode():
        together = layer(x)
        assert torch.equal(together, torch.cat([layer(row[None]) for row in x]))


def test_zeros_and_no_rows_are_no_trouble(form):
    full = linear()
    layer = form[0](full)
    with torch.inference_mode():
        assert torch.allclose(layer(torch.zeros(2, 64)), full.bias.expand(2, -1), atol=1e-6)
        assert layer(torch.zeros(0, 64)).shape == (0, 48)


def test_number_type_of_the_inputs_is_kept(form):
    with torch.inference_mode():
        assert form[0](linear())(torch.randn(2, 64).bfloat16()).dtype is torch.bfloat16


def test_largest_values_do_not_overflow_without_vnni(monkeypatch):
    monkeypatch.setattr(torch.backends.quantized, "engine", "fbgemm")
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    full = nn.Linear(256, 8, bias=False)
    nn.init.ones_(full.weight)
    with torch.inference_mode():
        assert torch.allclose(Int8Linear(full)(torch.ones(1, 256)), torch.tensor(256.0), rtol=0.01)


def test_fingerprints_tell_weights_and_forms_apart(form):
    kind, _ = form
    names = {
        WeightsFingerprint(layer)()
        for layer in (linear(), kind(linear()), kind(linear(seed=1)), Int8Linear(linear(seed=2)))
    }
    assert len(names) == 4
    assert WeightsFingerprint(kind(linear()))() in names


@pytest.mark.parametrize(("name", "kinds"), [("int8", {Int8Linear}), ("int4", {Int4Linear})])
def test_language_model_takes_the_form_and_the_connector_none(name, kinds, tiny_model_folder):
    generator = load_generator(tiny_model_folder, settings=LoadSettings(weights=name))
    model = generator.model.model
    found = {type(one) for one in model.language_model.modules() if hasattr(one, "in_features")}
    assert found == kinds
    assert isinstance(generator.model.lm_head, Int8Linear)
    assert isinstance(model.connector.linear_1, nn.Linear)
    encoder = {type(one) for one in model.vision_encoder.modules() if hasattr(one, "in_features")}
    assert encoder == {Int8Linear}


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_quantised_answers_are_the_same_cached_or_not_alone_or_batched(name, tiny_model_folder):
    shared = load_generator(tiny_model_folder, settings=LoadSettings(weights=name))
    together = [one.text for one in fresh(shared).generate(REQUESTS)]
    alone = [fresh(shared).generate([request])[0].text for request in REQUESTS]
    bare = fresh(shared, vision_cache_bytes=0, prefix_cache_bytes=0)
    assert together == alone == [bare.generate([request])[0].text for request in REQUESTS]


def test_unknown_form_is_refused():
    with pytest.raises(ConfigError, match="int3"):
        quantize(nn.Sequential(linear()), "int3")
    with pytest.raises(ConfigError, match="int3"):
        LoadSettings(weights="int3")


def test_other_processors_and_devices_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="meta"):
        quantize(nn.Sequential(linear()).to("meta"), "int8")
    monkeypatch.setattr(quantized, "_linears", lambda _: [])
    monkeypatch.setattr(
        quantized.torch.backends.quantized.__class__, "supported_engines", ["qnnpack"]
    )
    with pytest.raises(ConfigError, match="x86"):
        quantize(nn.Sequential(linear()), "int8")
