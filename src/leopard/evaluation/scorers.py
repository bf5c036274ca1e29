"""Scorers that several tasks share: metrics bound to the fields of a sample.

Official scorers see the parsed answer; those of the published runner see the raw response, which
it parses itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leopard.evaluation.answers import Answer
from leopard.evaluation.metrics import anls, mmmu, webbench
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.task import Outcome, Scorer

LetterParser = Callable[[str, Mapping[str, str]], str | None]


def _open(value: float | bool, answer: Answer) -> Outcome:
    return Outcome(float(value), unparsed=not answer.text)


def anls_rrc(sample: EvalSample, answer: Answer) -> Outcome:
    """ANLS in the form of the reading competitions."""
    return _open(anls.anls_rrc(sample.answers, answer.text), answer)


def anls_strict(sample: EvalSample, answer: Answer) -> Outcome:
    """ANLS where a similarity of exactly 0.5 scores 0."""
    return _open(anls.anls_strict(sample.answers, answer.text), answer)


def exact(sample: EvalSample, answer: Answer) -> Outcome:
    """Equality with a gold answer, without regard to case, outer blanks and double blanks."""
    text = " ".join(answer.text.lower().split())
    golds = (" ".join(gold.lower().split()) for gold in sample.answers)
    return _open(text in golds, answer)


def leopard_anls(sample: EvalSample, answer: Answer) -> Outcome:
    """ANLS as the published runner computes it."""
    return _open(anls.leopard_anls(sample.answers, answer.raw), answer)


def leopard_open(sample: EvalSample, answer: Answer) -> Outcome:
    """Containment, the "accuracy" of the published runner."""
    return _open(mmmu.leopard_open_correct(list(sample.answers), answer.raw), answer)


def leopard_caption(sample: EvalSample, answer: Answer) -> Outcome:
    """ROUGE-L as the published runner computes it."""
    return _open(webbench.leopard_rouge_caption(sample.answers[0], answer.raw), answer)


def read_letter(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of an answer: the official MMMU rule, then common forms it does not know.

    Those are "B)", "B:", "**B**", a lone lower-case letter, and an answer that is the text of
    exactly one option.
    """
    letter = mmmu.mmmu_parse_mc(text, choices)
    if letter is not None:
        return letter
    bare = text.strip().strip("*_[]()\"'`.:").strip()
    if bare.upper() in choices and len(bare) == 1:
        return bare.upper()
    head = bare[:2]
    if len(head) == 2 and head[0] in choices and head[1] in ").:":
        return head[0]
    meant = [key for key, option in choices.items() if option.strip().lower() == bare.lower()]
    return meant[0] if len(meant) == 1 else None


def choice(parse: LetterParser = read_letter) -> Scorer:
    """A scorer of letters; no letter is unparsed and wrong."""

    def score(sample: EvalSample, answer: Answer) -> Outcome:
        letter = parse(answer.text, sample.choices)
        return Outcome(float(letter in sample.answers), unparsed=letter is None)

    return score


def leopard_choice(sample: EvalSample, answer: Answer) -> Outcome:
    """Letters by the rule of the published runner, without its random letter."""
    letter = mmmu.mmmu_parse_mc(answer.raw, sample.choices)
    return Outcome(float(letter in sample.answers), unparsed=letter is None)


def by_type(choice_scorer: Scorer, open_scorer: Scorer) -> Scorer:
    """One scorer for multiple-choice questions, another for all others."""

    def score(sample: EvalSample, answer: Answer) -> Outcome:
        chosen = choice_scorer if sample.question_type == "multiple-choice" else open_scorer
        return chosen(sample, answer)

    return score


leopard_accuracy = by_type(leopard_choice, leopard_open)
"""The "accuracy" of the published runner for either type of question."""


def options_text(options: tuple[str, ...] | list[str]) -> str:
    """Options as the published evaluation words them."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    listed = " ".join(f"{letters[i]}. {option}" for i, option in enumerate(options))
    return f"\nOptions: {listed}\n"
