import json

import pytest
import torch

from leopard.errors import CheckpointError
from leopard.model import LeopardConfig, LeopardForConditionalGeneration
from leopard.model.weights import canonical_name, load_model, published_name, read_config
from tests.model.published import write_published_folder
from tests.parity import cases as parity


def test_every_published_name_has_one_place_in_the_model():
    rows = parity.read_json("key_schemes.json")["rows"]
    for row in rows:
        assert {canonical_name(name) for name in row} == {canonical_name(row[0])}
        assert canonical_name(canonical_name(row[0])) == canonical_name(row[0])
        assert published_name(canonical_name(row[0])) == row[0]


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The cache that a download of `wyu1/Leopard-LLaVA` leaves behind."""
    repo = tmp_path / "hub" / "models--wyu1--Leopard-LLaVA"
    commit = "0123456789abcdef0123456789abcdef01234567"
    tensors = write_published_folder(repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    return tmp_path / "hub", tensors


def test_published_model_loads_by_its_hub_name(hub_cache):
    cache, tensors = hub_cache
    model = LeopardForConditionalGeneration.from_pretrained(
        "wyu1/Leopard-LLaVA", cache_dir=cache, local_files_only=True
    )
    assert torch.equal(model.lm_head.weight, tensors["language_model.lm_head.weight"])
    assert model.generation_config.suppress_tokens == [456]
    checked = load_model("wyu1/Leopard-LLaVA", cache_dir=cache, local_files_only=True)
    assert torch.equal(checked.lm_head.weight, model.lm_head.weight)


def test_unknown_hub_name_without_network_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="give a folder"):
        load_model("nobody/nothing", cache_dir=tmp_path, local_files_only=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no config.json"),
        ("{", "cannot be read"),
        (json.dumps({"model_type": "bert"}), "'bert'"),
    ],
)
def test_folder_that_is_no_leopard_is_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_config(tmp_path)
    with pytest.raises(CheckpointError):
        load_model(tmp_path)


def test_folder_without_weights_is_refused(tmp_path):
    LeopardConfig.from_pretrained(parity.LLAVA_FOLDER).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no weights"):
        load_model(tmp_path)


def test_a_path_that_is_not_there_is_never_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.PreTrainedConfig.get_config_dict", pytest.fail)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_model(tmp_path / "none")
