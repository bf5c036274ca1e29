"""Proof of questions: only what the printed page bears out is kept.

Knows nothing of how questions are worded.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from leopard.curation.programs.evaluator import PrintedFacts, UnprovenError, agrees, evaluate
from leopard.curation.programs.interpreter import Interpreter, Run, VoidQuestionError
from leopard.curation.programs.language import (
    Expression,
    to_json,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that is not yet proven."""

    family: str
    question: str
    program: Expression
    surface: str
    """Id of the phrasing: `list.index`."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A question whose answer the printed page bears out."""

    draft: Draft
    run: Run


@dataclass(slots=True)
class Gate:
    """Proves drafts; counts what it turned down and why."""

    interpreter: Interpreter
    printed: PrintedFacts
    max_answer: int = 10_000
    """Longest answer, in characters."""
    rejects: Counter[str] = field(default_factory=Counter)

    def prove(self, draft: Draft) -> Proven | None:
        """The draft with its answer, or None."""
        reason, run = self._judge(draft)
        if run is None:
            self.rejects[f"question: {reason}"] += 1
            return None
        return Proven(draft, run)

    def _judge(self, draft: Draft) -> tuple[str, Run | None]:
        try:
            run = self.interpreter.run(draft.program)
            if run.kind == "number" and not prints_like(run.answer, self.printed):
                return "no page prints numbers so", None
            if len(run.answer) > self.max_answer:
                return "answer too long", None
            if any(element not in self.printed.texts for element in run.evidence):
                return "evidence is not printed", None
            if draft.family == "split" and not self._is_spread(run):
                return "one page is enough", None
            result = evaluate(to_json(draft.program), self.printed)
        except VoidQuestionError as error:
            return str(error), None
        except UnprovenError:
            return "not borne out by the page", None
        if not agrees(run.answer, result, self.printed):
            return "second evaluator disagrees", None
        return "", run

    def _is_spread(self, run: Run) -> bool:
        """Whether the evidence stands on several pages."""
        return len({self.printed.pages[element] for element in run.evidence}) > 1


def prints_like(answer: str, printed: PrintedFacts) -> bool:
    """Whether the pages print the separators of a number, or they are the usual English ones.

    Readers cannot know that a document would write 6,0 where its pages show whole numbers only.
    """
    decimal, thousands = str(printed.locale["decimal"]), str(printed.locale["thousands"])
    forms = {rf"\d{re.escape(decimal)}\d{{1,2}}(?!\d)": decimal != "."}
    if thousands:
        forms[rf"\d{re.escape(thousands)}\d{{3}}(?!\d)"] = thousands != ","
    return all(
        not is_rare or not re.search(form, answer) or re.search(form, printed.full_text)
        for form, is_rare in forms.items()
    )
