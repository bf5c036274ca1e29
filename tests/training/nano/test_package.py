"""The folder of the small model: every weight, in half precision or less."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from leopard.model.weights import load_model
from leopard.training.nano import package
from leopard.training.nano.zones import IMAGE, TEXT


def test_weights_are_those_of_the_lessons_in_half_precision_or_less(tmp_path: Path) -> None:
    model = package.new_model(seed=3)
    package.quiet_marks(model)
    taught = {name: weight.clone() for name, weight in model.state_dict().items()}
    package.write_model(model, tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert set(written) == set(taught)
    for name, weight in taught.items():
        found = written[name]
        if name.startswith(package.EIGHT_BITS):
            assert found.dtype is torch.float8_e4m3fn
            torch.testing.assert_close(found.float(), weight, atol=1e-3, rtol=0.07)
        elif weight.is_floating_point():
            assert found.dtype is torch.float16  # read as float32 wherever it runs
            torch.testing.assert_close(found.float(), weight, atol=1e-7, rtol=5e-4)
    assert (tmp_path / "model.safetensors").stat().st_size < 40_000_000


@torch.no_grad()
def test_what_is_stored_in_eight_bits_is_read_as_the_rest(tmp_path: Path) -> None:
    package.write_model(package.new_model(seed=3), tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    model = load_model(tmp_path, dtype=torch.float32)
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            assert weight.dtype is torch.float32
            torch.testing.assert_close(weight, written[name].float(), atol=0, rtol=0)


@torch.no_grad()
def test_marks_are_made_quiet_and_the_same_is_said() -> None:
    model = package.new_model(seed=3)
    ids = torch.randint(0, 256, (1, 40), generator=torch.Generator().manual_seed(0))
    before = model(input_ids=ids).logits
    package.quiet_marks(model)
    torch.testing.assert_close(model(input_ids=ids).logits, before, atol=2e-3, rtol=1e-3)
    norm = model.model.language_model.layers[2].input_layernorm
    marks = norm.weight[[TEXT, IMAGE]].tolist()
    package.quiet_marks(model)
    assert norm.weight[[TEXT, IMAGE]].tolist() == marks == [1 / package.QUIET] * 2
