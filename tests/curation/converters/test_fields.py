"""Fields of records: what is understood, and what is refused with a reason."""

from __future__ import annotations

from random import Random

import pytest

from leopard.curation.converters.fields import (
    answer_type,
    choice_qa,
    grouped,
    limited,
    literal,
    number_text,
    plain_qa,
    text,
    texts,
    turns,
    without_letter,
)
from leopard.curation.imports import BadRecordError


def test_texts_are_trimmed_and_empty_ones_refused() -> None:
    assert text({"a": " x "}, "a") == "x"
    assert text({"a": 0}, "a") == "0"
    assert texts(["a", None, " ", 3]) == ["a", "3"]
    assert texts("one") == ["one"]
    for record in ({}, {"a": None}, {"a": "  "}):
        with pytest.raises(BadRecordError, match="a is missing"):
            text(record, "a")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Yes", "boolean"), ("-3.5 %", "number"), ("$1,200", "number"), ("2019", "number"),
        ("3 million", "text"), ("A-17", "text"), ("yes it is", "text"),
    ],
)  # fmt: skip
def test_the_kind_of_answer_follows_its_form(answer: str, kind: str) -> None:
    assert answer_type(answer) == kind


def test_whole_numbers_have_no_point() -> None:
    assert [number_text(v) for v in (2.0, 2.5, 3, " x ", float("nan"))] == [
        "2", "2.5", "3", "x", "nan",
    ]  # fmt: skip


def test_other_right_answers_are_aliases() -> None:
    qa = plain_qa("Who?", ["Ann", "Ann", " ", "Ann Lee"], family="f")
    assert (qa.answer, qa.aliases) == ("Ann", ("Ann Lee",))
    with pytest.raises(BadRecordError, match="answer is missing"):
        plain_qa("Who?", ["", " "], family="f")
    with pytest.raises(BadRecordError, match="question is missing"):
        plain_qa(" ", ["x"], family="f")


def test_options_get_letters() -> None:
    qa = choice_qa("Which?", ["red", "blue"], 1, family="f")
    assert qa.question == "Which?\nA. red\nB. blue"
    assert qa.answer == "B. blue"
    assert qa.choices == ("red", "blue")
    for options, correct in ((["red"], 0), (["red", "blue"], 2), (["red", "blue"], -1)):
        with pytest.raises(BadRecordError):
            choice_qa("Which?", options, correct, family="f")


@pytest.mark.parametrize(
    ("written", "bare"),
    [("B) two", "two"), ("(B) two", "two"), ("B. two", "two"), ("B: two", "two"),
     ("A cat", "A cat"), ("C - x", "C - x"), ("b) two", "b) two")],
)  # fmt: skip
def test_letters_before_options_are_taken_off(written: str, bare: str) -> None:
    assert without_letter(written) == bare


def test_literals_are_read_and_never_run() -> None:
    assert literal('{"a": [1, null]}') == {"a": [1, None]}
    assert literal("{'a': (1, None)}") == {"a": (1, None)}
    assert literal([1]) == [1]
    for bad in ("__import__('os').getcwd()", "{'a'", "(" * 5000, "[" * 300_000):
        with pytest.raises(BadRecordError, match="a literal"):
            literal(bad)


def test_conversations_of_all_shapes_give_pairs_and_images() -> None:
    llava = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "Ann"}]
    assert turns(llava) == ([("Who?", "Ann")], [])
    qwen = [
        {"from": "user", "value": "Picture 1: <img>a/b.jpg</img>\nWho?"},
        {"from": "assistant", "value": "Ann"},
    ]
    assert turns(qwen) == ([("Who?", "Ann")], ["a/b.jpg"])
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "<|image|>Who?"},
        {"role": "assistant", "content": "Ann"},
    ]
    assert turns(chat) == ([("Who?", "Ann")], [])
    assert turns(llava * 2)[0] == [("Who?", "Ann")] * 2


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        ([], "no conversation"),
        ("Who?", "no conversation"),
        ([{"from": "human", "value": "Who?"}], "no answer"),
        ([{"from": "gpt", "value": "Ann"}, {"from": "human", "value": "Who?"}], "alternate"),
        ([{"from": "human", "value": "a"}, {"from": "human", "value": "b"}], "alternate"),
    ],
)
def test_conversations_without_order_are_refused(talk: object, reason: str) -> None:
    with pytest.raises(BadRecordError, match=reason):
        turns(talk)


def test_a_limit_keeps_the_order() -> None:
    kept = limited(range(50), 10, Random(1))
    assert len(kept) == 10
    assert kept == sorted(kept)
    assert limited([3, 1], 10, Random(1)) == [3, 1]


def test_records_without_the_key_stay_together_and_are_not_lost() -> None:
    rows = [{"k": 1, "v": 1}, {"v": 2}, {"k": 1, "v": 3}, "odd"]
    groups = grouped(rows, "k")
    assert [key for key, _ in groups] == ["1", ""]
    assert sum(len(items) for _, items in groups) == len(rows)
