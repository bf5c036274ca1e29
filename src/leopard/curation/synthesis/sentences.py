"""Answers as full sentences, where a program says enough to word one.

The short answer stands in the sentence as it is and is kept as an alias, so that it can be proven
again. Knows nothing of how questions are drawn.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import cast

from leopard.curation.programs.evaluator import PrintedFacts
from leopard.curation.programs.language import (
    KEY,
    Before,
    Compare,
    Count,
    Difference,
    Disagreement,
    Expression,
    Extreme,
    Lookup,
    Mean,
    PageOf,
    PercentChange,
    Rank,
    Ratio,
    Read,
    Sum,
    Total,
    Trend,
)
from leopard.curation.synthesis.facts import FactBase, View
from leopard.curation.synthesis.wording import (
    NOUNS,
    ORDINALS,
    is_counted,
    is_many,
    is_noun,
    one_stop,
    plural,
    worded,
)
from leopard.schema.samples import QuestionAnswer

SENTENCE_ENDINGS = (
    "Answer in a full sentence.",
    "Give the answer as a sentence.",
    "Please reply with a complete sentence.",
    "Write the answer as one sentence.",
    "Respond in a sentence.",
)
Frame = tuple[str, str]
"""What stands before and after the short answer."""


def as_sentence(
    rng: random.Random,
    qa: QuestionAnswer,
    program: Expression,
    facts: FactBase,
    printed: PrintedFacts,
) -> QuestionAnswer:
    """The question with a sentence for an answer; unchanged where none is known.

    Args:
        rng: Where the wording comes from.
        qa: A question with a short answer.
        program: How its answer follows.
        facts: What the program is about.
        printed: How pages show it.
    """
    frames = _frames(program, facts, printed)
    if qa.answer_type not in ("text", "number", "date") or not frames:
        return qa
    before, after = rng.choice(frames)
    # "Kim Ltd." ends a sentence as it is.
    end = after[1:] if qa.answer.endswith(".") and after.startswith(".") else after
    return replace(
        qa,
        question=f"{qa.question} {rng.choice(SENTENCE_ENDINGS)}",
        answer=one_stop(f"{before}{qa.answer}{end}"),
        answer_type="sentence",
        aliases=(qa.answer,),
    )


def says(sentence: str, short: str) -> bool:
    """Whether a sentence states a short answer: whole, and not as a part of another number."""
    whole = rf"(?<![\w.,-]){re.escape(short)}(?!\w|[.,]\d)"
    return sentence.endswith(".") and re.search(whole, sentence) is not None


def _frames(program: Expression, facts: FactBase, printed: PrintedFacts) -> list[Frame]:
    if isinstance(program, Read):
        return _of_element(program.element, facts, printed)
    if isinstance(program, Count):
        things = plural(facts.tables[program.rows.table].what)
        such = "such " if program.rows.where else ""
        return [(f"The number of {such}{things} is ", "."), ("The count is ", ".")]
    if isinstance(program, Sum | Mean):
        column = _column(facts, program.rows.table, program.column)
        word = "total" if isinstance(program, Sum) else "average"
        if is_counted(column):
            return [(f"The {word} number of {column} is ", "."), (f"The {word} comes to ", ".")]
        return [(f"The {word} of {column} is ", "."), (f"The {word} comes to ", ".")]
    if isinstance(program, Extreme):
        return _of_extreme(program, facts)
    if isinstance(program, Rank):
        key = facts.tables[program.table].keys[program.row].text
        column = _column(facts, program.table, program.column)
        return [(f"By {column}, {key} is number ", ".")]
    if isinstance(program, Lookup):
        column = _column(facts, program.table, program.column)
        return [(f"The {_noun(program.table, printed)} gives {column} there as ", ".")]
    if isinstance(program, Before):
        return [("", " comes first." if program.earlier else " comes last.")]
    if isinstance(program, Difference | Compare):
        return _of_pair(program, facts)
    return _FIXED.get(type(program), [])


_FIXED: dict[type, list[Frame]] = {
    Total: [("Together they make ", "."), ("The two add up to ", ".")],
    Ratio: [("The ratio is ", ".")],
    PercentChange: [("The change is ", ".")],
    Trend: [("The trend is ", "."), ("The values are ", ".")],
    PageOf: [("It is on page ", "."), ("That stands on page ", ".")],
    Disagreement: [("The two disagree on ", "."), ("The values differ for ", ".")],
}


def _of_element(element: str, facts: FactBase, printed: PrintedFacts) -> list[Frame]:
    if element in facts.fields:
        label = facts.fields[element].label
        if not is_noun(label) and element in printed.told:  # there is no such label
            return []
        if not is_noun(label) or is_many(label):
            return [(f'The entry "{label}" says ', "."), (f'Under "{label}" it says ', ".")]
        label = _spoken(label)
        return [(f"The {label} is ", "."), (f"According to the document, the {label} is ", ".")]
    table_id, row, column = element.split(".")
    key = facts.tables[table_id].keys[int(row)].text
    name = _column(facts, table_id, int(column))
    noun = _noun(table_id, printed)
    return [(f"Under {name}, {key} has ", "."), (f"For {key}, the {noun} gives {name} as ", ".")]


def _noun(table: str, printed: PrintedFacts) -> str:
    """What people call a table as its pages draw it."""
    return NOUNS[cast(View, printed.views.get(table, "table"))]


def _of_extreme(program: Extreme, facts: FactBase) -> list[Frame]:
    column = _column(facts, program.rows.table, program.column)
    end = "highest" if program.highest else "lowest"
    place = "" if program.nth == 1 else f"{ORDINALS[program.nth - 1]} "
    if program.want == "key":
        return [("", worded(f" has the {place}{end} {{c}}.", c=column))]
    return [(f"The {place}{end} value of {column} is ", ".")]


def _of_pair(program: Difference | Compare, facts: FactBase) -> list[Frame]:
    if not isinstance(program.left, Read):
        return []
    is_date = facts.value(program.left.element).kind == "date"
    if isinstance(program, Compare):
        word = "higher" if program.greater else "lower"
        return [] if is_date else [("", f" has the {word} value.")]
    if is_date:
        return [("They lie ", " days apart.")]
    return [("The difference is ", "."), ("They differ by ", ".")]


def _column(facts: FactBase, table: str, column: int) -> str:
    found = facts.tables[table]
    return _spoken(found.key_label if column == KEY else found.columns[column].label)


def _spoken(label: str) -> str:
    """A label within a sentence; quoted where it names no thing."""
    if not is_noun(label):
        return f'"{label}"'
    return label if any(c.isupper() for c in label[1:]) else label[0].lower() + label[1:]
