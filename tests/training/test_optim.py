"""Muon: orthogonal updates in the parameters' own precision."""

from __future__ import annotations

import torch

from leopard.training.optim import Muon, orthogonalised


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((16, 48), (48, 16), (32, 32)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape), 8))
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_muon_fits_a_linear_map_and_leaves_parameters_without_gradient() -> None:
    torch.manual_seed(0)
    goal = torch.randn(8, 6)
    weight, idle = torch.zeros(8, 6, requires_grad=True), torch.ones(3, 3, requires_grad=True)
    optimiser = Muon([weight, idle], lr=0.05)
    inputs = torch.randn(64, 6)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = (inputs @ weight.T - inputs @ goal.T).pow(2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert torch.equal(idle, torch.ones(3, 3))


def test_kernels_count_as_matrices_of_outputs() -> None:
    torch.manual_seed(0)
    kernel = torch.zeros(4, 3, 3, 3, requires_grad=True)
    kernel.grad = torch.randn(4, 3, 3, 3)
    Muon([kernel], lr=1.0).step()
    assert kernel.dtype == torch.float32
    root_mean_square = kernel.detach().pow(2).mean().sqrt()
    assert 0.1 < root_mean_square < 0.4
