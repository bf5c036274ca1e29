"""Filters: what is dropped, why, and that sound samples stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.config import build, load
from leopard.curation.filters import FilterSettings, fault, filtered
from leopard.curation.quality import read_drops
from leopard.errors import ConfigError
from leopard.schema.messages import Message, TextPart
from leopard.schema.samples import QuestionAnswer, Sample, conversation
from leopard.schema.shards import write_shard

pytest.importorskip("py3langid")
ENGLISH = (
    "Which of the two stations in the report had the most rain in the spring of that year?",
    "The station at the harbour, with more than eighty millimetres.",
)
GERMAN = (
    "Welche der beiden Stationen in dem Bericht hatte im Frühling den meisten Regen?",
    "Die Station am Hafen, mit mehr als achtzig Millimetern.",
)


def sample(*pairs: tuple[str, str], proven: bool = False, name: str = "a") -> Sample:
    program = {"op": "read", "element": "f0"} if proven else None
    qa = tuple(QuestionAnswer(question=q, answer=a, program=program) for q, a in pairs)
    return Sample(id=name, doc_id=name, domain="document", task="t",
                  messages=conversation(0, qa), qa=qa)  # fmt: skip


def test_a_sound_sample_stays() -> None:
    assert fault(sample(ENGLISH), FilterSettings()) == ""
    assert fault(sample(("Total?", "42")), FilterSettings()) == ""


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (GERMAN, "language de"),
        (("What is the total?", "  "), "empty answer"),
        (("?", "42"), "question too short or too long"),
        (("What is it?", "x" * 5000), "answer too long"),
        (("What is the total?", "I cannot see an invoice here."), "the answer is a refusal"),
        (("What is the total?", "It can't be determined."), "the answer is a refusal"),
    ],
)
def test_what_is_dropped_and_why(pair: tuple[str, str], reason: str) -> None:
    assert fault(sample(pair), FilterSettings()) == reason


def test_refusals_stay_where_they_are_proven_or_wanted() -> None:
    pair = ("Who signed it?", "That cannot be determined.")
    assert fault(sample(pair, proven=True), FilterSettings()) == ""
    assert fault(sample(pair), FilterSettings(keep_refusals=True)) == ""


def test_languages_are_chosen() -> None:
    assert fault(sample(GERMAN), FilterSettings(languages=("en", "de"))) == ""
    assert fault(sample(GERMAN), FilterSettings(languages=())) == ""
    with pytest.raises(ConfigError, match="ISO 639-1"):
        build(FilterSettings, {"languages": ["english"]}, origin="test")


def test_samples_without_question_records_are_judged_by_their_messages() -> None:
    talk = tuple(
        Message(role, (TextPart(text),))  # type: ignore[arg-type]
        for role, text in zip(("user", "assistant"), GERMAN, strict=True)
    )
    spoken = replace(sample(), messages=talk)
    assert fault(spoken, FilterSettings()) == "language de"
    assert fault(replace(spoken, messages=talk[:0]), FilterSettings()) == "nothing is asked"


def test_reasons_are_counted_and_stored(tmp_path: Path) -> None:
    samples = [sample(ENGLISH, name="a"), sample(GERMAN, name="b"), sample(("Sum?", ""), name="c")]
    write_shard(tmp_path / "shard-00000.parquet", samples)
    result = CliRunner().invoke(build_app(), ["curate", "filter", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "2 samples to leave out" in result.output
    assert "1  language de" in result.output
    assert read_drops(tmp_path) == filtered(samples, FilterSettings())


def test_the_example_file_holds_the_usual_values() -> None:
    path = Path(__file__).parents[2] / "configs/filter.toml"
    assert load(FilterSettings, path) == FilterSettings()
