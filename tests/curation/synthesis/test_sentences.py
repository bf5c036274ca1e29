"""Sentence answers: they hold the short answer, and only the right one passes verification."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.sentences import SENTENCE_ENDINGS, says
from leopard.curation.synthesis.settings import SynthSettings, load_preset
from leopard.curation.verify import Verdict, verify_sample

pytest.importorskip("typst")


@pytest.fixture(scope="module")
def made() -> list:  # type: ignore[type-arg]
    values = load_preset("smoke").model_dump() | {"sentence_share": 1.0, "choice_share": 0.0}
    maker = SampleMaker(SynthSettings.model_validate(values))
    return [maker.make(index) for index in range(40)]


def test_sentences_hold_the_short_answer_and_ask_for_a_sentence(made: list) -> None:  # type: ignore[type-arg]
    turns = [turn for item in made for turn in item.sample.qa]
    sentences = [turn for turn in turns if turn.answer_type == "sentence"]
    assert len(sentences) > len(turns) / 2
    for turn in sentences:
        assert turn.question.endswith(SENTENCE_ENDINGS)
        (short,) = turn.aliases
        assert says(turn.answer, short)
        assert not turn.answer.endswith("..")
        assert len(turn.answer) > len(short) + 5
    assert len({turn.family for turn in sentences}) >= 9
    for turn in turns:
        if turn.answer_type in ("boolean", "list", "unanswerable"):
            assert turn.aliases == ()


def test_only_the_proven_sentence_passes(made: list) -> None:  # type: ignore[type-arg]
    honest, lying = Verdict(), Verdict()
    lies = 0
    for item in made:
        pdfs = {item.sample.images[0].pdf_ref: item.pdf}
        verify_sample(item.sample, pdfs, honest)
        for turn in item.sample.qa:
            if turn.answer_type != "sentence":
                continue
            short = turn.aliases[0]
            for lie in (
                replace(turn, answer=turn.answer.replace(short, f"{short}7")),
                replace(turn, answer=f"{turn.answer}5"),
                replace(turn, answer=turn.answer.replace(short, "Zzyzx"), aliases=("Zzyzx",)),
                replace(turn, aliases=()),
            ):
                verify_sample(replace(item.sample, qa=(lie,)), pdfs, lying)
                lies += 1
    assert not honest.errors
    assert lies > 200
    assert sum(lying.errors.values()) == lies


@pytest.mark.parametrize(
    ("sentence", "short", "holds"),
    [
        ("The total is 5.", "5", True), ("The total is 5.1.", "5", False),
        ("The total is 15.", "5", False), ("The total is 1.5.", "5", False),
        ("The total is -5.", "5", False), ("The total is 5", "5", False),
        ("Ann Lee has the highest age.", "Ann Lee", True), ("Anna has it.", "Ann", False),
        ("The trend is rising.", "rising", True), ("The client is Kim Ltd.", "Kim Ltd.", True),
        ("The total is 5,000.", "5", False), ("It costs $5.", "$5", True),
    ],
)  # fmt: skip
def test_a_sentence_says_the_whole_answer_or_nothing(
    sentence: str, short: str, holds: bool
) -> None:
    assert says(sentence, short) == holds
