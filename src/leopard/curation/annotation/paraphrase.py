"""Job: another wording of a question, for the same answer.

Accepted only with the same numbers, names and quoted texts, without the answer in it, and if a
second request finds that both ask for the same. Options of a multiple choice stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import replace

from leopard.curation.annotation.answers import lost_or_new_numbers
from leopard.curation.annotation.bench import Bench
from leopard.curation.annotation.prompts import cool, request_for
from leopard.curation.annotation.replies import Form, FormError, ask_form
from leopard.curation.annotation.subject import Subject, Turn
from leopard.schema.samples import QuestionAnswer

JOB = "paraphrase"
_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]+)[\"“”«»]")


class Wording(Form):
    """A question in other words."""

    question: str


class Sameness(Form):
    """Whether two questions ask for the same."""

    same: bool


async def paraphrase(subject: Subject, bench: Bench) -> None:
    """Reword every question of a sample, as far as the new wording is proven."""
    for index, turn in enumerate(subject.turns):
        stem, options = split_options(turn.qa)
        request = request_for(
            bench.settings.annotator, JOB, question=stem, answer_type=turn.qa.answer_type
        )
        try:
            reply = await ask_form(bench.client, request, Wording, bench.settings.pace.asks)
            wording = " ".join(reply.form.question.split())
            problem = changed(stem, wording, turn.qa)
            if not problem and bench.settings.paraphrase.check_meaning:
                problem = await _other_meaning(stem, wording, bench)
        except FormError as error:
            problem = str(error)
        if problem:
            bench.tally.reject(JOB, problem)
            continue
        note = {"job": JOB, "was": turn.qa.question, **reply.note}
        qa = replace(turn.qa, question=wording + options)
        subject.turns[index] = Turn(qa, (*turn.notes, note), turn.original or turn.qa)
        bench.tally.accept(JOB)


def split_options(qa: QuestionAnswer) -> tuple[str, str]:
    """A question without its options, and the options with what follows."""
    if not qa.choices:
        return qa.question, ""
    stem, separator, options = qa.question.partition("\nA. ")
    return stem, separator + options


def changed(old: str, new: str, qa: QuestionAnswer) -> str:
    """In what way another wording asks for something else; empty if in none that can be seen."""
    if not new or len(new) > 3 * len(old) + 40:
        return "empty or too long"
    if new.casefold() == " ".join(old.split()).casefold():
        return "not another wording"
    if lost_or_new_numbers(old, new):
        return "other numbers"
    lowered = new.casefold()
    if any(name.casefold() not in lowered for name in names_in(old)):
        return "a name is lost"
    answer = qa.answer.casefold()
    if qa.answer_type not in ("boolean", "choice") and _holds(lowered, answer):
        return "" if _holds(old.casefold(), answer) else "it gives the answer away"
    return ""


def names_in(question: str) -> set[str]:
    """Words of a question that stand for one thing: quoted, capitalised inside, with digits."""
    found = set(_QUOTED.findall(question))
    words = question.split()
    for previous, word in zip([".", *words], words, strict=False):
        bare = word.strip(".,;:?!()[]'\"“”«»").removesuffix("'s").removesuffix("\u2019s")
        starts = previous.endswith((".", "?", "!", ":"))
        is_name = bare[:1].isupper() and not starts and bare not in ("I",)
        if bare and (is_name or any(c.isdigit() for c in bare) or bare[1:] != bare[1:].lower()):
            found.add(bare)
    return found


async def _other_meaning(old: str, new: str, bench: Bench) -> str:
    judge = bench.settings.judge_model or bench.settings.annotator
    request = request_for(cool(judge), "same", first=old, second=new)
    reply = await ask_form(bench.client, request, Sameness, bench.settings.pace.asks)
    return "" if reply.form.same else "it asks for something else"


def _holds(text: str, part: str) -> bool:
    return bool(part) and re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
