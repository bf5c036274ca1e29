"""Leopard-Idefics2 against numbers recorded from transformers 4.44.2 (float32, CPU).

Tolerances: features 5e-5, logits 5e-4, ten times what float32 loses against float64; the smallest
mistake moves features by more than 5e-4. Greedy ids must be equal (smallest margin 0.03).
"""

import numpy as np
import pytest
import torch

from leopard.model import LeopardIdefics2ForConditionalGeneration
from leopard.model.idefics2 import position_buckets
from leopard.processor.idefics2 import load_idefics2_processor
from leopard.schema.messages import ImagePart, Message
from tests.parity import cases as parity

CASES = parity.cases("idefics2")
VALUES = parity.arrays("idefics2")


@pytest.fixture(scope="module")
def processor():
    return load_idefics2_processor(str(parity.IDEFICS2_FOLDER))


@pytest.fixture(scope="module")
def model():
    return LeopardIdefics2ForConditionalGeneration.from_pretrained(
        parity.IDEFICS2_FOLDER, dtype=torch.float32
    ).eval()


@pytest.fixture(scope="module")
def inputs(processor):
    def make(name):
        case = CASES[name]
        return processor(text=case["chat_text"], images=parity.open_images(case))

    return make


def test_position_buckets_equal_the_recorded_ones():
    recorded = parity.read_json("idefics2_bucket_coords.json")["coords"]
    computed = {count: list(position_buckets(int(count))) for count in recorded}
    assert computed == recorded


@pytest.mark.parametrize("name", CASES)
def test_prompt_ids_and_pixels_are_the_recorded_ones(name, inputs):
    case, made = CASES[name], inputs(name)
    assert made["input_ids"][0].tolist() == case["input_ids"]
    assert parity.sha256(made["pixel_values"].numpy()) == case["pixel_values"]["sha256"]
    mask = made["pixel_attention_mask"].numpy().astype(np.uint8)
    assert parity.sha256(mask) == case["pixel_attention_mask"]["sha256_uint8"]


def test_chat_text_is_the_recorded_one(processor):
    case = CASES["one_wide"]
    message = Message.of("user", ImagePart(), case["prompt"].removeprefix("<image>"))
    expected = case["chat_text"].replace("User: <image>", "User:<image>")
    assert processor.render([message]) == expected


def test_special_tokens_in_user_text_stay_text(processor):
    text = processor.render([Message.of("user", "what is <image> or <end_of_utterance>?")])
    assert "<image>" not in text
    assert text.count("<end_of_utterance>") == 1


@pytest.mark.parametrize("name", CASES)
def test_positions_of_patches_are_the_recorded_ones(name, model, inputs):
    mask = inputs(name)["pixel_attention_mask"][0].bool()
    patches = mask.unfold(1, 14, 14).unfold(2, 14, 14).flatten(-2).any(-1)
    ids = model.model.vision_model.embeddings.position_ids(patches)
    assert torch.equal(ids, VALUES[f"{name}.patch_position_ids"].long())


@pytest.mark.parametrize("name", CASES)
def test_visual_tokens_and_logits_equal_the_recorded_ones(name, model, inputs):
    case, made = CASES[name], inputs(name)
    with torch.no_grad():
        features = model.model.get_image_features(
            made["pixel_values"], made["pixel_attention_mask"]
        ).pooler_output
        logits = model(**made).logits[0, case["logit_positions"]]
    expected = VALUES[f"{name}.features_first_image"]
    torch.testing.assert_close(features[0], expected, atol=5e-5, rtol=0)
    probe = features @ VALUES["probe_hidden64"]
    torch.testing.assert_close(probe, VALUES[f"{name}.features_probe"], atol=1e-4, rtol=0)
    torch.testing.assert_close(logits, VALUES[f"{name}.logits"], atol=5e-4, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_greedy_continuation_equals_the_recorded_one(name, model, inputs):
    case, made = CASES[name], inputs(name)
    new = model.generate(
        **made,
        max_new_tokens=case["greedy"]["max_new_tokens"],
        do_sample=False,
        eos_token_id=case["greedy"]["eos_token_id"],
        pad_token_id=0,
    )[0, made["input_ids"].shape[1] :]
    assert new.tolist() == case["greedy"]["new_ids"]
