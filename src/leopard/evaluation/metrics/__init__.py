"""Metrics by id: pure functions of an answer and its gold, called with keyword arguments.

`METRICS` holds the official rule of each benchmark and, under `leopard_...`, the rules of the
published Leopard runner, for scores "as in the paper". Nothing here is random: where published
code guesses, the answer is unparsed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from leopard.errors import EvaluationError
from leopard.evaluation.metrics import (
    anls,
    charts,
    choices,
    hiertt,
    longdocs,
    mmmu,
    slides,
    tables,
    vqa,
    webbench,
)
from leopard.evaluation.metrics.anls_star import anls_star

Metric = Callable[..., Any]

_FUNCTIONS: tuple[Metric, ...] = (
    anls.anls_rrc,
    anls.anls_dude_list,
    anls.dude_question,
    anls.mpdocvqa_evaluator,
    anls.anls_strict,
    anls.anls_stvqa_m4c,
    anls.leopard_anls,
    anls_star,
    charts.chartqa_relaxed,
    charts.multichartqa,
    vqa.vqa_normalize,
    vqa.textvqa_accuracy,
    hiertt.multihiertt_span,
    hiertt.multihiertt_eval_program,
    hiertt.multihiertt_program_match,
    hiertt.multihiertt_span_vs_program,
    webbench.vwb_element_ocr,
    webbench.vwb_webqa,
    webbench.vwb_parse_choice,
    webbench.leopard_rouge_caption,
    webbench.leopard_webqa,
    mmmu.mmmu_parse_mc,
    mmmu.mmmu_parse_open,
    mmmu.mmmu_open_correct,
    mmmu.mmmu_mc_correct,
    mmmu.mmmu_instance_level_acc,
    mmmu.leopard_parse_open,
    mmmu.leopard_open_correct,
    mmmu.leopard_idefics2_parse_mc,
    mmmu.leopard_idefics2_open_correct,
    choices.mathvista,
    choices.scienceqa_llava,
    choices.mirb,
    longdocs.mmlongbench_score,
    longdocs.mmlongbench_acc_f1,
    longdocs.longdocurl_score,
    slides.slidevqa_normalize,
    slides.slidevqa_qa,
    slides.slidevqa_evidence,
    slides.slidevqa_joint,
    tables.tatqa_em_f1,
    tables.tabmwp_extract,
    tables.wtq_denotation,
)
_ALIASES: dict[str, Metric] = {
    "leopard_parse_mc": mmmu.mmmu_parse_mc,
    "leopard_idefics2_parse_open": mmmu.leopard_parse_open,
    "vwb_web_caption": webbench.vwb_caption,
    "vwb_heading_ocr": webbench.vwb_caption,
    "vwb_action_prediction": webbench.vwb_choice,
    "vwb_element_ground": webbench.vwb_choice,
    "vwb_action_ground": webbench.vwb_choice,
}

METRICS: MappingProxyType[str, Metric] = MappingProxyType(
    {function.__name__: function for function in _FUNCTIONS} | _ALIASES
)
"""Metric of each id."""


def get_metric(name: str) -> Metric:
    """The metric with an id.

    Raises:
        EvaluationError: If there is none; the message lists those there are.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise EvaluationError(
            f"metric {name!r} is unknown; there are {', '.join(sorted(METRICS))}"
        ) from None
