import json
from pathlib import Path

import pytest
import torch

from leopard.errors import ConfigError
from leopard.model.dummy import build_dummy, preset_config
from leopard.model.weights import published_name

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("variant", ["llava", "idefics2"])
def test_full_size_state_dict_has_the_published_names_and_shapes(variant):
    model = build_dummy(f"leopard-{variant}", device="meta", dtype=torch.bfloat16)
    golden = json.loads((GOLDEN / f"state_dict_leopard_{variant}.json").read_text())
    absent = golden.get("absent_from_converter_output", [])
    published = {k: v for k, v in golden["tensors"].items() if k not in absent}
    ours = {
        published_name(name, model_type=model.config.model_type): list(tensor.shape)
        for name, tensor in model.state_dict().items()
    }
    assert ours == published
    meta = golden["meta"]
    expected = meta.get("num_parameters_without_head", meta["num_parameters"])
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_full_size_epsilon_of_the_perceiver_is_the_language_models():
    assert preset_config("leopard-idefics2").perceiver_config.rms_norm_eps == 1e-5


def test_full_size_rotary_scaling_is_that_of_llama31():
    rope = preset_config("leopard-llava").text_config.rope_parameters
    assert rope["rope_type"] == "llama3"
    assert (rope["rope_theta"], rope["factor"]) == (500000.0, 8.0)


def test_same_seed_gives_the_same_working_model():
    first, second, other = (build_dummy("tiny", seed=seed) for seed in (1, 1, 2))
    ids = torch.arange(8)[None]
    with torch.no_grad():
        logits = [model(input_ids=ids).logits for model in (first, second, other)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert torch.isfinite(logits[0]).all()


def test_type_is_as_asked():
    assert build_dummy("tiny", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_unknown_size_names_the_known_ones():
    with pytest.raises(ConfigError, match="leopard-llava"):
        build_dummy("huge")
