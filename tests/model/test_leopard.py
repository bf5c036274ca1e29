import pytest
import torch
from transformers import AutoModel, AutoModelForImageTextToText

from leopard.errors import PlaceholderMismatchError
from leopard.model import LeopardConfig, LeopardForConditionalGeneration, LeopardModel
from leopard.model.dummy import build_dummy, preset_config
from leopard.model.reader_config import LeopardReaderConfig

IMAGE = 456
PER_CROP = 4


@pytest.fixture(scope="module")
def model():
    return build_dummy("tiny", seed=3)


@pytest.fixture
def crops():
    return torch.randn(3, 3, 56, 56, generator=torch.Generator().manual_seed(0))


def prompt(num_crops, *, start=10, text=6):
    ids = [start, *[IMAGE] * (PER_CROP * num_crops), *range(start, start + text)]
    return torch.tensor([ids])


def test_visual_tokens_take_the_place_of_placeholders_in_order(model, crops):
    ids = prompt(3)
    features = model.get_image_features(crops).pooler_output
    assert features.shape == (3, PER_CROP, 64)
    embeds = model.get_input_embeddings()(ids).detach()
    embeds[0, 1:13] = features.detach().flatten(0, 1)
    with torch.no_grad():
        merged = model(input_ids=ids, pixel_values=crops).logits
        given = model(inputs_embeds=embeds).logits
    torch.testing.assert_close(merged, given)


def test_chunked_encoding_equals_encoding_at_once(model, crops):
    once = model.get_image_features(crops).pooler_output
    model.config.vision_chunk_size, before = 2, model.config.vision_chunk_size
    chunked = model.get_image_features(crops).pooler_output
    model.config.vision_chunk_size = before
    torch.testing.assert_close(chunked, once)


def test_features_encoded_before_equal_pixels(model, crops):
    features = model.get_image_features(crops).pooler_output
    with torch.no_grad():
        first = model(input_ids=prompt(3), pixel_values=crops).logits
        second = model(input_ids=prompt(3), image_features=features).logits
    assert torch.equal(first, second)


@pytest.mark.parametrize("num_crops", [0, 2, 4])
def test_mismatch_names_both_numbers(num_crops, model, crops):
    with pytest.raises(PlaceholderMismatchError, match=rf"{num_crops * PER_CROP} placeholders.*12"):
        model(input_ids=prompt(num_crops), pixel_values=crops)


def test_neither_or_both_inputs_are_refused(model):
    with pytest.raises(ValueError, match="either"):
        model()


def test_loss_is_the_mean_over_labels_that_count(model, crops):
    ids = prompt(3)
    labels = ids.clone()
    labels[0, :-4] = -100
    with torch.no_grad():
        output = model(input_ids=ids, pixel_values=crops, labels=labels)
        summed = model(input_ids=ids, pixel_values=crops, labels=labels, num_items_in_batch=8)
    expected = torch.nn.functional.cross_entropy(output.logits[0, -5:-1], ids[0, -4:])
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(summed.loss, expected * 4 / 8)


def test_logits_are_kept_only_where_asked(model, crops):
    with torch.no_grad():
        every = model(input_ids=prompt(3), pixel_values=crops).logits
        last = model(input_ids=prompt(3), pixel_values=crops, logits_to_keep=2).logits
    assert last.shape[1] == 2
    torch.testing.assert_close(last, every[:, -2:])


def test_cached_generation_equals_uncached(model, crops):
    common = {"pixel_values": crops, "max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    cached = model.generate(prompt(3), **common)
    uncached = model.generate(prompt(3), use_cache=False, **common)
    assert torch.equal(cached, uncached)


def test_placeholders_are_never_generated(crops):
    model = build_dummy("tiny", seed=3)
    with torch.no_grad():
        model.lm_head.weight[IMAGE] = 0
    ids = prompt(3)
    with torch.no_grad():  # make the placeholder the likeliest token after this prompt
        hidden = model.model(input_ids=ids, pixel_values=crops).last_hidden_state[0, -1]
        model.lm_head.weight[IMAGE] = hidden * 10
        assert model(input_ids=ids, pixel_values=crops).logits[0, -1].argmax() == IMAGE
    new = model.generate(ids, pixel_values=crops, max_new_tokens=4, pad_token_id=0)
    assert IMAGE not in new[0, ids.shape[1] :]


def test_left_padded_batch_equals_single_prompts(model, crops):
    long, short = prompt(2), prompt(1)
    pad = long.shape[1] - short.shape[1]
    padded = torch.cat([torch.zeros(1, pad, dtype=torch.long), short], dim=1)
    mask = torch.ones(2, long.shape[1], dtype=torch.long)
    mask[1, :pad] = 0
    common = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    both = model.generate(
        torch.cat([long, padded]), attention_mask=mask, pixel_values=crops, **common
    )
    first = model.generate(long, pixel_values=crops[:2], **common)
    second = model.generate(short, pixel_values=crops[2:], **common)
    assert both[0, -8:].tolist() == first[0, -8:].tolist()
    assert both[1, -8:].tolist() == second[0, -8:].tolist()


def test_beams_keep_the_crops_of_each_prompt_together(model, crops):
    ids = torch.cat([prompt(1), prompt(1, start=30)])
    common = {"max_new_tokens": 5, "num_beams": 3, "do_sample": False, "pad_token_id": 0}
    both = model.generate(ids, pixel_values=crops[:2], **common)
    alone = model.generate(ids[1:], pixel_values=crops[1:2], **common)
    assert both[1].tolist() == alone[0].tolist()


def test_grids_of_each_prompt_are_repeated_together_for_beams(model):
    ids = torch.cat([prompt(6), prompt(6, start=30)])
    grids = torch.tensor([[2, 2], [0, 0], [0, 0], [1, 1], [1, 2]])
    _, inputs = model._expand_inputs_for_generation(2, input_ids=ids, grids=grids)
    first, second = grids[:2].tolist(), grids[2:].tolist()
    assert inputs["grids"].tolist() == [*first, *first, *second, *second]


def test_an_encoder_that_joins_tiles_asks_for_grids(model, crops, monkeypatch):
    monkeypatch.setattr(LeopardConfig, "joins_tiles", True)
    with pytest.raises(ValueError, match="grids is missing for 3 crops"):
        model.get_image_features(crops)


def test_gradients_reach_all_three_parts_with_checkpointing(crops):
    model = build_dummy("tiny").train()
    model.gradient_checkpointing_enable()
    ids = prompt(3)
    model(
        input_ids=ids, pixel_values=crops, labels=ids.masked_fill(ids == IMAGE, -100)
    ).loss.backward()
    for part in ("vision_encoder", "connector", "language_model"):
        grads = [p.grad for p in getattr(model.model, part).parameters() if p.grad is not None]
        assert any(float(grad.abs().sum()) > 0 for grad in grads), part


def test_saved_model_comes_back_through_the_auto_classes(model, crops, tmp_path):
    model.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} >= {"config.json", "model.safetensors"}
    again = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    assert isinstance(again, LeopardForConditionalGeneration)
    with torch.no_grad():
        expected = model(input_ids=prompt(3), pixel_values=crops).logits
        assert torch.equal(again(input_ids=prompt(3), pixel_values=crops).logits, expected)
    assert isinstance(AutoModel.from_pretrained(tmp_path), LeopardModel)


def test_tied_head_shares_its_table_after_loading(tmp_path):
    config = preset_config("tiny")
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
    model = LeopardForConditionalGeneration(config)
    model.save_pretrained(tmp_path)
    again = LeopardForConditionalGeneration.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.get_input_embeddings().weight


def test_small_reading_encoder_stands_where_siglip_stands():
    reader = LeopardReaderConfig(
        image_size=56,
        patch_size=28,
        hidden_size=16,
        conv_channels=8,
        num_conv_blocks=1,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    config = LeopardConfig(
        vision_config=reader,
        text_config=preset_config("tiny").text_config,
        image_token_id=IMAGE,
        shuffle_factor=1,
    )
    model = LeopardForConditionalGeneration(config).eval()
    assert config.crop_geometry.visual_tokens_per_crop == PER_CROP
    new = model.generate(
        prompt(1), pixel_values=torch.randn(1, 3, 56, 56), max_new_tokens=3, pad_token_id=0
    )
    assert new.shape[1] > prompt(1).shape[1]


def test_low_rank_adapters_attach_and_train(crops):
    peft = pytest.importorskip("peft")
    model = build_dummy("tiny")
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=2, target_modules=["q_proj", "linear_1"])
    )
    ids = prompt(3)
    adapted(input_ids=ids, pixel_values=crops, labels=ids).loss.backward()
    trained = [name for name, p in adapted.named_parameters() if p.grad is not None]
    assert trained
    assert all("lora_" in name for name in trained)
