"""Job: a second model's verdict on questions and answers.

What is rated below the threshold goes back to what it was, or out if it is new. Weights of the
ratings: data-curation practice for long documents (NVIDIA, 2025).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from leopard.curation.annotation.bench import Bench
from leopard.curation.annotation.prompts import cool, request_for, shown_pages
from leopard.curation.annotation.replies import Form, FormError, ask_form
from leopard.curation.annotation.subject import Subject, Turn

JOB = "judge"
WEIGHTS = {
    "answer": 0.35,
    "training_signal": 0.30,
    "question": 0.15,
    "grounding": 0.10,
    "format": 0.10,
}
Rating = Annotated[int, Field(ge=1, le=5)]


class Verdict(Form):
    """Ratings from 1 to 5."""

    answer: Rating
    training_signal: Rating
    question: Rating
    grounding: Rating
    format: Rating

    @property
    def score(self) -> float:
        """Weighted mean of the ratings."""
        rated: dict[str, int] = self.model_dump()
        return round(sum(rated[name] * weight for name, weight in WEIGHTS.items()), 4)


async def judge(subject: Subject, bench: Bench) -> None:
    """Judge the questions of a sample; those that fail are undone or taken out."""
    kept = []
    for turn in subject.turns:
        if bench.settings.judge.scope == "annotated" and not turn.notes:
            kept.append(turn)
            continue
        judged, problem = await _judged(turn, subject, bench)
        if problem:
            bench.tally.reject(JOB, problem)
        else:
            bench.tally.accept(JOB)
        if judged is not None:
            kept.append(judged)
    subject.turns = kept


async def _judged(turn: Turn, subject: Subject, bench: Bench) -> tuple[Turn | None, str]:
    assert bench.settings.judge_model is not None
    pages, pictures = shown_pages(subject, bench.settings)
    qa = turn.qa
    request = request_for(
        cool(bench.settings.judge_model), JOB, pages=pages, question=qa.question,
        rationale=qa.rationale or "none given", answer=qa.answer,
    )  # fmt: skip
    request = replace(request, pictures=pictures)
    undone = Turn(turn.original) if turn.original else None
    try:
        reply = await ask_form(bench.client, request, Verdict, bench.settings.pace.asks)
    except FormError as error:
        return undone, f"no verdict: {error}"
    if reply.form.score < bench.settings.judge.threshold:
        return undone, "below the threshold"
    note = {"job": JOB, "score": reply.form.score, "ratings": reply.form.model_dump()}
    return replace(turn, notes=(*turn.notes, {**note, **reply.note})), ""
