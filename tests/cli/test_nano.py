"""`leopard nano`: what can be asked of it before any hour is spent."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from leopard.cli._nano_pages import ReadingPages
from leopard.cli.main import build_app
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.meaning import Meaning
from leopard.training.nano.package import new_surroundings
from leopard.training.nano.recipe import CHECKPOINT, expected_hours
from tests.cli.test_main import run

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def test_the_hours_that_help_tells_are_those_of_the_recipe() -> None:
    said = f"about {expected_hours():.0f} hours on two cores"
    assert said in " ".join(run("nano", "--help").stdout.split())
    assert f"({said})" in MAKEFILE.read_text(encoding="utf-8")


def test_a_training_is_packed_and_gone_on_with_elsewhere(tmp_path: Path) -> None:
    here, packed, there = (str(tmp_path / name) for name in ("here", "packed", "there"))
    settings = CourseSettings(steps=0, learning_rate=1e-3)
    Course(Meaning(new_surroundings()), settings, tmp_path / "here" / "meaning", plain=("",)).save()
    done = CliRunner().invoke(build_app(), ["nano", here, "--pack", packed])
    assert (done.exit_code, done.output) == (0, f"packed meaning: {packed}\n")
    done = run("nano", there, "--unpack", packed, "--stage", "model")
    assert "unpacked meaning" in done.stderr
    assert "run it first: --stage reader" in done.stderr  # that has not begun
    assert (tmp_path / "there" / "meaning" / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--stage", "writer"), "stage 'writer' is unknown; use one of reader, meaning, model"),
        (("--start", "nowhere"), "--start nowhere has no model.safetensors"),
        (("--pack", "packed"), "holds no checkpoint of a stage; train first"),
        (("--unpack", "nowhere"), "nowhere holds no packed stage"),
        (("--stage", "model"), "run it first: --stage reader"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    options: tuple[str, str], said: str, tmp_path: Path
) -> None:
    done = run("nano", tmp_path / "training", *options)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) <= 2  # a stage that has begun says so
    assert said in done.stderr


def test_lessons_are_told_what_a_question_of_yes_asks_after() -> None:
    source, seed = ReadingPages(held_out=True), 0
    found: set[bool] = set()
    while len(found) < 2 and seed < 60:
        draft = source.document(seed)
        seed += 1
        asked = [] if draft is None else [turn for page in draft.questions for turn in page]
        for question, answer, family in asked:
            if family == "exists":
                assert answer != "Yes"
                assert answer == "No" or answer in question
                found.add(answer == "No")
    assert len(found) == 2
