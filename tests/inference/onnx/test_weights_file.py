"""Weights on their way to ONNX Runtime are not in memory twice, and leave nothing behind."""

import errno
import io
import re
from pathlib import Path

import numpy as np
import pytest

from leopard.errors import ConfigError
from leopard.inference.onnx.loading import take_language_model
from leopard.inference.onnx.weights_file import NAME, WeightsFile
from tests.bounded import apart
from tests.inference.onnx.test_decoder import build

LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
STATUS = Path("/proc/self/status")


def test_weights_lie_where_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(5, 7)).astype(np.float32) for name in "abc"}
    with WeightsFile() as weights:
        places = {name: weights.add(name, array) for name, array in arrays.items()}
        digest = weights.finish()
        written = (weights.folder / NAME).read_bytes()
        for name, array in arrays.items():
            start = places[name]
            assert start % 4096 == 0
            assert written[start : start + array.nbytes] == array.tobytes()
        assert weights.num_bytes == sum(array.nbytes for array in arrays.values())
    assert list(tmp_path.iterdir()) == []
    with WeightsFile() as again:
        for name, array in arrays.items():
            again.add(name, array)
        assert again.finish() == digest
    with WeightsFile() as other:
        for name, array in arrays.items():
            other.add(name, array + (name == "c"))
        assert other.finish() != digest


def test_no_file_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    take_language_model(build())
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": Full() if path.name == NAME else real(path, mode)
    )
    with pytest.raises(ConfigError, match=r"No space left.*TMPDIR, or use engine torch"):
        take_language_model(build())
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="temporary file while it loads"):
        WeightsFile()


def _mebibytes(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+)", STATUS.read_text())[0]) // 1024


def load_large() -> None:
    """The peak while the weights are taken is little above what the torch model had."""
    take_language_model(build())  # what the libraries need once
    model = build(**LARGE)
    layers = model.model.language_model.layers
    size = sum(one.numel() * 4 for one in layers.parameters()) >> 20
    assert size > 150
    before = _mebibytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    decoder = take_language_model(model)
    grown = _mebibytes("VmHWM") - before
    assert decoder is not None
    assert grown < size / 2, (grown, size)


@pytest.mark.skipif(not STATUS.exists(), reason="peaks of memory are read as Linux tells them")
def test_weights_are_never_in_memory_twice():
    apart(300, load_large)
