import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from leopard.inference.text_stream import TextStream
from tests.conftest import TOKENIZER

TOKENS = PreTrainedTokenizerFast.from_pretrained(TOKENIZER)


def ids_of(text):
    return TOKENS.encode(text, add_special_tokens=False)


def run(ids, stop=()):
    stream = TextStream(TOKENS, stop)
    pieces = [stream.push(token) for token in ids]
    return [*pieces, stream.finish()], stream


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120).filter(lambda text: "<|" not in text and "\t" not in text))
def test_pieces_join_to_the_text_without_broken_characters(text):
    pieces, stream = run(ids_of(text))
    whole = TOKENS.decode(ids_of(text), clean_up_tokenization_spaces=False).strip()
    assert "".join(pieces) == stream.text == whole
    assert "\ufffd" not in "".join(pieces).replace("\ufffd", "", text.count("\ufffd"))


def test_a_character_of_four_bytes_comes_whole():
    pieces, _ = run(ids_of("a😀b"))
    assert [piece for piece in pieces if piece] == ["a", "😀", "b"]


def test_bytes_that_are_no_character_are_shown_once_that_is_certain():
    broken = [ids_of("é")[0]] * 6
    pieces, stream = run([*broken, *ids_of("ok")])
    assert stream.text.endswith("ok")
    assert "".join(pieces) == stream.text


@settings(max_examples=60, deadline=None)
@given(st.text("abc ", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_stop_texts_cut_at_the_first_place(text, stops):
    pieces, stream = run(ids_of(text), tuple(stops))
    places = []
    for end in range(len(text) + 1):  # the first moment at which any stop text is complete
        places = [p for stop in stops if (p := text[:end].find(stop)) >= 0]
        if places:
            break
    expected = (text[: min(places)] if places else text).strip()
    assert "".join(pieces) == stream.text == expected
    for stop in stops:
        assert stop not in stream.text


def test_the_beginning_of_a_stop_text_is_held_back():
    stream = TextStream(TOKENS, ("###",))
    given = [stream.push(token) for token in ids_of("ab##c")]
    assert given == ["a", "b", "", "", "##c"]


def test_special_tokens_are_not_text():
    pieces, _ = run([*ids_of("yes"), 265])
    assert "".join(pieces) == "yes"


def test_white_space_around_the_answer_is_dropped():
    pieces, _ = run(ids_of("  a b \n "))
    assert "".join(pieces) == "a b"


@pytest.mark.parametrize("length", [40, 200])
def test_long_texts_survive_the_moving_window(length):
    text = "".join(chr(0x4E00 + index) for index in range(length))
    pieces, _ = run(ids_of(text))
    assert "".join(pieces) == text
