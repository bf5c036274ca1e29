"""Job: free questions, each with a program that is executed on the facts and on the page.

Accepted only if the interpreter's answer on the facts, the second evaluator's on the printed page,
and the model's own agree, and the question names all that its program compares with.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from leopard.curation.annotation.answers import same_answer
from leopard.curation.annotation.bench import Bench
from leopard.curation.annotation.free_programs import (
    facts_as_text,
    language_reference,
    literals,
    read_program,
)
from leopard.curation.annotation.prompts import request_for
from leopard.curation.annotation.replies import Form, FormError, Reply, ask_form
from leopard.curation.annotation.subject import Subject, Turn
from leopard.curation.programs.interpreter import Interpreter
from leopard.curation.synthesis.documents import PrintedDocument
from leopard.curation.synthesis.proving import Draft, Gate, Proven
from leopard.curation.synthesis.samples import question_answer
from leopard.errors import LeopardError
from leopard.schema.samples import NOT_ANSWERABLE, VectorPage

JOB = "questions"
MAX_QUESTION = 400
"""Longest question, in characters."""
_ELEMENT_ID = re.compile(r"(?<!\w)(?:f\d+|s\d+|t\d+\.(?:\d+|h)\.(?:\d+|k))(?!\w)")


class FreeQuestion(Form):
    """A question with its program and answer."""

    question: str
    program: str
    """JSON text."""
    answer: str


class FreeQuestions(Form):
    """Several of them."""

    questions: list[FreeQuestion]


@dataclass(frozen=True, slots=True)
class _Workpiece:
    """What a question is proven against."""

    document: PrintedDocument
    gate: Gate
    asked: set[str]


async def questions(subject: Subject, bench: Bench) -> None:
    """Ask for new questions about a sample and keep those that are proven."""
    wanted = bench.settings.questions.per_sample
    try:
        document = _document(subject)
        reply = await _ask(subject, document, bench)
    except FormError as error:
        bench.tally.reject(JOB, str(error), wanted)
        return
    gate = Gate(
        Interpreter(document.facts, document.printed.pages),
        document.printed,
        bench.settings.questions.max_answer,
    )
    piece = _Workpiece(document, gate, {turn.qa.question.casefold() for turn in subject.turns})
    images = tuple(image for image in subject.sample.images if isinstance(image, VectorPage))
    for free in reply.form.questions[:wanted]:
        try:
            proven = _prove(free, piece)
        except FormError as error:
            bench.tally.reject(JOB, str(error))
            continue
        piece.asked.add(proven.draft.question.casefold())
        note = {"job": JOB, **reply.note}
        subject.turns.append(Turn(question_answer(proven, document, images), (note,)))
        bench.tally.accept(JOB)


async def _ask(subject: Subject, document: PrintedDocument, bench: Bench) -> Reply[FreeQuestions]:
    request = request_for(
        bench.settings.annotator,
        JOB,
        language=language_reference(),
        facts=facts_as_text(document),
        asked="\n".join(turn.qa.question for turn in subject.turns) or "nothing",
        count=str(bench.settings.questions.per_sample),
    )
    return await ask_form(bench.client, request, FreeQuestions, bench.settings.pace.asks)


def _document(subject: Subject) -> PrintedDocument:
    """The document made again; it must be the one that is stored."""
    try:
        document = subject.document
    except LeopardError as error:
        raise FormError("the facts are not known: no plan, or one of another version") from error
    stored = {i.pdf_ref for i in subject.sample.images if isinstance(i, VectorPage)}
    if stored != {hashlib.sha256(document.pdf).hexdigest()}:
        raise FormError("the document made again is another: other fonts or versions")
    return document


def _prove(free: FreeQuestion, piece: _Workpiece) -> Proven:
    question = " ".join(free.question.split())
    if not question or len(question) > MAX_QUESTION:
        raise FormError("the question is empty or too long")
    if _ELEMENT_ID.search(question):
        raise FormError("the question names an id")
    if question.casefold() in piece.asked:
        raise FormError("the question is asked already")
    program = read_program(free.program)
    lowered = question.casefold()
    if any(text.casefold() not in lowered for text in literals(program)):
        raise FormError("the question does not name what the program compares with")
    family = f"free-{type(program).__name__.lower()}"
    before = piece.gate.rejects.copy()
    try:
        proven = piece.gate.prove(Draft(family, question, program, "free"))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FormError("the program does not fit the facts") from error
    if proven is None:
        (reason,) = piece.gate.rejects - before
        raise FormError(reason.removeprefix("question: "))
    wanted = proven.run.answer or NOT_ANSWERABLE
    if not same_answer(free.answer, (wanted,), piece.document.facts.locale.decimal):
        raise FormError("the program has another answer than the model")
    return proven
