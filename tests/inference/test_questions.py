import json

import pytest

from leopard.errors import ConfigError, DataError, DocumentFormatError, GenerationError
from leopard.inference.fake import FakeGenerator
from leopard.inference.questions import (
    Answerer,
    BatchSettings,
    answer_questions,
    read_questions,
)
from leopard.schema.generation import Progress, SamplingOptions
from leopard.schema.pages import Page
from tests.conftest import draw_page

SETTINGS = BatchSettings(sampling=SamplingOptions(max_new_tokens=5))


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def load(question):
    if "torn.pdf" in question.files:
        raise DocumentFormatError("is torn", source="torn.pdf", remedy="mend it")
    return [Page(draw_page(1), name, 1, 1) for name in question.files]


def answerer(generator=None, **options):
    generator = generator or FakeGenerator()
    return Answerer(name=generator.name, batch=generator.open_batch(), load=load, **options)


@pytest.fixture
def questions(tmp_path):
    lines = [{"files": ["a.png"] * (n % 3), "question": f"q{n}", "id": f"n{n}"} for n in range(20)]
    return write(tmp_path / "q.jsonl", *lines)


def test_every_question_gets_one_line(questions, tmp_path):
    out = tmp_path / "deep" / "a.jsonl"
    counts = answer_questions(questions, out, answerer(), SETTINGS)
    assert (counts.done_before, counts.answered, counts.failed) == (0, 20, 0)
    found = {record["id"]: record for record in records(out)}
    assert len(records(out)) == len(found) == 20
    assert found["n5"]["answer"] == "[fake] q5 (2 images)"
    assert found["n5"]["pages"] == [{"source": "a.png", "page": 1}] * 2
    assert found["n5"]["model"] == "fake"


def test_a_second_run_asks_only_what_has_no_line(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    answer_questions(questions, out, answerer(), SETTINGS)
    whole = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(whole[:7]) + whole[7][:30])
    generator = FakeGenerator()
    counts = answer_questions(questions, out, answerer(generator), SETTINGS)
    assert (counts.done_before, counts.answered) == (7, 13)
    assert len(generator.requests) == 13
    assert sorted(record["id"] for record in records(out)) == sorted(f"n{n}" for n in range(20))


def test_what_fails_has_a_line_that_says_why_and_is_not_asked_again(tmp_path):
    path = write(
        tmp_path / "q.jsonl",
        {"files": "torn.pdf", "question": "a"},
        {"files": [], "question": " "},
        {"files": [], "question": "c"},
    )
    out = tmp_path / "a.jsonl"
    counts = answer_questions(path, out, answerer(), SETTINGS)
    assert (counts.answered, counts.failed) == (1, 2)
    errors = {record["id"]: record.get("error") for record in records(out)}
    assert errors["1"] == "torn.pdf: is torn; mend it"
    assert "question is empty" in errors["2"]
    assert errors["3"] is None
    assert answer_questions(path, out, answerer(), SETTINGS).done_before == 3


class _Gone:
    """A batch whose every request fails."""

    capacity = 1

    def __init__(self):
        self.keys = []

    def __len__(self):
        return len(self.keys)

    def join(self, key, request):
        self.keys.append(key)

    def step(self):
        return [Progress(key=self.keys.pop(), error=GenerationError("no server"))]


def test_a_server_that_has_gone_ends_the_run_and_a_model_that_fails_does_not(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    gone = Answerer(name="fake", batch=_Gone(), load=load, is_remote=True)
    with pytest.raises(GenerationError, match="no server"):
        answer_questions(questions, out, gone, SETTINGS)
    assert records(out) == []
    here = Answerer(name="fake", batch=_Gone(), load=load)
    assert answer_questions(questions, out, here, SETTINGS).failed == 20


def test_parts_share_the_questions(questions, tmp_path):
    ids = []
    for part in range(3):
        out = tmp_path / f"{part}.jsonl"
        settings = BatchSettings(sampling=SETTINGS.sampling, part=part, parts=3)
        answer_questions(questions, out, answerer(), settings)
        ids += [record["id"] for record in records(out)]
    assert sorted(ids) == sorted(f"n{n}" for n in range(20))
    with pytest.raises(ConfigError, match="part 4 of 3"):
        BatchSettings(sampling=SETTINGS.sampling, part=3, parts=3)


def test_answers_of_other_questions_settings_or_models_are_refused(questions, tmp_path):
    out = tmp_path / "a.jsonl"
    answer_questions(questions, out, answerer(), SETTINGS)
    other = BatchSettings(sampling=SamplingOptions(max_new_tokens=6))
    with pytest.raises(DataError, match="other settings"):
        answer_questions(questions, out, answerer(), other)
    with pytest.raises(DataError, match="another model"):
        answer_questions(questions, out, answerer(FakeGenerator(name="b")), SETTINGS)
    write(questions, {"files": [], "question": "changed", "id": "n3"})
    with pytest.raises(DataError, match="another question of id 'n3'"):
        answer_questions(questions, out, answerer(), SETTINGS)


def test_a_limit_of_one_question_counts_for_it_alone(tmp_path):
    path = write(
        tmp_path / "q.jsonl",
        {"files": [], "question": "one two three", "max_new_tokens": 2},
        {"files": [], "question": "one two three"},
    )
    out = tmp_path / "a.jsonl"
    answer_questions(path, out, answerer(), SETTINGS)
    tokens = {record["id"]: record["usage"]["completion_tokens"] for record in records(out)}
    assert tokens["1"] == 2 < tokens["2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: needs the form"),
        ('{"files": []}', "line 2: needs the form"),
        ('{"question": "a", "files": 3}', "files must be a list"),
        ('{"question": "a", "file": "b"}', "file: unknown; use files, id"),
        ('{"question": "a", "max_new_tokens": 0}', "whole number from 1"),
        ('{"question": "a", "id": 1}', "is that of line 1, too"),
    ],
)
def test_malformed_lines_are_named_before_anything_is_asked(line, message, tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a"}\n' + line + "\n")
    generator = FakeGenerator()
    with pytest.raises(DataError, match=message):
        answer_questions(path, tmp_path / "a.jsonl", answerer(generator), SETTINGS)
    assert generator.requests == []


def test_one_file_may_stand_for_itself_and_blank_lines_for_nothing(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('\n{"question": "a", "files": "b.pdf", "pages": "1-2"}\n')
    (question,) = read_questions(path)
    assert (question.id, question.files, question.pages) == ("2", ("b.pdf",), "1-2")
