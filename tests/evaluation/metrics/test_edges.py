"""What the golden cases leave open: definitions of our own, and rare branches."""

import math

import pytest

from leopard.errors import EvaluationError
from leopard.evaluation.metrics import METRICS, get_metric
from leopard.evaluation.metrics.charts import multichartqa_parts
from leopard.evaluation.metrics.hiertt import str_to_num


def test_unknown_metric_names_the_known_ones():
    assert get_metric("anls_rrc") is METRICS["anls_rrc"]
    with pytest.raises(EvaluationError, match="chartqa_relaxed"):
        get_metric("blue")


def test_anls_without_gold_answers():
    assert METRICS["anls_rrc"](gt_answers=[], pred="x") == 0.0
    assert METRICS["anls_rrc"](gt_answers=["x"], pred=["x", "y"]) == 1.0
    assert METRICS["anls_rrc"](gt_answers=["x"], pred=[]) == 0.0
    assert METRICS["anls_dude_list"](gt_list=[], pred_list=[]) == 1.0
    assert METRICS["mpdocvqa_evaluator"](answers=[], pred="x")["anls"] == 0


def test_anls_star_refuses_what_it_cannot_compare():
    with pytest.raises(EvaluationError, match="ANLS"):
        METRICS["anls_star"](gt="x", pred=b"x")
    with pytest.raises(EvaluationError, match="empty tuple"):
        METRICS["anls_star"](gt=(), pred="x")


def test_anls_star_nested_alternatives():
    assert METRICS["anls_star"](gt=[("a", "b"), "c"], pred=["c", "b"]) == 1.0
    assert METRICS["anls_star"](gt=("ab", ["a", "b"]), pred=3) == 0.0
    assert METRICS["anls_star"](gt=[("ab", ["a", "b"])], pred=[]) == 0.0
    assert METRICS["anls_star"](gt=[["a"], "b"], pred=[["a"], "b"]) == 1.0
    assert METRICS["anls_star"](gt=["b", {"k": ["x", "y"]}], pred=["b"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("divide(1, 3), divide(#0, 0)", [1, 1 / 3]),
        ("divide(1, 3), add(x, 1)", [1, 0.33333]),
        ("add(#0, 1)", [1, "n/a"]),
        ("add(#-1, 1)", [1, "n/a"]),
        ("add(const_x, 1)", [1, "n/a"]),
        ("subtract(1, 3), exp(#0, 0.5)", [1, -2.0]),
        ("add(1, 2", [0, "n/a"]),
        ("exp(10, 400)", [1, "n/a"]),
    ],
)
def test_programs_that_fail_keep_their_last_value(program, expected):
    assert METRICS["multihiertt_eval_program"](program=program) == expected


def test_hiertt_text_against_text_and_numbers_in_texts():
    rule = METRICS["multihiertt_span_vs_program"]
    assert rule(span_ans="100", prog_ans="100.05") == [1, 1]
    assert rule(span_ans="net income", prog_ans="Net income") == [1.0, 1.0]
    assert METRICS["multihiertt_span"](predicted=[], gold=[]) == [1.0, 1.0]
    assert METRICS["multihiertt_span"](predicted=[], gold=["a b"]) == [0.0, 0.0]
    assert str_to_num("const_m1") == -1.0


def test_numbers_that_are_no_numbers():
    assert METRICS["multihiertt_span"](predicted="nan", gold="nan") == [1.0, 1.0]
    wtq = METRICS["wtq_denotation"]
    assert wtq(target=["inf"], canon=None, pred=["inf"])
    assert not wtq(target=["inf"], canon=None, pred=["1e400"])


@pytest.mark.parametrize(
    ("target", "canon", "pred", "right"),
    [
        (["2004-06-05"], None, ["2004-6-5"], True),
        (["June 5, 2004"], ["2004-06-05"], ["2004-06-05"], True),
        (["2004"], ["2004-xx-xx"], ["2004"], True),
        (["x"], ["xx-xx-xx"], ["x"], True),
        (["a-b-c"], None, ["a-b-c"], True),
        (["2004-13-05"], None, ["2004-13-05"], True),
        (["Brazil [1]"], None, ["Brazil"], True),
        (["1,000"], None, ["1000"], False),
        (["2.5"], None, ["2.50"], True),
        ([], None, [], True),
    ],
)
def test_table_denotations(target, canon, pred, right):
    assert METRICS["wtq_denotation"](target=target, canon=canon, pred=pred) is right


@pytest.mark.parametrize(
    ("answer", "kind", "scale", "pred", "pred_scale", "em"),
    [
        ("5 million", "span", "", "5000000", "", 1.0),
        (["n/a"], "span", "million", ["n/a"], "million", 1.0),
        (["12%"], "span", "percent", ["12%"], "", 1.0),
        ([".5"], "span", "million", [".5"], "million", 1.0),
        ("2019-05-01", "date", "", ["2019-05-01"], "", 1.0),
        ([], "span", "", ["x"], "", 0.0),
        (["x"], "span", "", "", "", 0.0),
        (["nan"], "span", "", ["nan"], "", 1.0),
        (["5 apples"], "span", "", ["5 apples"], "", 1.0),
        ([".5"], "arithmetic", "", [".5"], "", 1.0),
    ],
)
def test_tatqa_scales_and_kinds(answer, kind, scale, pred, pred_scale, em):
    truth = {"answer": answer, "answer_type": kind, "scale": scale}
    got = METRICS["tatqa_em_f1"](ground_truth=truth, prediction=pred, pred_scale=pred_scale)
    assert got["em"] == em


def test_tabmwp_letter_without_option_is_unparsed():
    assert METRICS["tabmwp_extract"](output="E", options=["1", "2"]) == ""
    assert METRICS["tabmwp_extract"](output="Z", options=["1", "Z"]) == "Z"
    assert METRICS["tabmwp_extract"](output="red car", options=["the blue car", "a bus"]) == (
        "the blue car"
    )


def test_textvqa_with_few_annotators():
    assert METRICS["textvqa_accuracy"](gt_answers=[], pred_answer="x") == 0.0
    assert METRICS["textvqa_accuracy"](gt_answers=["x"] * 9, pred_answer="x") == 1.0


def test_parsers_answer_none_instead_of_guessing():
    options = {"A": "cat", "B": "dog"}
    for _ in range(3):
        assert METRICS["mmmu_parse_mc"](response="no idea", index2ans=options) is None
    assert METRICS["mmmu_mc_correct"](gold="A", pred=None) is False
    assert METRICS["mmmu_open_correct"](gold=7, response="7")


def test_mathvista_rare_extractions():
    args = {"choices": None, "question_type": "free_form", "precision": None}
    rule = METRICS["mathvista"]
    assert rule(extraction="1e999", answer_type="integer", answer="1", **args)["normalized"] is None
    assert rule(extraction="3.6", answer_type="float", answer="4", **args)["correct"]
    assert rule(extraction="red", answer_type="text", answer="red", **args)["correct"]
    multi = {**args, "question_type": "multi_choice", "choices": []}
    assert rule(extraction="A", answer_type="text", answer="x", **multi)["normalized"] is None


def test_web_scorers_on_empty_input():
    assert METRICS["vwb_web_caption"](preds=[], golds=[])["rouge_1"] == 0.0
    assert METRICS["vwb_webqa"](preds=["."], golds=[["x"]]) == {"f1": 0.0}
    assert METRICS["vwb_action_ground"](preds=["ß"], golds=[0]) == {"accuracy": 0.0}
    assert METRICS["leopard_webqa"](golds=[], response="x") == 0.0


def test_long_document_lists_are_literals_only():
    rule = METRICS["mmlongbench_score"]
    assert rule(gt="['a']", pred="[__import__('os')]", answer_type="List") == 0.0
    assert rule(gt="['a']", pred="[" + "1," * 9000, answer_type="List") == 0.0
    assert rule(gt="x", pred="7", answer_type="Int") == 0.0
    assert rule(gt="['a', 'b']", pred="['a']", answer_type="List") == 0.0
    assert rule(gt="5.2 million", pred="5.2 million", answer_type="Float") == 1.0
    assert rule(gt="3", pred="x", answer_type="Float") == 0.0
    assert rule(gt="1234.56", pred="1234.561", answer_type="Float") == 1.0
    assert rule(gt="0.001", pred="0.0012", answer_type="Float") == 1.0


def test_long_document_url_rules():
    rule = METRICS["longdocurl_score"]
    assert rule(gt="n/a", pred="5", answer_type="Integer") == 0.0
    assert rule(gt="", pred="x", answer_type="Integer") == 1.0
    assert rule(gt="[]", pred="x", answer_type="List") == 0.0
    assert rule(gt="['1','2']", pred="['1','2']", answer_type="List") == 1.0


def test_unscored_samples_do_not_count_in_f1():
    samples = [
        {"answer": "x", "pred": "x", "score": 1.0},
        {"answer": "Not answerable", "pred": "Not answerable", "score": 1.0},
        {"answer": "y", "pred": "y"},
    ]
    assert METRICS["mmlongbench_acc_f1"](samples=samples) == [1.0, 1.0]


def test_multichart_parts_are_scored_one_by_one():
    assert multichartqa_parts("12; Blue", "12.3; blue") == [True, True]
    assert multichartqa_parts("$1,200", "1200") == [True]
    assert multichartqa_parts("1; 2", "1") == [True, False]
    assert multichartqa_parts("1; 2", "1; 2; 3") == [True, True, False]
    assert multichartqa_parts("Not Applicable", "not applicable.") == [True]
    assert METRICS["multichartqa"](answers=["1; 2"], pred="1; 3") == 0.0
    assert METRICS["multichartqa"](answers=["1; 2"], pred="1;2") == 1.0


def test_chart_numbers_that_are_not_finite():
    assert METRICS["chartqa_relaxed"](target="nan", prediction="nan") is False
    assert not math.isnan(float(METRICS["chartqa_relaxed"](target="1", prediction="nan")))
