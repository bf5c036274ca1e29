"""Questions about a printed document, each a program with a phrasing.

A drawer proposes; `prove` keeps only what the second evaluator reaches from the printed page.
Knows nothing of files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial

from leopard.curation.programs.evaluator import PrintedFacts
from leopard.curation.programs.language import (
    Absent,
    Before,
    Compare,
    Count,
    Difference,
    Disagreement,
    Exists,
    Expression,
    Extreme,
    Keys,
    Lookup,
    Mean,
    PageOf,
    PercentChange,
    Rank,
    Ratio,
    Read,
    Rows,
    Sum,
    Total,
    Trend,
    Where,
)
from leopard.curation.synthesis.asking import Asker
from leopard.curation.synthesis.domains import domains
from leopard.curation.synthesis.facts import FactBase, View
from leopard.curation.synthesis.kinship import kin_of_document, kin_of_spec
from leopard.curation.synthesis.proving import Draft
from leopard.curation.synthesis.values import ValueMaker
from leopard.curation.synthesis.wording import (
    ORDINALS,
    decimals_text,
    fitting,
    is_additive,
    is_many,
    is_noun,
    one_stop,
    plural,
)


class QuestionDrawer(Asker):
    """Proposes questions about one printed document.

    Args:
        facts: The facts.
        printed: What is printed: elements that a view left out are never asked for.
        rng: Where all choices come from.
    """

    def __init__(self, facts: FactBase, printed: PrintedFacts, rng: random.Random) -> None:
        super().__init__(facts, printed, rng)
        families: dict[str, Callable[[], Iterator[Draft]]] = {
            "lookup": self.lookups, "cell": self.cells, "reverse": self.reverses,
            "count": self.counts, "extreme": self.extremes, "compare": self.compares,
            "sum": self.sums, "difference": self.differences, "exists": self.existences,
            "list": self.lists, "trend": self.trends, "rank": self.ranks, "page": self.pages,
            "cross": self.across_sections,
            "unanswerable": self.unanswerables,
            "order": self.page_orders,
            "disagree": self.disagreements,
            "join": self.joins,
            "split": self.splits,
        }  # fmt: skip
        self.families: dict[str, Callable[[], Iterator[Draft]]] = {
            name: partial(_spelt, make) for name, make in families.items()
        }

    def lookups(self) -> Iterator[Draft]:
        """Labelled values, asked by label or by a whole question."""
        for item in self.shuffled(self.fields):
            whole = item.spec.questions
            if whole and self.is_only(item) and self.rng.random() < 0.5:
                index = self.rng.randrange(len(whole))
                question, surface = whole[index], f"whole.{item.spec.name}.{index}"
            elif self._labels[item.label.lower()] == 1 or self.is_only(item):
                if self._labels[item.label.lower()] > len(self.facts.sections):
                    continue
                is_told = item.id in self.printed.told
                if is_told and not is_noun(item.label):  # a quoted label must be printed
                    continue
                ask = self.ask_told if is_told else self.ask_field
                question, surface = ask(item.label)
            else:
                continue
            yield Draft("lookup", self.where(item.id, question), Read(item.id), surface)

    def cells(self) -> Iterator[Draft]:
        """Cells by row and column."""
        for table, row, column in self.all_cells():
            key = table.keys[row].text
            c = self.name(table.columns[column].label)
            question, surface = self.say("cell", self.view(table), c=c, r=key)
            question = self.in_table(table, question, key)
            yield Draft("cell", question, Read(table.cell_id(row, column)), surface)

    def reverses(self) -> Iterator[Draft]:
        """Rows by the value of a cell."""
        for table, row, column in self.all_cells():
            value = table.cells[row][column]
            slots = self.slots(table, column)
            question, surface = self.say("reverse", self.view(table), v=value.text, **slots)
            rows = Rows(table.id, (Where(column, "=", value.text),))
            if sum(cells[column].text == value.text for cells in table.cells) > 1:
                continue
            yield Draft("reverse", self.in_table(table, question), Keys(rows), surface)

    def counts(self) -> Iterator[Draft]:
        """How many rows there are, or meet a condition."""
        for table in self.shuffled(self.tables):
            if self.rng.random() < 0.4:
                question, surface = self.say(
                    "count", self.view(table), w=table.what, ws=plural(table.what)
                )
                yield Draft("count", self.in_table(table, question), Count(Rows(table.id)), surface)
            for column in self.shuffled(range(len(table.columns))):
                condition = self.condition(table, column)
                if condition is None:
                    continue
                where, kind, slots = condition
                question, surface = self.say(
                    f"count_{kind}", self.view(table), **self.slots(table, column), **slots
                )
                program = Count(Rows(table.id, (where,)))
                yield Draft("count", self.in_table(table, question), program, surface)

    def extremes(self) -> Iterator[Draft]:
        """Highest, lowest and n-th rows or values."""
        for table, column in self.numeric_columns():
            highest = self.rng.random() < 0.6
            want = self.rng.choice(("key", "key", "value"))
            nth = self.rng.choice((2, 3)) if self.rng.random() < 0.15 else 1
            phrasing = {
                ("key", True): "argmax", ("key", False): "argmin",
                ("value", True): "max", ("value", False): "min",
            }[want, highest]  # fmt: skip
            if nth > 1 and len(table.keys) > nth:
                phrasing, want, highest = "nth_high", "key", True
            else:
                nth = 1
            slots = self.slots(table, column) | {"o": ORDINALS[nth - 1]}
            question, surface = self.say(phrasing, self.view(table), **slots)
            program = Extreme(Rows(table.id), column, highest, want, nth)  # type: ignore[arg-type]
            yield Draft("extreme", self.in_table(table, question), program, surface)

    def compares(self) -> Iterator[Draft]:
        """Which of two rows has more or less of a column."""
        for table, column in self.numeric_columns():
            first, second = self.two_rows(table)
            greater = self.rng.random() < 0.6
            a, b = table.keys[first].text, table.keys[second].text
            phrasing = "compare_more" if greater else "compare_less"
            question, surface = self.say(
                phrasing, self.view(table), a=a, b=b, **self.slots(table, column)
            )
            program = Compare(Read(table.cell_id(first, column)),
                              Read(table.cell_id(second, column)), a, b, greater)  # fmt: skip
            yield Draft("compare", self.in_table(table, question, a, b), program, surface)

    def sums(self) -> Iterator[Draft]:
        """Sums and means of columns, and of two cells."""
        for table, column in self.numeric_columns():
            if not is_additive(table, column):
                continue
            slots = self.slots(table, column)
            kind = self.rng.choice(("sum", "total", "mean"))
            if kind == "total":
                first, second = self.two_rows(table)
                a, b = table.keys[first].text, table.keys[second].text
                question, surface = self.say("total", self.view(table), a=a, b=b, **slots)
                program: Expression = Total(Read(table.cell_id(first, column)),
                                            Read(table.cell_id(second, column)))  # fmt: skip
                yield Draft("sum", self.in_table(table, question, a, b), program, surface)
                continue
            question, surface = self.say(kind, self.view(table), **slots)
            decimals = table.cells[0][column].decimals + 1
            rows = Rows(table.id)
            program = Sum(rows, column) if kind == "sum" else Mean(rows, column, decimals)
            question = self.in_table(table, question)
            if kind == "mean":
                question = f"{question} Round to {decimals_text(decimals)}."
            yield Draft("sum", question, program, surface)

    def differences(self) -> Iterator[Draft]:
        """Differences, ratios and percent changes between two rows."""
        for table, column in self.numeric_columns():
            first, second = self.two_rows(table)
            kind = self.rng.choice(("difference",) * 4 + ("ratio", "percent"))
            if kind == "percent" and not table.is_series:
                kind = "difference"
            if kind == "ratio":  # of the larger to the smaller: 0.0 would say nothing
                first, second = sorted(
                    (first, second), key=lambda r: -(table.cells[r][column].number or 0)
                )
            a, b = table.keys[first].text, table.keys[second].text
            left, right = (Read(table.cell_id(r, column)) for r in (first, second))
            question, surface = self.say(
                kind, self.view(table), a=a, b=b, **self.slots(table, column)
            )
            question = self.in_table(table, question, a, b)
            program: Expression = Difference(left, right)
            if kind != "difference":
                program = (Ratio if kind == "ratio" else PercentChange)(left, right, 1)
                question = f"{question} Round to one decimal."
            yield Draft("difference", question, program, surface)

    def existences(self) -> Iterator[Draft]:
        """Yes or no: whether a value occurs in a column; as often yes as no."""
        for table, row, column in self.all_cells():
            value = table.cells[row][column].text
            if self.rng.random() < 0.5:
                others = {c[column].text for c in table.cells}
                pool = [c.text for t in self.tables for r in t.cells for c in r
                        if c.text not in others]  # fmt: skip
                value = self.similar(table.cells[row][column], others) or (
                    self.rng.choice(pool) if pool else value
                )
            question, surface = self.say(
                "exists", self.view(table), v=value, **self.slots(table, column)
            )
            program = Exists(Rows(table.id, (Where(column, "=", value),)))
            yield Draft("exists", self.in_table(table, question), program, surface)

    def lists(self) -> Iterator[Draft]:
        """All rows that meet a condition."""
        for table in self.shuffled(self.tables):
            for column in self.shuffled(range(len(table.columns))):
                condition = self.condition(table, column)
                if condition is None or condition[1] == "below":
                    continue
                where, kind, slots = condition
                question, surface = self.say(
                    f"list_{kind}", self.view(table), **self.slots(table, column), **slots
                )
                program = Keys(Rows(table.id, (where,)))
                yield Draft("list", self.in_table(table, question), program, surface)

    def trends(self) -> Iterator[Draft]:
        """How a series develops."""
        for table, column in self.numeric_columns():
            if table.is_series and len(table.keys) > 2:
                question, surface = self.say("trend", self.view(table), **self.slots(table, column))
                yield Draft(
                    "trend", self.in_table(table, question), Trend(table.id, column), surface
                )

    def ranks(self) -> Iterator[Draft]:
        """Place of a row by a column."""
        for table, column in self.numeric_columns():
            if len(table.keys) < 3:
                continue
            row = self.rng.randrange(len(table.keys))
            key = table.keys[row].text
            question, surface = self.say(
                "rank", self.view(table), r=key, **self.slots(table, column)
            )
            program = Rank(table.id, row, column, True)
            yield Draft("rank", self.in_table(table, question, key), program, surface)

    def pages(self) -> Iterator[Draft]:
        """On which page a part stands."""
        for section in self.shuffled(self.facts.sections):
            goes_on = any(table.is_cut for table in section.tables)  # over several pages
            is_shown = bool(section.title) and section.id in self.printed.pages
            if self.many_pages and is_shown and not goes_on:
                labels = [f.label for f in section.fields if f.id in self.printed.pages]
                labels = [label for label in labels if is_noun(label) and not is_many(label)]
                label = labels[0] if labels else "title"
                question, surface = self.say("page", s=section.title, k=label)
                yield Draft("page", question, PageOf(section.id), surface)

    def joins(self) -> Iterator[Draft]:
        """Two steps: find the row with the highest or lowest value, read another column of it."""
        for table, column in self.numeric_columns():
            others = [c for c in range(len(table.columns)) if c != column]
            if not others or len(table.keys) < 3:
                continue
            wanted, highest = self.rng.choice(others), self.rng.random() < 0.6
            slots = self.slots(table, wanted) | {"k": self.name(table.columns[column].label)}
            question, surface = self.say(
                "join_high" if highest else "join_low", self.view(table), **slots
            )
            best = Extreme(Rows(table.id), column, highest, "key")
            program = Lookup(table.id, best, wanted)
            yield Draft("join", self.in_table(table, question), program, surface)

    def page_orders(self) -> Iterator[Draft]:
        """Which of two parts comes first or last."""
        titled = [s for s in self.facts.sections if s.title and s.id in self.printed.pages]
        for first in self.shuffled(titled):
            second = self.rng.choice(titled)
            if first.id == second.id:
                continue
            earlier = self.rng.random() < 0.5
            phrasing = "order_first" if earlier else "order_last"
            question, surface = self.say(phrasing, a=first.title, b=second.title)
            program = Before(first.id, second.id, first.title, second.title, earlier)
            yield Draft("order", question, program, surface)

    def disagreements(self) -> Iterator[Draft]:
        """Which row differs between two prints of a table."""
        for left, right in self.shuffled(self.pairs):
            if not (self.is_named(left) and self.is_named(right)):
                continue
            slots = self.slots(left, 0)
            question, surface = self.say("disagree", **slots, a=left.title, b=right.title)
            question = self.where(left.id, question) if len(self.facts.sections) > 1 else question
            yield Draft("disagree", question, Disagreement(left.id, right.id, 0), surface)

    def splits(self) -> Iterator[Draft]:
        """Questions for which one page of a table that goes on is too little."""
        only = copy(self)
        only.tables = [t for t in self.tables if t.is_cut]
        sources = [only.extremes, only.sums, only.counts, only.differences, only.compares,
                   only.ranks, only.trends, only.joins]  # fmt: skip
        running = [make() for make in self.shuffled(sources)] if only.tables else []
        while running:
            for source in list(running):
                draft = next(source, None)
                if draft is None:
                    running.remove(source)
                    continue
                question, surface = draft.question, draft.surface
                if self.rng.random() < 0.5:
                    index, text = self.rng.choice(fitting("split", self._view_of_cut()))
                    question = text.replace("{q}", question)
                    surface = f"{surface}+split.{index}"
                yield replace(draft, family="split", question=question, surface=surface)

    def _view_of_cut(self) -> View:
        """How the pages draw the tables that go on; neutral where they differ."""
        views = {self.view(table) for table in self.tables if table.is_cut}
        return views.pop() if len(views) == 1 else "mixed"

    def across_sections(self) -> Iterator[Draft]:
        """The same field in two parts, compared or subtracted."""
        if len(self.facts.sections) < 2:
            return
        first, second = self.rng.sample(self.facts.sections, 2)
        pairs = [
            (f, g)
            for f in self.numeric_fields(first)
            for g in self.numeric_fields(second)
            if f.spec.name == g.spec.name and f.spec.name != "generic"
        ]
        for left, right in self.shuffled(pairs):
            slots = {"k": self.name(left.label), "a": first.title, "b": second.title}
            if self.rng.random() < 0.5:
                question, surface = self.say("field_more", **slots)
                program: Expression = Compare(
                    Read(left.id), Read(right.id), first.title, second.title, True
                )
                yield Draft("compare", question, program, surface)
            else:
                question, surface = self.say("field_difference", **slots)
                yield Draft(
                    "difference", question, Difference(Read(left.id), Read(right.id)), surface
                )

    def unanswerables(self) -> Iterator[Draft]:
        """Fields or rows that are on no page."""
        maker = ValueMaker(self.rng, self.facts.locale)
        yield from self._absent_fields()
        for table in self.shuffled(self.tables):
            key = self.similar(table.keys[0], set()) or maker.make("person").text
            column = self.rng.randrange(len(table.columns))
            question, surface = self.say(
                "cell", self.view(table), c=self.name(table.columns[column].label), r=key
            )
            yield Draft("unanswerable", question, Absent((key,)), surface)

    def _absent_fields(self) -> Iterator[Draft]:
        domain = domains().get(self.facts.domain) or self.rng.choice([*domains().values()])
        names = {f.spec.name for f in self.facts.fields.values()}
        printed = kin_of_document(self.facts)
        missing = [s for s in domain.fields.values()
                   if s.name not in names and not printed & kin_of_spec(s)]  # fmt: skip
        for spec in self.shuffled(missing)[:4]:
            # By label only: a whole question may be answered by what has another label.
            question, surface = self.ask_field(self.rng.choice(spec.labels))
            yield Draft("unanswerable", question, Absent(spec.labels), surface)


def _spelt(make: Callable[[], Iterator[Draft]]) -> Iterator[Draft]:
    """Drafts whose questions end once, also behind `No.` and `temp.`."""
    for draft in make():
        yield replace(draft, question=one_stop(draft.question))
