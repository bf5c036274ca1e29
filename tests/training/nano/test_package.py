"""The folder of the small model: weights as lessons multiplied them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from leopard.training.nano import package


@pytest.mark.parametrize("is_fast", [True, False])
def test_weights_are_rounded_as_lessons_rounded_them(
    is_fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "has_fast_bfloat16", lambda: is_fast)
    model = package.new_model(seed=3)
    taught = {name: weight.clone() for name, weight in model.state_dict().items()}
    package.write_model(model, tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert set(written) == set(taught)
    for name, weight in taught.items():
        if weight.is_floating_point():
            assert written[name].dtype is torch.float16  # read as float32 wherever it runs
            kept = weight.bfloat16().float() if is_fast else weight
            torch.testing.assert_close(written[name].float(), kept, atol=1e-7, rtol=5e-4)
            if is_fast:  # half precision holds these numbers as they are
                torch.testing.assert_close(written[name].float(), kept, atol=1e-7, rtol=0)
