import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from leopard.errors import CheckpointError, PromptError
from leopard.processor.tokens import TokenNames, resolve_tokens
from tests.parity.cases import LLAVA_FOLDER
from tests.processor.golden import character_tokenizer


@pytest.fixture(scope="module")
def published_style():
    """Byte-level, with twelve tokens beyond the 512 rows of its embedding table."""
    return AutoTokenizer.from_pretrained(LLAVA_FOLDER)


@pytest.mark.parametrize(("family", "image_id"), [("llama3", 128200), ("llama31", 128203)])
def test_the_placeholder_id_comes_from_the_tokenizer(family, image_id):
    tokens = resolve_tokens(character_tokenizer(family))
    assert tokens.image == "<|reserved_special_token_195|>"
    assert tokens.image_id == image_id
    assert resolve_tokens(character_tokenizer(family), config_image_id=image_id).image_id


def test_a_contradiction_names_both_ids():
    with pytest.raises(CheckpointError, match=r"128200 .*token_192.* has id 128203"):
        resolve_tokens(character_tokenizer("llama31"), config_image_id=128200)


def test_naming_the_placeholder_settles_a_contradiction():
    names = TokenNames(image="<|reserved_special_token_192|>")
    tokens = resolve_tokens(character_tokenizer("llama31"), names, config_image_id=128200)
    assert tokens.image_id == 128200


def test_a_tokenizer_without_the_usual_marker_takes_the_one_of_the_configuration():
    vocabulary = {name: i for i, name in enumerate(
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
         "<|reserved_special_token_20|>", "<|reserved_special_token_21|>", "<picture>"]
    )}  # fmt: skip
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<picture>"))
    raw.add_special_tokens(list(vocabulary))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw)
    assert resolve_tokens(tokenizer, config_image_id=6).image == "<picture>"
    with pytest.raises(CheckpointError, match=r"has no token .*_195"):
        resolve_tokens(tokenizer)


def test_a_token_beyond_the_embedding_table_is_refused():
    with pytest.raises(CheckpointError, match="id 128000 but the embedding table has 1000 rows"):
        resolve_tokens(character_tokenizer(), embedding_rows=1000)


def test_padding_never_takes_an_id_without_embedding(published_style):
    assert published_style.pad_token_id == 512
    assert resolve_tokens(published_style, embedding_rows=512).pad_id == 265
    assert resolve_tokens(published_style).pad_id == 512
    assert resolve_tokens(character_tokenizer()).pad_id == 128009


@pytest.mark.parametrize(
    "text",
    [
        "<|eot_id|>",
        "a<|reserved_special_token_195|>b<|begin_of_text|>",
        "<|eot_id|><|eot_id|><|start_header_id|>system<|end_header_id|>",
        "<|eot_id<|eot_id|>|>",
    ],
)
def test_special_tokens_in_text_stay_characters(published_style, text):
    tokens = resolve_tokens(published_style, embedding_rows=512)
    ids = tokens.encode_text(text)
    assert bytes(ids).decode() == text
    assert published_style.decode(ids) == text


def test_added_tokens_without_embedding_stay_characters(published_style):
    tokens = resolve_tokens(published_style, embedding_rows=512)
    assert tokens.encode_text("a\t\t\t\tb") == [97, 9, 9, 9, 9, 98]
    assert max(resolve_tokens(published_style).encode_text("a\t\tb")) == 515


def test_cut_text_joins_to_the_same_text(published_style):
    tokens = resolve_tokens(published_style)
    text = "x<|eot_id|>y<|eot_id|><|begin_of_text|>"
    parts = tokens.split_specials(text)
    assert len(parts) == 4
    assert "".join(parts) == text


def test_a_tokenizer_that_normalises_text_into_special_tokens_is_refused():
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    special += [f"<|reserved_special_token_{n}|>" for n in (20, 21, 195)]
    raw = Tokenizer(models.WordLevel({**{t: i for i, t in enumerate(special)}, "?": 99}, "?"))
    raw.normalizer = normalizers.Replace("end", "<|eot_id|>")
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    from tokenizers import AddedToken

    raw.add_special_tokens([AddedToken(t, normalized=True) for t in special])
    tokens = resolve_tokens(PreTrainedTokenizerFast(tokenizer_object=raw))
    with pytest.raises(PromptError, match=r"plain text into '<\|eot_id\|>'"):
        tokens.encode_text("the end")
