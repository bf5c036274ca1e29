import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.samples import EvalSample, ImageSource, open_image
from leopard.evaluation.views import VIEWS, view
from tests.evaluation.fixtures.builders import picture


def page(number):
    return ImageSource(f"p{number}", lambda: picture(str(number), size=(40 + number, 30)))


SAMPLE = EvalSample(
    id="s1",
    doc_id="d",
    question="See <image> and <image>, then <image>.",
    images=(page(0), page(1), page(2)),
    evidence=(1, 2),
)


def labels(sample):
    return [image.label for image in sample.images]


def test_views_choose_images_tags_and_evidence():
    assert view("full", SAMPLE) is SAMPLE
    nothing = view("question-only", SAMPLE)
    assert (nothing.images, nothing.question, nothing.evidence) == ((), "See  and , then .", None)
    first = view("first-page", SAMPLE)
    assert (labels(first), first.question) == (["p0"], "See <image> and , then .")
    assert first.evidence is None
    oracle = view("oracle", SAMPLE)
    assert (labels(oracle), oracle.evidence) == (["p1", "p2"], (0, 1))
    assert oracle.question.count("<image>") == 2


def test_shuffle_moves_pages_and_evidence_and_repeats_itself():
    one, two = view("shuffled", SAMPLE), view("shuffled", SAMPLE)
    assert labels(one) == labels(two)
    assert labels(one) != labels(SAMPLE)
    assert sorted(labels(one)) == labels(SAMPLE)
    assert {labels(one)[index] for index in one.evidence} == {"p1", "p2"}
    for count in (2, 3, 4):
        for number in range(20):
            sample = EvalSample(
                id=f"x{number}", doc_id="d", question="?", images=tuple(map(page, range(count)))
            )
            assert labels(view("shuffled", sample)) != labels(sample)


def test_blind_pages_keep_their_size_and_lose_their_ink():
    blind = view("blind", SAMPLE)
    for image, original in zip(blind.images, SAMPLE.images, strict=True):
        picture = open_image(image.read(), image.label)
        assert picture.size == open_image(original.read(), "x").size
        assert picture.getextrema() == ((255, 255),) * 3


def test_oracle_without_gold_pages_shows_all():
    sample = EvalSample(id="s", doc_id="d", question="?", images=(page(0), page(1)))
    assert view("oracle", sample) is sample


def test_unknown_view_names_the_known_and_problems_pass():
    with pytest.raises(EvaluationError, match="first-page"):
        view("x", SAMPLE)
    broken = EvalSample.broken("b", "gone")
    assert all(view(name, broken) is broken for name in VIEWS)
