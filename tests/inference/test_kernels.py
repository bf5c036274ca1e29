import pytest
import torch
from torch import nn

from leopard.inference import kernels
from leopard.inference.kernels import OneDNNLinear, is_onednn_faster, use_fast_kernels


@pytest.fixture
def chosen(monkeypatch):
    """As on a processor where oneDNN is the faster library."""
    monkeypatch.setattr(kernels, "is_onednn_faster", lambda: True)


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 7, bias=False))


@pytest.mark.parametrize("shape", [(24,), (1, 24), (5, 24), (2, 3, 24), (0, 24)])
def test_products_are_those_of_torch(shape, chosen):
    model = layers()
    x = torch.randn(shape)
    with torch.inference_mode():
        expected = model(x)
        assert use_fast_kernels(model)
        assert torch.allclose(model(x), expected, atol=1e-5)
    assert all(type(one) is OneDNNLinear for one in model if isinstance(one, nn.Linear))


def test_rows_do_not_depend_on_their_neighbours(chosen):
    model = layers()
    use_fast_kernels(model)
    x = torch.randn(9, 24)
    with torch.inference_mode():
        together = model(x)
        alone = torch.cat([model(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-6)


def test_weights_keep_their_names_and_places(chosen):
    model = layers()
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    use_fast_kernels(model)
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == before


def test_changed_weights_count(chosen):
    model = layers()
    use_fast_kernels(model)
    x = torch.randn(2, 24)
    with torch.no_grad():
        before = model(x)
        model[2].weight.mul_(2)
        assert torch.allclose(model(x), 2 * before, atol=1e-5)


def test_gradients_flow_as_before(chosen):
    model = layers()
    use_fast_kernels(model)
    model(torch.randn(2, 24)).sum().backward()
    assert model[0].weight.grad is not None


def test_other_number_types_and_slower_machines_are_left_alone(chosen, monkeypatch):
    assert not use_fast_kernels(layers().to(torch.bfloat16))
    monkeypatch.setattr(kernels, "is_onednn_faster", lambda: False)
    assert not use_fast_kernels(layers())


@pytest.mark.parametrize("broken", [RuntimeError("not here"), AttributeError("_linear_pointwise")])
def test_torch_without_the_operator_is_no_error(broken, monkeypatch):
    def fail(*_):
        raise broken

    monkeypatch.setattr(kernels, "_product", fail)
    is_onednn_faster.cache_clear()
    try:
        assert not is_onednn_faster()
    finally:
        is_onednn_faster.cache_clear()


def test_operator_with_other_results_is_not_used(monkeypatch):
    monkeypatch.setattr(kernels, "_product", lambda x, weight, bias: x @ weight)
    is_onednn_faster.cache_clear()
    try:
        assert not is_onednn_faster()
    finally:
        is_onednn_faster.cache_clear()
