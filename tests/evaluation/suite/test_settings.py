from pathlib import Path

import pytest

from leopard.config import build, load
from leopard.errors import ConfigError
from leopard.evaluation.suite.settings import SuiteSettings

SHIPPED = Path(__file__).parents[3] / "configs" / "eval.toml"


def values():
    return {
        "title": "t",
        "sets": {"a": {"title": "a", "task": "tatqa", "data": "a"},
                 "b": {"title": "b", "task": "tatqa", "data": "b"}},
        "models": {"m": {"title": "m", "baseline": "random"}},
        "runs": {"r": {"title": "r", "data": "a", "model": "m"},
                 "s": {"title": "s", "data": "b", "model": "m"}},
    }  # fmt: skip


def test_the_suite_of_the_project_is_sound():
    suite = load(SuiteSettings, SHIPPED)
    assert {"held-out", "decks", "tatqa", "wtq", "sroie"} == set(suite.sets)
    assert not suite.sets["sroie"].in_gallery


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda v: v["runs"]["r"].update(data="x"), "not defined; there are a, b"),
        (lambda v: v["runs"]["r"].update(model="x"), "not defined"),
        (lambda v: v["runs"]["r"].update(view="x"), "question-only"),
        (lambda v: v["sets"]["a"].update(task="x"), "mpdocvqa"),
        (lambda v: v["sets"]["a"].update(data=""), "either synth or data"),
        (lambda v: v["models"]["m"].update(model="x"), "one of model"),
        (lambda v: v.update(figures=[{"title": "f", "run": "x"}]), "figure 'f'"),
        (
            lambda v: v.update(comparisons=[{"title": "c", "first": "r", "second": "s"}]),
            "different sets",
        ),
    ],
)
def test_contradictions_are_named(edit, word):
    given = values()
    edit(given)
    with pytest.raises(ConfigError, match=word):
        build(SuiteSettings, given)
