"""Relaxed accuracy of chart questions. Knows nothing of tasks or prompts."""

from __future__ import annotations

from collections.abc import Sequence

TOLERANCE = 0.05
"""Largest relative error of a right number (Masry et al. 2022, section 5.1)."""


def _to_number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def chartqa_relaxed(target: str, prediction: str) -> bool:
    """Whether two numbers differ by at most 5 %, or two texts are equal without regard to case.

    A percent sign divides by 100, so "12%" is not "12"; commas, units and currency signs make a
    text of a number; a target of 0 asks for the same text.

    Source: Masry et al. 2022, section 5.1, in the widely used form of the Pix2Struct code.
    """
    got, wanted = _to_number(prediction), _to_number(target)
    if got is not None and wanted:
        return abs(got - wanted) / abs(wanted) <= TOLERANCE
    return prediction.lower() == target.lower()


def _clean_number(text: str) -> str:
    return text.strip().strip("$€£").replace(",", "").strip().rstrip(".")


def multichartqa_parts(gold: str, pred: str) -> list[bool]:
    """Which parts of a MultiChartQA answer are right.

    The benchmark has published no scorer; its card asks for relaxed accuracy on numbers and exact
    match on text. Parts are separated by ";" in the gold; a prediction with another number of
    parts has every missing part wrong and cannot be all right.

    Args:
        gold: Gold answer, parts joined by ";".
        pred: Parsed answer.

    Returns:
        One truth value for each part of the longer side.
    """
    wanted = [part.strip() for part in gold.split(";")]
    got = [part.strip() for part in pred.split(";")] if len(wanted) > 1 else [pred.strip()]
    length = max(len(wanted), len(got))
    return [
        index < len(wanted) and index < len(got) and _part_is_right(wanted[index], got[index])
        for index in range(length)
    ]


def _part_is_right(wanted: str, got: str) -> bool:
    if chartqa_relaxed(_clean_number(wanted), _clean_number(got)):
        return True
    return wanted.lower().rstrip(".") == got.lower().rstrip(".")


def multichartqa(answers: Sequence[str], pred: str) -> float:
    """1.0 when every part of one of the gold answers is right."""
    return float(any(all(multichartqa_parts(gold, pred)) for gold in answers))
