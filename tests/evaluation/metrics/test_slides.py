import pytest

from leopard.evaluation.metrics import METRICS


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        ("This is the North Region", "", "north"),
        ("It is 1,234", "", "1234"),
        ("R&D and sales", "", "rd sales"),
        ("12 percent", "", "12"),
        ("World Health Organisation", "", "world health organization"),
        ("because of rain", "", "rain"),
        ("due to cost", "", "cost"),
        ("24 hours", "", "24 hrs"),
        ("5 minites", "", "5 min"),
        ("seven countries", "In how many countries is it sold?", "7"),
        ("Asia region", "In which region did it grow?", "asia"),
        ("seven countries", "How many countries?", "7 countries"),
        ("Yes, it did grow", "", "yes"),
        ("No, it fell", "", "no"),
        ("Nineteen", "", "19"),
        ("", "", ""),
    ],
)
def test_answers_are_normalised_as_described(text, question, expected):
    assert METRICS["slidevqa_normalize"](text=text, question=question) == expected


@pytest.mark.parametrize(
    ("gold", "pred", "em", "f1"),
    [
        ("1,234", "1234", 1.0, 1.0),
        ("the north", "North region", 1.0, 1.0),
        ("blue", "red", 0.0, 0.0),
        ("", "", 1.0, 0.0),
        ("b c c", "c c c", 0.0, 2 / 3),
    ],
)
def test_answer_scores(gold, pred, em, f1):
    got = METRICS["slidevqa_qa"](gold=gold, pred=pred, question="")
    assert got == {"em": em, "f1": pytest.approx(f1)}


def test_evidence_matches_in_order_but_f1_does_not_mind():
    assert METRICS["slidevqa_evidence"](gold=[1, 3], pred=[3, 1]) == {"em": 0.0, "f1": 1.0}
    assert METRICS["slidevqa_evidence"](gold=[1, 3], pred=[1, 3]) == {"em": 1.0, "f1": 1.0}
    assert METRICS["slidevqa_evidence"](gold=[1], pred=[]) == {"em": 0.0, "f1": 0.0}


def test_joint_score_multiplies_precision_and_recall():
    joint = METRICS["slidevqa_joint"]
    assert joint(answer=("blue car", "blue car"), evidence=([2], [2])) == {"em": 1.0, "f1": 1.0}
    half = joint(answer=("blue car", "blue"), evidence=([2], [2, 3]))
    assert half == {"em": 0.0, "f1": pytest.approx(0.5)}
    assert joint(answer=("a", "b"), evidence=([1], [2]))["f1"] == 0.0
