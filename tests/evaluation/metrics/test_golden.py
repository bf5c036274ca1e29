"""Every recorded output of the official scoring code, and of the published Leopard runner."""

import json
import math
from pathlib import Path

import pytest

from leopard.evaluation.metrics import METRICS
from leopard.evaluation.metrics.anls import anls_strict, calculate_anls, leopard_anls
from leopard.evaluation.metrics.mmmu import (
    extract_numbers,
    leopard_idefics2_open_correct,
    leopard_idefics2_parse_mc,
    leopard_open_correct,
    leopard_parse_open,
    mmmu_mc_correct,
    mmmu_parse_mc,
    normalize_str,
)
from leopard.evaluation.metrics.rouge import rouge_l, rouge_n
from leopard.evaluation.metrics.vqa import textvqa_accuracy, vqa_normalize
from leopard.evaluation.metrics.webbench import leopard_webqa

GOLDEN = Path(__file__).parents[2] / "golden"
OFFICIAL = json.loads((GOLDEN / "metrics_official.json").read_text())["metrics"]
PUBLISHED = json.loads((GOLDEN / "metrics_published_implementation.json").read_text())
FALLBACK = {"random_fallback": True}


def _values(value):
    return list(value.values()) if isinstance(value, dict) else list(value)


def same(got, wanted, tolerance):
    if wanted == FALLBACK:
        return got is None
    if isinstance(got, set):
        return got == set(wanted)
    if isinstance(wanted, dict):
        return set(got) == set(wanted) and all(same(got[k], wanted[k], tolerance) for k in wanted)
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(
            same(a, b, tolerance) for a, b in zip(got, wanted, strict=True)
        )
    if isinstance(wanted, str) or wanted is None:
        return got == wanted
    return math.isclose(got, wanted, abs_tol=tolerance)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_scorer_is_reproduced(name):
    tolerance = 1e-6 if "rouge" in name or name.startswith("vwb") else 1e-9
    wrong = [
        (case["id"], case["input"], case["expected"])
        for case in OFFICIAL[name]["cases"]
        if "expected" in case
        and not same(METRICS[name](**case["input"]), case["expected"], tolerance)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in OFFICIAL for case in OFFICIAL[name]["cases"] if "raises" in case],
    ids=lambda value: value["id"] if isinstance(value, dict) else value,
)
def test_cases_that_stop_the_official_code_have_a_defined_score(name, case):
    got = METRICS[name](**case["input"])
    assert all(0 <= value <= 1 for value in (_values(got) if isinstance(got, dict) else [got]))


def _num_or_str(items):
    return [float(item["num"]) if "num" in item else item["str"] for item in items]


def test_published_anls_is_reproduced():
    for case in PUBLISHED["calculate_anls"]:
        assert calculate_anls(case["gt"], case["pred"]) == pytest.approx(case["ok"], abs=1e-9)
    for case in PUBLISHED["anls_metric_unused"]:
        score = anls_strict([case["target"]], case["prediction"])
        assert score == pytest.approx(case["ok"], abs=1e-9)
    for case in PUBLISHED["runner_anls"]:
        assert leopard_anls(case["answers"], case["raw_response"]) == pytest.approx(case["ok"])


@pytest.mark.parametrize(
    ("variant", "parse"),
    [("llava_eval_utils", mmmu_parse_mc), ("idefics2_mmmu_utils", leopard_idefics2_parse_mc)],
)
def test_published_letter_parsers_are_reproduced(variant, parse):
    cases = [c for c in PUBLISHED["parse_multi_choice_response"] if c["variant"] == variant]
    wrong = [
        case
        for case in cases
        if parse(case["response"], case["index2ans"])
        != (None if case["random_fallback"] else case["ok"])
    ]
    assert cases
    assert not wrong


def test_published_open_answers_are_reproduced():
    for case in PUBLISHED["parse_open_response"]:
        got = {repr(value) for value in leopard_parse_open(case["response"])}
        assert got == {repr(value) for value in _num_or_str(case["parsed"])}, case
    for case in PUBLISHED["eval_open"]:
        for key, rule in (
            ("llava", leopard_open_correct),
            ("idefics2", leopard_idefics2_open_correct),
        ):
            if "ok" in case[key]:
                assert rule(case["gold"], case["response"]) is case[key]["ok"], case
    for case in PUBLISHED["eval_multi_choice"]:
        assert mmmu_mc_correct(case["gold"], case["pred"]) is case["ok"]
    for case in PUBLISHED["normalize_str"]:
        assert repr(normalize_str(case["s"])) == repr(_num_or_str(case["out"]))
    for case in PUBLISHED["extract_numbers"]:
        assert extract_numbers(case["s"]) == case["out"]


def test_published_text_overlap_is_reproduced():
    for case in PUBLISHED["rouge"]:
        pair = case["pred"], case["gold"]
        for key, got in (("rouge_l_f", rouge_l(*pair)), ("rouge_1_f", rouge_n(*pair, 1))):
            assert got == pytest.approx(case[key].get("ok", 0.0), abs=1e-6), case
    for case in PUBLISHED["webqa_rouge1_max"]:
        got = leopard_webqa(case["golds"], case["response"])
        assert got == pytest.approx(case["score"], abs=1e-6)


def test_published_vqa_accuracy_is_reproduced():
    for case in PUBLISHED["evalai_answer_processor"]:
        assert vqa_normalize(case["s"]) == case["out"], case
    for case in PUBLISHED["textvqa_accuracy"]:
        got = textvqa_accuracy(case["gt_answers"], case["pred"])
        assert got == pytest.approx(case["score"], abs=1e-9)
