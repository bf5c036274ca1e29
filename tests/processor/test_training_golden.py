"""The released training layout, token by token, against what the released code recorded."""

import hashlib

import pytest

from leopard.errors import BudgetError, ContextLengthError, PromptError
from leopard.processor.processor import LeopardProcessor
from leopard.processor.prompt import message_from_text
from leopard.processor.settings import ProcessorSettings
from leopard.processor.tokens import TokenNames
from leopard.schema.messages import Message
from tests.processor import golden

CASES = {case["name"]: case for case in golden.read("training")["cases"]}
BUGS = {
    # Dropped by the released code for no reason of the sample; ours keeps them.
    "text_only",
    "missing_placeholder_value",
}
NOT_OURS = {"pad_mode"}  # another way to squeeze pixels; its token ids are compared all the same
ROLES = {"human": "user", "gpt": "assistant"}
IMAGE_ID = 128255


def processor(layout="released-training", **changes):
    names = TokenNames(image="<|reserved_special_token_247|>")
    settings = ProcessorSettings(layout=layout, tokens=names, **changes)
    return LeopardProcessor(golden.character_tokenizer("llama31"), settings)


def conversation(case):
    """Turns of a case; missing images come first, as the released code adds them."""
    turns = [
        (
            ROLES.get(turn.get("from"), turn.get("role")),
            turn.get("value", turn.get("content")),
        )
        for turn in case["conversations"]
    ]
    placed = sum(text.count("<image>") for _, text in turns)
    missing = len(case["image_sizes_wh"]) - placed
    turns[0] = (turns[0][0], "<image>" * max(missing, 0) + turns[0][1])
    return [message_from_text(text, text.count("<image>"), role) for role, text in turns]


def images(case):
    return [golden.synthetic(*size) for size in case["image_sizes_wh"]]


def encode(case, layout="released-training"):
    squeezed = "image_aspect_ratio" in case["args"]
    changes = {"max_crops": len(case["image_sizes_wh"])} if squeezed else {}
    return processor(layout, **changes).encode_for_training(
        conversation(case), images(case), max_length=case["max_padding_length"] - 1
    )


def recorded(case):
    rows = []
    for (token, label, weight), length in case["rle_id_label_weight"]:
        rows += [(IMAGE_ID if token == -200 else token, label, weight)] * length
    return rows


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case["dropped"]])
def test_ids_labels_and_weights_are_the_released_ones(name):
    case = CASES[name]
    example = encode(case)
    expected = recorded(case)
    assert example["input_ids"].tolist() == [token for token, _, _ in expected]
    assert example["loss_mask"].tolist() == [weight == 1.0 for _, _, weight in expected]
    wanted = [label if weight else -100 for _, label, weight in expected]
    assert example["labels"].tolist() == wanted
    assert list(example["pixel_values"].shape) == case["image_shape"]


@pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if not case["dropped"] and n not in NOT_OURS]
)
def test_pixels_are_in_the_released_order(name):
    import torch

    case = CASES[name]
    values = encode(case)["pixel_values"].to(torch.bfloat16)
    hashes = [hashlib.sha256(crop.float().numpy().tobytes()).hexdigest()[:16] for crop in values]
    assert hashes == case["image_sha16"]


@pytest.mark.parametrize("layout", ["released-training", "published-inference"])
def test_a_sample_without_images_is_kept(layout):
    example = encode(CASES["text_only"], layout)
    assert "pixel_values" not in example
    assert [t for t in example["labels"].tolist() if t != -100] == [ord("a"), 128009]


def test_a_sample_without_tags_is_kept():
    example = encode(CASES["missing_placeholder_value"])
    assert example["num_crops"].tolist() == [1, 1]


def test_what_cannot_be_used_is_an_error_that_says_why():
    with pytest.raises(PromptError, match="2 image parts in the messages but 1 images"):
        encode(CASES["too_many_placeholders"])
    with pytest.raises(BudgetError, match="51 images but max_crops is 50"):
        encode(CASES["fiftyone_images"])
    with pytest.raises(ContextLengthError, match="728 more than the limit of 499"):
        encode(CASES["too_long"])


def test_every_case_is_looked_at():
    dropped = {name for name, case in CASES.items() if case["dropped"]}
    assert dropped == {*BUGS, "too_many_placeholders", "fiftyone_images", "too_long"}


def test_our_own_layout_keeps_images_where_they_are():
    case = CASES["two_images_inline"]
    example = encode(case, "published-inference")
    text = "".join(chr(t) for t in example["input_ids"].tolist() if t < 128)
    assert "A image 1:  B image 2:  C" in text


def test_training_and_inference_make_the_same_prompt():
    messages = [Message.of("user", "Q?"), Message.of("assistant", "A.")]
    own = processor("published-inference")
    trained = own.encode_for_training(messages, [])
    asked = own(messages[:1], return_tensors=None)
    start = trained["input_ids"].tolist()[: len(asked["input_ids"][0])]
    assert start == asked["input_ids"][0]


def test_a_conversation_without_an_answer_is_refused():
    with pytest.raises(PromptError, match="no assistant turn"):
        processor().encode_for_training([Message.of("user", "Q?")], [])
