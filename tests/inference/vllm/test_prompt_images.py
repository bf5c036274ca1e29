import numpy as np
import pytest
import torch

from leopard.errors import BudgetError, ConfigError, PlaceholderMismatchError, PromptError
from leopard.inference.loading import load_processor
from leopard.inference.vllm.prompt_images import prompt_images, visual_spans
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message
from tests.inference.vllm.models import DECKS, PAGE, SMALL, TALL, WIDE
from tests.parity.cases import VECTORS


def sizes(images):
    return [ImageSize(*image.size) for image in images]


@pytest.fixture(scope="module")
def tiled(tiny_model_folder):
    return load_processor(str(tiny_model_folder))


@pytest.fixture(scope="module")
def whole():
    return load_processor(str(VECTORS / "leopard_idefics2_tiny"))


def messages(images, text="What is shown?"):
    return [Message.of("user", *[ImagePart()] * len(images), text)]


# --- Tiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deck", DECKS.values(), ids=DECKS)
def test_shares_are_those_of_the_whole_prompt(tiled, deck):
    shares = prompt_images(tiled).shares(sizes(deck))
    plan = tiled.plan(sizes(deck))
    assert [share.num_crops for share in shares] == list(plan.crops_per_image)
    assert [share.num_visual_tokens for share in shares] == list(plan.visual_tokens_per_image)


def test_one_image_has_another_name_beside_other_neighbours(tiled):
    images = prompt_images(tiled)
    alone = images.shares(sizes([PAGE]))[0]
    crowded = images.shares(sizes(DECKS["thumbnails only"]))[0]
    assert alone.num_crops > crowded.num_crops
    assert alone.key != crowded.key
    again = images.shares(sizes([PAGE]))[0]
    assert again.key == alone.key


def test_crops_are_those_of_the_processor_whichever_are_cut(tiled):
    images, deck = prompt_images(tiled), [TALL, PAGE, SMALL]
    shares = images.shares(sizes(deck))
    whole = tiled(messages(deck), deck).pixel_values
    cut = images.pixels(deck, shares)["pixel_values"]
    assert torch.equal(torch.cat(cut), whole)
    last = images.pixels(deck[1:], shares[1:])["pixel_values"]
    assert torch.equal(torch.cat(last), whole[shares[0].num_crops :])


@pytest.mark.parametrize("deck", DECKS.values(), ids=DECKS)
def test_prompts_that_vllm_tokenised_are_expanded_as_the_processor_does(tiled, deck):
    images = prompt_images(tiled)
    shares = images.shares(sizes(deck))
    said = messages(deck, "What <|eot_id|> is\n\nshown?  ")
    rendered = tiled.apply_chat_template([m.to_dict() for m in said], add_generation_prompt=True)
    ids = tiled.tokenizer.encode(rendered, add_special_tokens=False)
    wanted = tiled(rendered, list(deck), rendered=True)["input_ids"][0].tolist()
    expanded = images.expand(ids, shares)
    assert expanded == wanted
    assert images.expand(expanded, shares) == expanded


def test_messages_are_encoded_as_the_local_engine_does(tiled, whole):
    deck = [PAGE, SMALL]
    ids, shown = prompt_images(tiled).encode(messages(deck), deck)
    assert ids == tiled(messages(deck), deck)["input_ids"][0].tolist()
    assert len(shown) == 2
    ids, shown = prompt_images(whole).encode(messages(deck), deck)
    text = whole.render(messages(deck))
    assert ids == whole(text=text, images=deck)["input_ids"][0].tolist()
    with pytest.raises(PromptError, match="2 image parts in the messages but 1 images"):
        prompt_images(whole).encode(messages(deck), deck[:1])


def test_budget_and_policy_can_be_changed_and_nothing_else(tiled, whole):
    images = prompt_images(tiled)
    assert images.max_images == 12
    assert sum(share.num_crops for share in images.shares(sizes([PAGE]), max_crops=3)) <= 3
    with pytest.raises(BudgetError):
        images.shares(sizes([PAGE] * 13))
    with pytest.raises(ConfigError, match="size: unknown; use max_crops or policy"):
        images.shares(sizes([PAGE]), size=3)
    with pytest.raises(ConfigError, match="max_crops: unknown; this model has none"):
        prompt_images(whole).shares(sizes([PAGE]), max_crops=3)


def test_no_image_takes_more_than_the_largest(tiled):
    images = prompt_images(tiled)
    most = images.shares([images.largest()])[0].num_crops
    assert most == 12
    for image in (PAGE, TALL, SMALL, WIDE):
        assert images.shares(sizes([image]))[0].num_crops <= most


# --- Whole images --------------------------------------------------------------------------------


def test_whole_images_are_padded_to_the_largest_of_their_prompt(whole):
    images, deck = prompt_images(whole), [PAGE, TALL, WIDE]
    shares = images.shares(sizes(deck))
    together = whole(text=whole.render(messages(deck)), images=deck)
    for name, found in images.pixels(deck, shares).items():
        assert np.array_equal(torch.stack(found).numpy(), together[name][0].numpy()), name
    only = images.pixels(deck[1:2], shares[1:2])["pixel_values"][0]
    assert torch.equal(only, together["pixel_values"][0, 1])


def test_padding_is_part_of_the_name(whole):
    images = prompt_images(whole)
    alone, beside = images.shares(sizes([PAGE]))[0], images.shares(sizes([PAGE, WIDE]))[0]
    assert alone.key == "600x400px"
    assert beside.key == "975x700px"


@pytest.mark.parametrize("deck", DECKS.values(), ids=DECKS)
def test_whole_images_are_expanded_as_the_processor_does(whole, deck):
    images = prompt_images(whole)
    shares = images.shares(sizes(deck))
    text = whole.render(messages(deck))
    expanded = images.expand(whole.tokenizer(text)["input_ids"], shares)
    bare = whole.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert bare != whole.tokenizer(text)["input_ids"]
    assert images.expand(bare, shares) == expanded
    assert expanded == whole(text=text, images=list(deck))["input_ids"][0].tolist()
    assert images.expand(expanded, shares) == expanded


# --- Places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiled", "whole"])
def test_spans_hold_the_visual_tokens_of_each_image(kind, request):
    processor = request.getfixturevalue(kind)
    images, deck = prompt_images(processor), [PAGE, TALL, SMALL]
    shares = images.shares(sizes(deck))
    ids, _ = images.encode(messages(deck), deck)
    spans = visual_spans(ids, images.image_token_id, shares)
    assert [sum(mask) for _, mask in spans] == [share.num_visual_tokens for share in shares]
    covered = set()
    for start, mask in spans:
        for position, is_visual in enumerate(mask, start):
            assert is_visual == (ids[position] == images.image_token_id)
            assert position not in covered
            covered.add(position)
    visual = {position for position, token in enumerate(ids) if token == images.image_token_id}
    assert visual <= covered


@pytest.mark.parametrize("kind", ["tiled", "whole"])
def test_placeholders_that_do_not_match_are_refused(kind, request):
    images = prompt_images(request.getfixturevalue(kind))
    shares = images.shares(sizes([PAGE, TALL]))
    with pytest.raises(PromptError):
        images.expand([1, images.image_token_id, 2], shares)
    with pytest.raises(PlaceholderMismatchError, match="3 placeholders"):
        visual_spans([images.image_token_id] * 3, images.image_token_id, shares)
