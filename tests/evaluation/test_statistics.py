import numpy as np
import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.statistics import (
    BREAKDOWNS,
    breakdown,
    compare,
    estimate,
    evidence,
    sign_test,
    summarise,
)
from leopard.evaluation.tasks import get_task

TASK = get_task("docvqa")
"""Plain mean."""
MEANS = get_task("chartqa")
"""Mean of sources."""


def record(index, score, doc=None, **more):
    names = {*TASK.scorers, *MEANS.scorers, *get_task("mmlongbench").scorers}
    base = {
        "id": str(index),
        "index": index,
        "doc_id": doc or f"d{index}",
        "source": "s",
        "answer_type": "text",
        "scores": dict.fromkeys(names, score),
        "unparsed": False,
        "error": "",
        "problem": "",
        "truncated": False,
        "dropped_images": 0,
        "seconds": 0.5,
        "num_images": 1,
        "evidence": None,
        "shown_evidence": None,
        "pages_named": [],
        "images": [{"sha256": f"h{index}", "visual_tokens": 169}],
        "answers": ["x"],
        "parsed": "x",
    }
    return {**base, **more}


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        rows = [record(i, float(rng.random() < 0.6)) for i in range(80)]
        got = estimate(TASK, rows, "anls", num_draws=300)
        hits += got.low <= 0.6 <= got.high
    assert 50 <= hits <= 60


def test_questions_of_one_document_widen_the_interval():
    scores = [float(i % 2) for i in range(40)]
    alone = estimate(TASK, [record(i, s) for i, s in enumerate(scores)], "anls")
    together = estimate(
        TASK, [record(i, s, doc=f"d{i % 2}-{i // 10}") for i, s in enumerate(scores)], "anls"
    )
    assert together.high - together.low > 1.3 * (alone.high - alone.low)
    assert alone.value == together.value == 0.5


def test_one_document_has_no_interval_and_draws_repeat():
    rows = [record(0, 1.0, doc="d"), record(1, 0.0, doc="d")]
    assert estimate(TASK, rows, "anls") == estimate(TASK, rows, "anls")
    assert estimate(TASK, rows, "anls").low == 0.5
    assert not estimate(TASK, rows, "anls").has_interval
    several = [record(i, i % 2) for i in range(9)]
    assert estimate(TASK, several, "anls") == estimate(TASK, list(reversed(several)), "anls")


def test_headline_is_applied_to_every_draw():
    rows = [record(i, 1.0, source="human") for i in range(4)]
    rows += [record(i + 4, 0.0, source="augmented") for i in range(12)]
    got = estimate(MEANS, rows, "relaxed", num_draws=200)
    assert got.value == 0.5
    assert 0.0 <= got.low <= got.high <= 1.0


def test_paired_comparison_sees_small_but_steady_gains():
    rng = np.random.default_rng(1)
    first = [record(i, float(rng.random() < 0.5)) for i in range(120)]
    second = [
        record(r["index"], 1.0 if i % 10 == 0 else r["scores"]["anls"]) for i, r in enumerate(first)
    ]
    got = compare(TASK, first, second, "anls")
    assert got.difference.value == pytest.approx(got.second - got.first)
    assert got.difference.low >= 0
    assert got.worse == 0
    assert got.better > 0
    assert got.p_value < 0.1
    assert got.other_images == 0
    same = compare(TASK, first, first, "anls")
    assert (same.difference.low, same.difference.high, same.p_value) == (0.0, 0.0, 1.0)


def test_runs_of_other_samples_or_images_are_noticed():
    first = [record(0, 1.0), record(1, 0.0)]
    with pytest.raises(EvaluationError, match="same samples"):
        compare(TASK, first, first[:1], "anls")
    other = [record(0, 1.0, images=[{"sha256": "x"}]), record(1, 0.0)]
    assert compare(TASK, first, other, "anls").other_images == 1
    assert compare(TASK, first[:1], first[:1], "anls").difference.value == 0.0


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (0, 1, 1.0)]
)
def test_sign_test(wins, losses, p):
    assert sign_test(wins, losses) == pytest.approx(p)


def test_evidence_pages():
    two = [{"sha256": "a"}, {"sha256": "b"}]
    rows = [
        record(0, 1.0, shown_evidence=[1], pages_named=[1], images=two),
        record(1, 1.0, shown_evidence=[0, 1], pages_named=[0], images=two),
        record(2, 1.0, shown_evidence=[0], pages_named=[], images=two),
        record(3, 1.0, shown_evidence=[0], pages_named=[0]),
    ]
    got = evidence(rows)
    assert (got.count, got.named, got.exact) == (3, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert got.f1 == pytest.approx((1 + 2 / 3) / 3)
    assert evidence([]).count == 0


def test_breakdowns_sort_by_number_and_share_out_all_samples():
    counts = (0, 1, 3, 7, 12, 20, 99)
    rows = [record(i, i % 2, num_images=n) for i, n in enumerate(counts)]
    assert [g.name for g in breakdown(rows, "images")] == [
        "0",
        "1",
        "2-4",
        "5-9",
        "10-19",
        "20-49",
        "50+",
    ]
    pages = [None, [0], [0, 1], [0, 1, 2, 3]]
    rows = [record(i, 1.0, evidence=p) for i, p in enumerate(pages)]
    names = [g.name for g in breakdown(rows, "evidence pages")]
    assert names == ["1 page", "2-3 pages", "4+ pages", "not given"]
    tokens = (0, 169, 400, 900, 1500, 9000)
    rows = [record(i, 1.0, images=[{"visual_tokens": t}]) for i, t in enumerate(tokens)]
    assert len(breakdown(rows, "visual tokens per image")) == 6
    for by in BREAKDOWNS:
        assert sum(group.count for group in breakdown(rows, by)) == len(rows)
    with pytest.raises(EvaluationError, match="answer type"):
        breakdown(rows, "x")


def test_summary_counts_everything():
    rows = [
        record(0, 1.0),
        record(1, 0.0, error="broke"),
        record(2, 0.0, error="gone", problem="gone", images=[]),
        record(3, 0.0, unparsed=True, truncated=True, dropped_images=2),
    ]
    got = summarise(TASK, rows, expected=9, num_draws=50)
    assert (got.count, got.expected, got.failed, got.broken) == (4, 9, 1, 1)
    assert (got.unparsed, got.truncated, got.dropped_images) == (0.25, 1, 2)
    assert (got.images_per_sample, got.tokens_per_image, got.seconds) == (0.75, 169, 2.0)
    assert got.scores["anls"].value == 0.25
    with pytest.raises(EvaluationError, match="no record"):
        summarise(TASK, [])
    extras = summarise(get_task("mmlongbench"), rows, num_draws=10).extras
    assert set(extras) == {"f1"}
