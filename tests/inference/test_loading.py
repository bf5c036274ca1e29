import re

import pytest
import torch
from huggingface_hub import constants as hub_constants
from transformers import AutoProcessor

from leopard.errors import CheckpointError, ConfigError
from leopard.inference import loading
from leopard.inference.loading import (
    LoadSettings,
    convert_folder,
    list_models,
    load_generator,
    load_processor,
    pick_device,
    pick_dtype,
    resolve_model,
)
from leopard.processor import LeopardProcessor
from tests.model.published import edit_json, write_published_folder


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    write_published_folder(folder)
    return folder


def test_published_folder_is_ready_to_answer(published):
    generator = load_generator(published)
    assert generator.stop_tokens == {257, 265}
    assert generator.processor.settings.crop_size == 364
    assert generator.processor.image_token_id == 456


def test_published_model_answers_by_its_hub_name(tmp_path):
    repo = tmp_path / "models--wyu1--Leopard-LLaVA"
    write_published_folder(repo / "snapshots" / ("a" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    generator = load_generator("wyu1/Leopard-LLaVA", cache_dir=tmp_path, local_files_only=True)
    assert generator.name == "Leopard-LLaVA"
    names = [info.name for info in list_models(cache_dir=tmp_path)]
    assert "wyu1/Leopard-LLaVA" in names


def test_converted_folder_has_a_processor_of_its_own(published, tmp_path):
    convert_folder(published, tmp_path / "ours")
    assert (tmp_path / "ours" / "processor_config.json").exists()
    assert isinstance(AutoProcessor.from_pretrained(tmp_path / "ours"), LeopardProcessor)
    assert load_generator(tmp_path / "ours").processor.image_token_id == 456


def test_decided_image_token_reaches_the_processor(published, tmp_path):
    edit_json(published / "config.json", image_token_index=453)
    convert_folder(published, tmp_path / "ours", image_token_id=453)
    assert load_generator(tmp_path / "ours").processor.image_token_id == 453


@pytest.mark.parametrize("name", ["nano", "models/none", "./none", "/none/x", "a/b/c"])
def test_what_is_no_model_is_one_error_whatever_is_asked_of_it(name, monkeypatch):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    for load in (load_generator, load_processor):
        with pytest.raises(CheckpointError, match=f"^{re.escape(name)}: .*hub name"):
            load(name, local_files_only=True)


def test_missing_shipped_model_is_said_clearly(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "SHIPPED_MODELS", tmp_path)
    with pytest.raises(CheckpointError, match=r"leopard-nano.*wyu1/Leopard-LLaVA"):
        resolve_model(None)


def test_shipped_models_go_by_their_names(monkeypatch, tmp_path, tiny_model_folder):
    monkeypatch.setattr(loading, "SHIPPED_MODELS", tiny_model_folder.parent)
    assert resolve_model("tiny") == str(tiny_model_folder)
    assert [info.name for info in list_models(cache_dir=tmp_path)] == ["tiny"]


def test_listed_model_tells_size_layout_and_policy(tiny_model_folder, tmp_path):
    found = list_models((tiny_model_folder,), cache_dir=tmp_path)
    info = next(info for info in found if info.folder == tiny_model_folder)
    assert info.num_parameters > 100_000
    assert info.num_bytes == 4 * info.num_parameters
    assert (info.layout, info.policy, info.crop_size) == ("published-inference", "published", 56)


def test_device_and_type_follow_the_machine_or_the_wish():
    assert pick_dtype(torch.device("cpu")) is torch.float32
    assert pick_dtype(torch.device("mps")) is torch.float16
    assert pick_dtype(torch.device("cpu"), "bfloat16") is torch.bfloat16
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wrong", ["float99", "int8", 3])
def test_unknown_number_type_is_refused(wrong):
    with pytest.raises(ConfigError, match="dtype"):
        pick_dtype(torch.device("cpu"), wrong)


def test_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="toaster"):
        pick_device("toaster")


def test_device_and_device_map_exclude_each_other():
    with pytest.raises(ConfigError, match="device_map"):
        LoadSettings(device="cpu", device_map="auto")


def test_unknown_load_option_is_named(tiny_model_folder):
    with pytest.raises(ConfigError, match="flavour"):
        load_generator(tiny_model_folder, flavour="sweet")


def test_folder_that_contradicts_itself_is_listed_as_unusable(published, tmp_path):
    edit_json(published / "config.json", image_token_index=453)
    found = list_models((published,), cache_dir=tmp_path / "empty")
    assert [(i.layout, i.policy) for i in found if i.folder == published] == [("unusable",) * 2]
