"""Leopard-LLaVA against numbers recorded from the published class (float32, CPU).

Tolerances: features 2e-5 and logits 5e-4, five times what float32 itself loses against float64;
the smallest mistake of the model moves features by more than 4e-5 or logits by more than 3e-3.
Greedy ids must be equal: the closest decision in the set has a margin of 0.06.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from leopard.model import LeopardForConditionalGeneration
from tests.parity import cases as parity

CASES = parity.cases("llava")
VALUES = parity.arrays("llava")
WITH_IMAGES = [name for name, case in CASES.items() if case["images"]]


@pytest.fixture(scope="module")
def model():
    return LeopardForConditionalGeneration.from_pretrained(
        parity.LLAVA_FOLDER, dtype=torch.float32
    ).eval()


@pytest.fixture(scope="module")
def encoded(model):
    """Pixels and visual tokens of a case, encoded once."""
    done = {}

    def encode(name):
        if name not in done:
            pixels = parity.llava_pixels(CASES[name])
            with torch.no_grad():
                done[name] = pixels, model.get_image_features(pixels)
        return done[name]

    return encode


def expanded_ids(case):
    ids = []
    for token in case["input_ids"]:
        ids.extend([token] * (169 if token == 456 else 1))
    return torch.tensor([ids])


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_crops_are_the_recorded_pixels(name, encoded):
    pixels, _ = encoded(name)
    assert parity.sha256(pixels.numpy()) == CASES[name]["pixel_values"]["sha256"]


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_visual_tokens_equal_the_published_ones(name, encoded):
    _, output = encoded(name)
    tokens = output.pooler_output
    probe = tokens @ VALUES["probe_hidden64"]
    torch.testing.assert_close(probe, VALUES[f"{name}.features_probe"], atol=2e-5, rtol=0)
    index = CASES[name]["first_crop_encoded_index"]
    key = "features_first_global" if index is None else "features_first_crop"
    expected = VALUES[f"{name}.{key}"]
    torch.testing.assert_close(tokens[index or 0], expected, atol=2e-5, rtol=0)


def test_patch_features_equal_the_published_ones(encoded):
    _, output = encoded("one_page")
    expected = VALUES["one_page.vision_last_hidden_first_crop"]
    torch.testing.assert_close(output.last_hidden_state[1], expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_logits_equal_the_published_ones(name, model, encoded):
    case = CASES[name]
    features = encoded(name)[1].pooler_output if case["images"] else None
    with torch.no_grad():
        output = model(
            input_ids=expanded_ids(case),
            image_features=features,
            logits_to_keep=torch.tensor(case["logit_positions"]),
        )
    torch.testing.assert_close(output.logits[0], VALUES[f"{name}.logits"], atol=5e-4, rtol=0)
    assert output.logits[0].argmax(-1).tolist() == case["argmax_at_logit_positions"]


@pytest.mark.parametrize("name", CASES)
def test_greedy_continuation_equals_the_published_one(name, model, encoded):
    case, ids = CASES[name], expanded_ids(CASES[name])
    greedy = case["greedy"]
    images = {"image_features": encoded(name)[1].pooler_output} if case["images"] else {}
    new = model.generate(
        ids,
        **images,
        max_new_tokens=greedy["max_new_tokens"],
        do_sample=False,
        eos_token_id=greedy["eos_token_id"],
        pad_token_id=greedy["pad_token_id"],
    )[0, ids.shape[1] :]
    assert new.tolist() == greedy["new_ids"]


def test_generation_stops_at_the_end_token(model, encoded):
    case, ids = CASES["one_page"], expanded_ids(CASES["one_page"])
    stop = case["greedy"]["stop_test"]
    new = model.generate(
        ids,
        pixel_values=encoded("one_page")[0],
        max_new_tokens=16,
        do_sample=False,
        eos_token_id=stop["eos_token_id"],
        pad_token_id=512,
    )[0, ids.shape[1] :]
    assert new.tolist() == stop["new_ids"]


@pytest.mark.parametrize(
    "attention", ["eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)]
)
def test_attention_back_ends_agree(attention, encoded):
    case = CASES["text_only"]
    other = LeopardForConditionalGeneration.from_pretrained(
        parity.LLAVA_FOLDER, dtype=torch.float32, attn_implementation=attention
    )
    with torch.no_grad():
        logits = other(input_ids=expanded_ids(case)).logits[0, case["logit_positions"]]
    torch.testing.assert_close(logits, VALUES["text_only.logits"], atol=5e-4, rtol=0)


@pytest.mark.parametrize("scheme", [0, 1, 2, 3])
def test_all_naming_schemes_load_every_tensor(scheme, tmp_path):
    rows = parity.read_json("key_schemes.json")["rows"]
    names = {row[0]: row[scheme] for row in rows}
    tensors = load_file(parity.LLAVA_FOLDER / "model.safetensors")
    save_file({names[k]: v for k, v in tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((parity.LLAVA_FOLDER / "config.json").read_text())
    model, info = LeopardForConditionalGeneration.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert torch.equal(model.lm_head.weight, tensors["language_model.lm_head.weight"])
    norm = tensors["vision_tower.vision_model.post_layernorm.weight"]
    assert torch.equal(model.model.vision_encoder.post_layernorm.weight, norm)


def test_configuration_rewritten_by_newer_transformers_means_the_same(model, tmp_path):
    newer = json.dumps(parity.read_json("config_transformers5.json"))
    (tmp_path / "config.json").write_text(newer)
    config = type(model.config).from_pretrained(tmp_path)
    assert config.text_config.rope_parameters == model.config.text_config.rope_parameters
    assert config.crop_geometry == model.config.crop_geometry
    assert config.image_token_id == model.config.image_token_id == 456
