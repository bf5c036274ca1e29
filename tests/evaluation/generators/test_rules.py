"""Baselines, replay and OCR."""

import builtins
import json

import pytest

from leopard.errors import EvaluationError, GenerationError
from leopard.evaluation.fake import ScriptedGenerator, question_text
from leopard.evaluation.generators.baselines import MajorityResponder, RandomResponder
from leopard.evaluation.generators.ocr import (
    OCRResponder,
    TextLine,
    answer_near,
    rapid_reader,
    reading_order,
)
from leopard.evaluation.generators.replay import ReplayResponder
from leopard.evaluation.records import read_records
from leopard.evaluation.runner import RunSettings, Subject, load_samples, run
from leopard.evaluation.tasks import get_task
from leopard.schema.geometry import Box
from tests.evaluation.fixtures.builders import build
from tests.evaluation.helpers import evaluate, many_pages, stable


def run_with(responder, data, folder, name):
    run(get_task(name), data, Subject(responder=responder), folder, RunSettings(batch_size=2))
    return read_records(folder)


@pytest.mark.parametrize("kind", [RandomResponder, MajorityResponder])
def test_rules_repeat_themselves_and_use_letters(kind, tmp_path):
    data = build("multichartqa", tmp_path / "data")
    samples = load_samples(get_task("multichartqa"), data)
    first = run_with(kind(samples), data, tmp_path / "a", "multichartqa")
    second = run_with(kind(samples), data, tmp_path / "b", "multichartqa")
    assert stable(first) == stable(second)
    choice = next(record for record in first if record["options"])
    assert choice["raw"] in "ABCD"


def test_random_answers_come_from_other_samples(tmp_path):
    data = many_pages(tmp_path / "data")
    samples = load_samples(get_task("mpdocvqa"), data)
    records = run_with(RandomResponder(samples), data, tmp_path / "run", "mpdocvqa")
    assert {record["raw"] for record in records} <= {"May 1", "Ann", "tea"}
    assert len({record["raw"] for record in records}) > 1
    assert RandomResponder([])._draw(samples[0]) == ""


def test_majority_is_the_commonest_answer(tmp_path):
    data = many_pages(tmp_path / "data", documents=1, questions=4)
    samples = load_samples(get_task("mpdocvqa"), data)
    records = run_with(MajorityResponder(samples), data, tmp_path / "run", "mpdocvqa")
    assert {record["raw"] for record in records} == {"May 1"}


def test_replay_gives_the_same_scores(tmp_path):
    data = many_pages(tmp_path / "data", documents=2)
    original = evaluate(data, tmp_path / "a")
    replayed = run_with(ReplayResponder(tmp_path / "a"), data, tmp_path / "b", "mpdocvqa")
    assert [r["scores"] for r in replayed] == [r["scores"] for r in original]
    plain = tmp_path / "log.jsonl"
    plain.write_text(
        "".join(json.dumps({"id": r["id"], "response": r["raw"]}) + "\n" for r in original[:3])
    )
    partial = run_with(ReplayResponder(plain), data, tmp_path / "c", "mpdocvqa")
    assert sum("no response" in record["error"] for record in partial) == len(original) - 3


def test_replay_refuses_empty_and_doubled_logs(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("")
    with pytest.raises(EvaluationError, match="no record"):
        ReplayResponder(log)
    log.write_text('{"id": "a", "raw": "x"}\n' * 2)
    with pytest.raises(EvaluationError, match="twice"):
        ReplayResponder(log)


def line(text, left, top):
    return TextLine(text, Box(left, top, left + 8 * len(text), top + 10))


LINES = [
    line("9.40", 200, 52),
    line("TEA SHOP", 10, 10),
    line("Date: 01/02/2018", 10, 30),
    line("Total amount", 10, 50),
    line("Invoice 7731", 10, 70),
    line("Cashier", 10, 90),
    line("Ann Lee", 10, 110),
]


def test_reading_order_is_by_rows():
    assert [item.text for item in reading_order(LINES)][2:4] == ["Total amount", "9.40"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the date?", "01/02/2018"),
        ("What is the total amount?", "9.40"),
        ("What is the invoice number?", "7731"),
        ("Who is the cashier?", "Ann Lee"),
        ("Which colour?", ""),
    ],
)
def test_answers_are_taken_from_near_the_words_of_the_question(question, answer):
    assert answer_near(question, reading_order(LINES)) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the date?", "13/10/2017"),
        ("What is the total amount?", "1,234.40"),
        ("Which company issued it?", "DIGI SDN BHD"),
        ("Which colour?", ""),
    ],
)
def test_without_shared_words_the_form_decides(question, answer):
    lines = [line("DIGI SDN BHD", 0, 0), line("13/10/2017 9.10", 0, 20), line("1,234.40", 0, 40)]
    assert answer_near(question, lines) == answer
    assert answer_near(question, []) == ""


def test_last_line_has_nothing_after_it():
    assert answer_near("Cashier?", [line("Cashier", 0, 0)]) == ""


def test_ocr_by_rule_and_with_a_language_model(tmp_path):
    data = build("mpdocvqa", tmp_path / "data")
    read = []

    def reader(image):
        read.append(image)
        return [line("Date: May 1", 0, 0)]

    records = run_with(OCRResponder(reader), data, tmp_path / "rule", "mpdocvqa")
    assert records[0]["scores"]["anls"] == 1.0
    assert len(read) == 3  # every page once
    seen = []
    model = ScriptedGenerator(lambda request: seen.append(request) or "Answer: May 1")
    records = run_with(OCRResponder(reader, model), data, tmp_path / "model", "mpdocvqa")
    assert records[0]["scores"]["anls"] == 1.0
    assert seen[0].images == ()
    assert "Text of page 3:\nDate: May 1" in question_text(seen[0])


def test_ocr_chooses_the_option_whose_words_are_on_the_page(tmp_path):
    data = build("scienceqa", tmp_path / "data")
    responder = OCRResponder(lambda _: [line("only c here", 0, 0)])
    assert run_with(responder, data, tmp_path / "run", "scienceqa")[0]["raw"] == "C"


def test_missing_engine_names_the_command(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("rapidocr"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(GenerationError, match=r"leopard\[ocr\]"):
        rapid_reader()
