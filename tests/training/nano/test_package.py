"""The folder of the small model: every weight, in half precision."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from leopard.training.nano import package


def test_weights_are_those_of_the_lessons_in_half_precision(tmp_path: Path) -> None:
    model = package.new_model(seed=3)
    taught = {name: weight.clone() for name, weight in model.state_dict().items()}
    package.write_model(model, tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert set(written) == set(taught)
    for name, weight in taught.items():
        if weight.is_floating_point():
            assert written[name].dtype is torch.float16  # read as float32 wherever it runs
            torch.testing.assert_close(written[name].float(), weight, atol=1e-7, rtol=5e-4)
