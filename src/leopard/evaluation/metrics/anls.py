"""Average normalised Levenshtein similarity in the forms of the DocVQA family.

The forms differ in what they strip, in which lengths they divide by and in what happens at a
similarity of exactly 0.5; none is "the" ANLS. Knows nothing of tasks or prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from leopard.evaluation.metrics.distance import best_assignment, levenshtein, similarity

THRESHOLD = 0.5
"""Similarity below which an answer scores nothing (Biten et al. 2019, formula 1)."""


def _first_answer(pred: str | Sequence[str]) -> str:
    if isinstance(pred, str):
        return pred
    return pred[0] if pred else ""


def anls_rrc(
    gt_answers: Sequence[str], pred: str | Sequence[str], threshold: float = THRESHOLD
) -> float:
    """ANLS of the reading-competition script (DUDE, DocVQA): 0.5 is kept.

    The distance is taken on stripped, lower-cased text with single spaces, but divided by the
    longer of the *raw* texts. Of several predictions the first counts. No gold answer scores 0.
    """
    text = _first_answer(pred)
    clean = " ".join(text.strip().lower().split())
    distances = []
    for answer in gt_answers:
        # Lengths after upper(), as the script has it: "ß" counts two.
        length = max(len(answer.upper()), len(text.upper()))
        distance = levenshtein(" ".join(answer.strip().lower().split()), clean)
        distances.append(distance / length if length else 0.0)
    score = 1 - min(distances, default=1.0)
    return score if score >= threshold else 0.0


def anls_dude_list(gt_list: Sequence[str], pred_list: Sequence[str]) -> float:
    """ANLS of list answers in DUDE: best matching over `max(len(set(gold)), len(pred))`."""
    if len(gt_list) < len(pred_list):
        anchors, others = gt_list, pred_list
    else:
        anchors, others = pred_list, gt_list
    gains = [[anls_rrc([anchor], other) for other in others] for anchor in anchors]
    total = sum(gains[row][column] for row, column in best_assignment(gains))
    length = max(len(set(gt_list)), len(pred_list))
    return total / length if length else 1.0


def dude_question(answer_type: str, answers: Sequence[str], pred: Sequence[str]) -> float:
    """ANLS of one DUDE question; a question without answer asks for an empty prediction."""
    if answer_type == "not-answerable":
        answers, pred = answers or [""], pred or [""]
    if "list" in answer_type:
        return anls_dude_list(answers, pred)
    return anls_rrc(answers, pred)


def mpdocvqa_evaluator(
    answers: Sequence[str], pred: str, answer_type: str = "string"
) -> dict[str, float]:
    """Accuracy and ANLS of the MP-DocVQA authors.

    A prediction of the word "none" is right for a question without answer and wrong otherwise;
    an empty prediction has ANLS 0 even where the question has no answer.
    """
    golds = [answer.lower().strip() for answer in answers]
    text = pred.lower().strip()
    if answer_type == "not-answerable":
        return {"accuracy": int(text in ("", "none")), "anls": int(text == "none")}
    if text in ("", "none"):
        return {"accuracy": int(text == "" and "" in golds), "anls": 0}
    score = max((similarity(gold, text) for gold in golds), default=0.0)
    return {"accuracy": int(text in golds), "anls": score if score >= THRESHOLD else 0}


def anls_strict(targets: Sequence[str], pred: str) -> float:
    """ANLS with a strict threshold: a similarity of exactly 0.5 scores 0; nothing is stripped.

    Two empty texts score 1 (the published script divides by zero there).
    """
    scores = [similarity(target.lower(), pred.lower()) for target in targets]
    score = max((value for value in scores if value > THRESHOLD), default=0.0)
    return score


def anls_stvqa_m4c(gt_answers: Sequence[str], pred_answer: str) -> float:
    """ANLS of the M4C evaluator for ST-VQA: stripped and lower-cased, 0.5 is kept.

    Two empty texts score 1 (the published script divides by zero there).
    """
    text = pred_answer.lower().strip()
    score = max((similarity(gold.lower().strip(), text) for gold in gt_answers), default=0.0)
    return score if score >= THRESHOLD else 0.0


def leopard_anls(answers: Sequence[str], response: str) -> float:
    """ANLS as the published Leopard runner computes it: after the last "Answer: ", no strip."""
    return calculate_anls(
        [answer.lower() for answer in answers], response.split("Answer: ")[-1].lower()
    )


def calculate_anls(gt: Sequence[str], pred: str) -> float:
    """The inner rule of the published runner: no case folding, 0.5 is kept.

    With no gold answer a prediction that says so is right; "NA" can never be met by the runner,
    which lower-cases before it asks.
    """
    if not gt:
        return float(pred in ("", "none", "NA", "unanswerable"))
    if not pred:
        return 0.0
    score = max(similarity(gold, pred) for gold in gt)
    return score if score >= THRESHOLD else 0.0
