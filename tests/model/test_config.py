import pytest
from transformers import AutoConfig, Qwen2Config

from leopard.errors import CheckpointError, GeometryError
from leopard.model import LeopardConfig
from leopard.schema.geometry import CropGeometry
from tests.parity.cases import IDEFICS2_FOLDER, LLAVA_FOLDER


def test_defaults_are_the_published_sizes():
    config = LeopardConfig()
    assert config.crop_geometry == CropGeometry(crop_size=364, patch_size=14, shuffle_factor=2)
    assert config.crop_geometry.visual_tokens_per_crop == 169
    assert config.text_config.vocab_size == 128256
    assert config.vision_config.vision_use_head is False


def test_published_configuration_is_read_with_its_absent_keys():
    config = LeopardConfig.from_pretrained(LLAVA_FOLDER)
    assert config.image_token_id == 456
    assert config.text_config.rope_parameters["rope_theta"] == 500000
    assert config.projector_hidden_act == "gelu"


def test_saved_configuration_comes_back_the_same(tmp_path):
    config = LeopardConfig.from_pretrained(LLAVA_FOLDER)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(again, LeopardConfig)
    assert again.to_json_string() == config.to_json_string()


def test_any_language_model_of_transformers_fits():
    config = LeopardConfig(text_config=Qwen2Config(vocab_size=130000))
    assert config.text_config.model_type == "qwen2"


def test_image_token_outside_the_embedding_table_is_refused():
    with pytest.raises(CheckpointError, match="128200"):
        LeopardConfig(text_config={"model_type": "llama", "vocab_size": 100})


def test_contradicting_image_tokens_are_refused():
    with pytest.raises(CheckpointError, match=r"5.*6"):
        LeopardConfig(image_token_id=5, image_token_index=6)


def test_sizes_without_whole_visual_tokens_are_refused():
    with pytest.raises(GeometryError, match="364"):
        LeopardConfig(shuffle_factor=4)


def test_folder_of_the_other_variant_is_refused():
    with pytest.raises(CheckpointError, match="idefics2"):
        LeopardConfig.from_pretrained(IDEFICS2_FOLDER)
