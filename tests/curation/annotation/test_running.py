"""Whole annotations: what is kept and why, the same rows after SIGKILL and from the cache."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from leopard.cli.main import build_app
from leopard.curation.annotation.ledger import CapReachedError, Ledger
from leopard.curation.annotation.running import (
    Annotation,
    Report,
    annotate_shard,
    prepare,
    stored_tally,
)
from leopard.curation.annotation.settings import AnnotateSettings
from leopard.curation.exports import turns
from leopard.curation.pixels import to_jpeg
from leopard.curation.quality import write_drops
from leopard.curation.verify import verify_folder
from leopard.errors import ConfigError
from leopard.schema.samples import QuestionAnswer, Sample, conversation
from leopard.schema.shards import (
    iter_rows,
    iter_samples,
    read_info,
    remove_stale,
    shard_paths,
    write_shard,
)
from tests.curation.annotation.conftest import settings_for
from tests.curation.annotation.server import ChatServer, now_and_then, num_images, texts


def run(
    settings: AnnotateSettings, source: Path, target: Path, cache: Path | None = None
) -> Report:
    place = cache or target / "annotation-cache.sqlite"
    annotation = Annotation(settings=settings, source=source, target=target, cache=place)
    prepare(annotation)
    total = Report()
    for name in annotation.unfinished():
        total.add(annotate_shard(annotation, name))
    return total


def rows(folder: Path) -> list[Any]:
    return [row for shard in shard_paths(folder) for row in iter_rows(shard)]


def pixel_shard(folder: Path, *qa: QuestionAnswer) -> Path:
    """One converted sample with a picture and these questions."""
    folder.mkdir()
    image = to_jpeg(Image.new("RGB", (2000, 300), "white"))
    sample = Sample(
        id="a", doc_id="a", domain="table", task="t", messages=conversation(1, qa),
        images=(image,), qa=qa,
    )  # fmt: skip
    write_shard(folder / "one.parquet", [sample], rejects={"no image": 2})
    return folder


@pytest.fixture
def asking(synthetic: Path, server: ChatServer) -> ChatServer:
    """The server, which knows every answer."""
    for sample in iter_samples(synthetic):
        for qa in sample.qa:
            server.gold[qa.question] = server.gold[f"Please tell me: {qa.question}"] = qa.answer
    return server


def test_all_jobs_on_a_synthetic_set(synthetic: Path, asking: ChatServer, tmp_path: Path) -> None:
    before = list(iter_samples(synthetic))
    out = tmp_path / "out"
    report = run(settings_for(asking.url), synthetic, out)
    after = list(iter_samples(out))
    assert [sample.id for sample in after] == [sample.id for sample in before]
    new = [qa for sample in after for qa in sample.qa if qa.family.startswith("free-")]
    assert len(new) == 8
    assert report.tally.accepted["questions"] == 8
    assert report.tally.rejected["questions: the program has another answer than the model"] == 8
    assert report.tally.accepted["paraphrase"] > 8
    for old, sample in zip(before, after, strict=True):
        for was, now in zip(old.qa, sample.qa[: len(old.qa)], strict=True):
            assert now.question in (was.question, f"Please tell me: {was.question}")
            assert (now.answer, now.program, now.evidence) == (
                was.answer,
                was.program,
                was.evidence,
            )
            assert (now.rationale or was.rationale) == now.rationale
        notes = sample.provenance["annotated"]
        assert all({"job", "turn", "key", "model", "host", "tokens"} <= set(note) for note in notes)
        asked = [user.rpartition("\n<image>\n")[2] for user, _ in turns(sample)]
        assert asked[1:] == [qa.question for qa in sample.qa[1:]]
        assert asked[0].endswith(sample.qa[0].question)
    verdict = verify_folder(out)
    assert not verdict.errors, verdict.examples
    assert verdict.num_questions == sum(len(sample.qa) for sample in after)
    assert stored_tally(out) == report.tally
    info = read_info(shard_paths(out)[0])
    assert any(reason.startswith("annotate questions: ") for reason in info.rejects)


def test_rows_come_from_the_cache_alone(
    synthetic: Path, asking: ChatServer, tmp_path: Path
) -> None:
    asking.fault = now_and_then(kinds=("429", "500", "drop", "form"))
    settings = settings_for(asking.url)
    cache = tmp_path / "cache.sqlite"
    run(settings, synthetic, tmp_path / "one", cache)
    assert asking.faults["form"] > 0
    sent = len(asking.bodies)
    patient = settings.model_copy(
        update={"pace": settings.pace.model_copy(update={"concurrency": 2}), "cap_usd": 100.0}
    )
    report = run(patient, synthetic, tmp_path / "two", cache)
    assert len(asking.bodies) == sent
    assert report.traffic.sent == 0
    assert rows(tmp_path / "two") == rows(tmp_path / "one")
    for shard in shard_paths(tmp_path / "one"):
        again = tmp_path / "two" / shard.name
        assert shard.read_bytes() == again.read_bytes()


CONFIG = """
jobs = ["paraphrase", "rationale", "questions", "judge"]
cap_usd = 50.0
[annotator]
base_url = "{url}"
model = "m"
input_usd_per_million = 2.5
output_usd_per_million = 10.0
[judge_model]
base_url = "{url}"
model = "j"
input_usd_per_million = 2.5
output_usd_per_million = 10.0
[pace]
concurrency = 4
pause_s = 0.01
"""


def test_sigkill_loses_nothing_and_pays_nothing_twice(
    synthetic: Path, asking: ChatServer, tmp_path: Path
) -> None:
    config = tmp_path / "annotate.toml"
    config.write_text(CONFIG.format(url=asking.url))
    command = [sys.executable, "-m", "leopard.cli.main", "curate", "annotate", str(synthetic),
               "--config", str(config), "--out"]  # fmt: skip
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    reference = rows(tmp_path / "whole")
    per_run, spent_once = len(asking.bodies), money(tmp_path / "whole")
    asking.answered.clear()
    asking.bodies.clear()
    asking.slow_s = 0.05
    asking.billed_nano = 0
    out = tmp_path / "killed"
    for answers in (6, 25, 60):
        process = subprocess.Popen(
            [*command, str(out)], start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while sum(asking.answered.values()) < answers and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run([*command, str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows(out) == reference
    assert not list(out.glob("*.tmp.*"))
    twice = sum(count - 1 for count in asking.answered.values())
    assert len(asking.answered) == per_run
    assert twice <= 3 * 4, "only what was in flight at a kill is asked again"
    assert money(out) >= asking.billed_nano >= spent_once
    assert "questions: the program has another answer" in done.stdout


def money(folder: Path) -> int:
    with sqlite3.connect(folder / "annotation-cache.sqlite") as db:
        return int(db.execute("SELECT spent FROM totals").fetchone()[0])


def test_at_the_cap_the_run_stops_and_goes_on_with_more(
    synthetic: Path, asking: ChatServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings = settings_for(asking.url, cap_usd=0.06)
    with pytest.raises(CapReachedError):
        run(settings, synthetic, out)
    assert asking.billed_nano <= money(out) <= 0.06e9
    first = len(asking.bodies)
    assert first > 5
    run(settings_for(asking.url), synthetic, out)
    run(settings_for(asking.url), synthetic, tmp_path / "whole")
    assert rows(out) == rows(tmp_path / "whole")
    assert max(asking.answered.values()) == 2, "once for each of the two folders"


def test_the_command_line_says_what_happened(
    synthetic: Path, asking: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "annotate.toml"
    config.write_text(CONFIG.format(url=asking.url))
    base = ["curate", "annotate", str(synthetic), "--config", str(config), "--out"]
    stopped = CliRunner().invoke(build_app(), [*base, str(tmp_path / "a"), "--cap", "0.06"])
    assert stopped.exit_code == 2
    assert "the cap of 0.06 USD is reached" in stopped.output
    assert "0 of 2 shards" in stopped.output
    for rank in ("0", "1"):
        extra = ["--executor", "rank", "--rank", rank, "--world", "2"]
        result = CliRunner().invoke(build_app(), [*base, str(tmp_path / "b"), *extra])
        assert result.exit_code == 0, result.output
        assert f"{int(rank) + 1} of 2 shards" in result.output
        assert "the cap is 25.00" in result.output
        assert (tmp_path / "b" / f"annotation-cache-{rank}-of-2.sqlite").exists()
    both = CliRunner().invoke(build_app(), [*base, str(tmp_path / "c"), "--workers", "2"])
    assert both.exit_code == 0, both.output
    assert rows(tmp_path / "b") == rows(tmp_path / "c")
    wrong = CliRunner().invoke(build_app(), [*base, str(tmp_path / "d"), "--executor", "ray"])
    assert (wrong.exit_code, "use local or rank" in wrong.output) == (2, True)


def test_pictures_are_sent_where_there_is_no_text(server: ChatServer, tmp_path: Path) -> None:
    qa = QuestionAnswer(question="What is the total?", answer="21.5", aliases=("21.50",))
    source = pixel_shard(tmp_path / "in", qa)
    server.reply = lambda body: 'Both parts: 14 + 7.5 = 21.5.\n```json\n{"answer": "21.50"}\n```'
    settings = settings_for(server.url, jobs=["rationale"])
    report = run(settings, source, tmp_path / "out")
    (sample,) = iter_samples(tmp_path / "out")
    assert report.tally.accepted == {"rationale": 1}
    assert sample.qa[0].rationale == "Both parts: 14 + 7.5 = 21.5."
    (turn,) = turns(sample)
    assert turn[1] == "Both parts: 14 + 7.5 = 21.5.\nAnswer: 21.5"
    (body,) = server.bodies
    assert num_images(body) == 1
    assert not any("21.5" in text for text in texts(body)), "the answer is not given away"
    assert read_info(tmp_path / "out" / "one.parquet").rejects == {"no image": 2}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('It is so.\n{"answer": "20"}', "another answer"),
        ('12 + 7.5 = 21.\n{"answer": "19.5"}', "a calculation that does not come out"),
        ('{"answer": "19.5"}', "no reasoning"),
        ("x" * 1600 + '\n{"answer": "19.5"}', "too long"),
        ("It is 19.5.", "the answer is no JSON"),
        ('So.\n{"answer": "19.5", "note": 1}', "the answer lacks fields or has others"),
        ("So.\n" + "[" * 40, "the answer is nested too deeply"),
        ('So.\n{"answer": "\\ud800"}', "the answer is no JSON"),
    ],
)
def test_reasoning_that_is_turned_down(
    server: ChatServer, tmp_path: Path, reply: str, reason: str
) -> None:
    qa = QuestionAnswer(question="What is the total?", answer="19.5")
    source = pixel_shard(tmp_path / "in", qa)
    server.reply = lambda body: reply
    report = run(settings_for(server.url, jobs=["rationale"]), source, tmp_path / "out")
    assert report.tally.rejected == {f"rationale: {reason}": 1}
    assert rows(tmp_path / "out") == rows(source)


def test_reasoning_with_numbers_from_nowhere(
    synthetic: Path, asking: ChatServer, tmp_path: Path
) -> None:
    def reply(body: Any) -> str:
        answer = asking.gold[texts(body)[-1].rpartition("Question: ")[2]]
        return f"It says 987654.\n{json.dumps({'answer': answer})}"

    asking.reply = reply
    settings = settings_for(asking.url, jobs=["rationale"], rationale={"replace": True})
    report = run(settings, synthetic, tmp_path / "out")
    assert set(report.tally.rejected) == {"rationale: a number from nowhere"}


@pytest.mark.parametrize(
    ("wording", "reason"),
    [
        ("How much is the rent of Anna Berg in 2023?", ""),
        ("What is the rent of Anna in 2023?", "a name is lost"),
        ("What is the rent of Anna Berg in 2024?", "other numbers"),
        ("What is the rent of Anna Berg?", "other numbers"),
        ("WHAT was the rent of Anna Berg in 2023?", "not another wording"),
        ("", "empty or too long"),
        ("Is the rent of Anna Berg in 2023 sixty-six?", "it gives the answer away"),
    ],
)
def test_wordings(server: ChatServer, tmp_path: Path, wording: str, reason: str) -> None:
    question = "What was the rent of Anna Berg in 2023?"
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question=question, answer="sixty-six"))
    server.reply = lambda body: (
        '{"same": true}' if texts(body)[0].startswith("You compare")
        else json.dumps({"question": wording})
    )  # fmt: skip
    report = run(settings_for(server.url, jobs=["paraphrase"]), source, tmp_path / "out")
    (sample,) = iter_samples(tmp_path / "out")
    if reason:
        assert report.tally.rejected == {f"paraphrase: {reason}": 1}
        assert sample.qa[0].question == question
    else:
        assert report.tally.accepted == {"paraphrase": 1}
        assert sample.qa[0].question == wording
        assert sample.provenance["annotated"][0]["was"] == question


def test_a_wording_of_another_meaning_and_options_that_stay(
    server: ChatServer, tmp_path: Path
) -> None:
    qa = QuestionAnswer(
        question="Which is first?\nA. red\nB. blue\nAnswer with the letter.", answer="B",
        answer_type="choice", choices=("red", "blue"),
    )  # fmt: skip
    source = pixel_shard(tmp_path / "in", qa)
    same = ["false", "true"]
    server.reply = lambda body: (
        f'{{"same": {same.pop(0)}}}' if texts(body)[0].startswith("You compare")
        else '{"question": "What comes first?"}'
    )  # fmt: skip
    settings = settings_for(server.url, jobs=["paraphrase"])
    report = run(settings, source, tmp_path / "out")
    assert report.tally.rejected == {"paraphrase: it asks for something else": 1}
    report = run(settings, source, tmp_path / "again")
    (sample,) = iter_samples(tmp_path / "again")
    assert sample.qa[0].question == "What comes first?\nA. red\nB. blue\nAnswer with the letter."


def test_the_judge_undoes_and_takes_out(
    synthetic: Path, asking: ChatServer, tmp_path: Path
) -> None:
    rule = asking.by_rule

    def strict(body: Any) -> str:
        return rule(body).replace("5", "2") if body["model"] == "j" else rule(body)

    asking.reply = strict
    settings = settings_for(asking.url, jobs=["paraphrase", "questions", "judge"],
                            paraphrase={"check_meaning": False})  # fmt: skip
    report = run(settings, synthetic, tmp_path / "out")
    assert set(report.tally.accepted) == {"paraphrase", "questions"}
    assert report.tally.rejected["judge: below the threshold"] == sum(
        report.tally.accepted.values()
    )
    assert rows(tmp_path / "out") == rows(synthetic)
    assert all(b["temperature"] == 0.0 for b in asking.bodies if b["model"] == "j")
    every = settings.model_copy(update={"jobs": ("judge",)})
    every = every.model_copy(update={"judge": every.judge.model_copy(update={"scope": "all"})})
    report = run(every, synthetic, tmp_path / "none")
    assert report.rows == 0
    assert report.tally.rejected["sample: no question is left"] == 8


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "ended by length"), ("content_filter", "content_filter")]
)
def test_answers_that_are_cut_are_failures(
    server: ChatServer, tmp_path: Path, finish: str, reason: str
) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    server.finish_reason = finish
    report = run(settings_for(server.url, jobs=["paraphrase"]), source, tmp_path / "out")
    assert [reason in why for why in report.tally.rejected] == [True]
    assert len(server.bodies) == 4, "asked again with other seeds"
    assert [body["seed"] for body in server.bodies] == [0, 1, 2, 3]


def test_samples_on_drop_lists_are_not_paid_for(server: ChatServer, tmp_path: Path) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    write_drops(source, "dedup", {"a": "twice"})
    report = run(settings_for(server.url, jobs=["paraphrase"]), source, tmp_path / "out")
    assert (report.rows, len(server.bodies)) == (0, 0)
    assert report.tally.rejected == {"sample: on a drop list": 1}


def test_conversations_of_another_form_stay(server: ChatServer, tmp_path: Path) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    (sample,) = iter_samples(source)
    other = conversation(1, (QuestionAnswer(question="Now then: what?", answer="x"),))
    write_shard(source / "one.parquet", [replace(sample, messages=other)])
    report = run(settings_for(server.url, jobs=["paraphrase"]), source, tmp_path / "out")
    assert rows(tmp_path / "out") == rows(source)
    assert "another form" in next(iter(report.tally.rejected))


def test_folders_never_mix(server: ChatServer, tmp_path: Path) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    settings = settings_for(server.url, jobs=["paraphrase"])
    run(settings, source, tmp_path / "out")
    with pytest.raises(ConfigError, match="holds an annotation with other settings"):
        run(settings_for(server.url, jobs=["rationale"]), source, tmp_path / "out")
    with pytest.raises(ConfigError, match="apart from"):
        run(settings, source, source)
    (sample,) = iter_samples(source)
    write_shard(source / "one.parquet", [replace(sample, licence="CC0-1.0")])
    with pytest.raises(ConfigError, match="another shard, drop list or settings"):
        run(settings, source, tmp_path / "out")


def test_free_questions_need_the_plan(server: ChatServer, tmp_path: Path) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    report = run(settings_for(server.url, jobs=["questions"]), source, tmp_path / "out")
    assert report.tally.rejected == {
        "questions: the facts are not known: no plan, or one of another version": 2
    }
    assert not server.bodies


def test_reports_of_stale_files(server: ChatServer, tmp_path: Path) -> None:
    source = pixel_shard(tmp_path / "in", QuestionAnswer(question="What?", answer="x"))
    run(settings_for(server.url, jobs=["paraphrase"]), source, tmp_path / "out")
    assert remove_stale(tmp_path / "out" / "one.parquet") == 0
    ledger = Ledger(tmp_path / "out" / "annotation-cache.sqlite", 1.0)
    assert ledger.num_answers() == 2
    ledger.close()
