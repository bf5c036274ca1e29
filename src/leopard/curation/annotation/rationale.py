"""Job: reasoning for a question whose answer is known.

The model does not see the answer. Its reasoning is accepted only if it ends in that answer, its
calculations come out, and its numbers are printed, calculated, or counted.
"""

from __future__ import annotations

from dataclasses import replace

from leopard.curation.annotation.answers import same_answer, ungrounded, wrong_equation
from leopard.curation.annotation.bench import Bench
from leopard.curation.annotation.prompts import request_for, shown_pages
from leopard.curation.annotation.replies import Form, FormError, ask_form
from leopard.curation.annotation.subject import Subject, Turn
from leopard.schema.samples import QuestionAnswer

JOB = "rationale"
_CHOICE = " The question gives options: answer with the letter of one."


class FinalAnswer(Form):
    """What the reasoning comes to."""

    answer: str


async def rationale(subject: Subject, bench: Bench) -> None:
    """Reason towards every answer of a sample that has no reasoning yet."""
    settings = bench.settings
    for index, turn in enumerate(subject.turns):
        if turn.qa.rationale and not settings.rationale.replace:
            continue
        pages, pictures = shown_pages(subject, settings)
        request = request_for(
            settings.annotator,
            JOB,
            pages=pages,
            question=turn.qa.question,
            choice=_CHOICE if turn.qa.choices else "",
        )
        request = replace(request, pictures=pictures)
        try:
            reply = await ask_form(
                bench.client, request, FinalAnswer, settings.pace.asks, prose=True
            )
            problem = _problem(reply.prose, reply.form.answer, turn.qa, subject, bench)
        except FormError as error:
            problem = str(error)
        if problem:
            bench.tally.reject(JOB, problem)
            continue
        qa = replace(turn.qa, rationale=reply.prose)
        note = {"job": JOB, **reply.note}
        subject.turns[index] = Turn(qa, (*turn.notes, note), turn.original or turn.qa)
        bench.tally.accept(JOB)


def _problem(prose: str, answer: str, qa: QuestionAnswer, subject: Subject, bench: Bench) -> str:
    decimal = subject.decimal
    if not prose:
        return "no reasoning"
    if len(prose) > bench.settings.rationale.max_characters:
        return "too long"
    if not same_answer(answer, (qa.answer, *qa.aliases), decimal):
        return "another answer"
    if wrong_equation(prose, decimal):
        return "a calculation that does not come out"
    sources = [*subject.page_texts, qa.question, qa.answer]
    if subject.page_texts and ungrounded(prose, sources, decimal):
        return "a number from nowhere"
    return ""
