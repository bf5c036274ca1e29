"""What all questions about a document need: words, places, and the rows and columns to ask about.

Knows nothing of question families.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from leopard.curation.programs.evaluator import PrintedFacts
from leopard.curation.programs.language import Where
from leopard.curation.synthesis.facts import FactBase, Field, Section, Table, View
from leopard.curation.synthesis.values import Value, ValueMaker
from leopard.curation.synthesis.wording import (
    NOUNS,
    filled,
    fitting,
    is_counted,
    is_many,
    is_measure,
    is_noun,
    names_a_number,
    ordinal,
    plural,
    print_like,
    round_number,
)

T = TypeVar("T")


class Asker:
    """Words questions about one printed document.

    Args:
        facts: The facts.
        printed: What is printed: elements that a view left out are never asked for.
        rng: Where all choices come from.
    """

    def __init__(self, facts: FactBase, printed: PrintedFacts, rng: random.Random) -> None:
        self.facts, self.printed, self.rng = facts, printed, rng
        self.fields = [f for f in facts.fields.values() if f.id in printed.texts]
        shown = [t for t in facts.tables.values() if self.is_printed(t)]
        self.shown = {t.id: t for t in shown}
        self.pairs = [(facts.tables[t.copy_of], t) for t in shown
                      if t.copy_of in self.shown]  # fmt: skip
        copied = {t.id for t in shown if t.copy_of} | {t.copy_of for t in shown}
        # Of a table that is printed twice with different values, no single value can be asked, nor
        # of one among several that has no printed title to name it by.
        self.tables = [t for t in shown if t.id not in copied
                       and (not self.others(t) or self.is_named(t))]  # fmt: skip
        self.many_pages = max(printed.pages.values(), default=1) > 1
        labels = Counter(f.label.lower() for f in self.fields)
        labels.update(c.label.lower() for t in shown for c in t.columns)
        self._labels = labels
        self._specs = Counter(f.spec.name for f in self.fields)
        self._keys = Counter(k.text.lower() for t in shown for k in t.keys)

    def say(self, phrasing: str, view: View = "table", /, **slots: str) -> tuple[str, str]:
        """A question from one of the phrasings that fit, and the id of the phrasing."""
        labels = [slots[name] for name in ("c", "k") if name in slots]
        many, counted = any(map(is_many, labels)), any(map(is_counted, labels))
        found = fitting(phrasing, view, is_many=many, is_counted=counted)
        index, text = self.rng.choice(found)
        return filled(text, **slots), f"{phrasing}.{index}"

    def view(self, table: Table) -> View:
        """How the pages draw a table."""
        return cast(View, self.printed.views.get(table.id, "table"))

    def name(self, label: str) -> str:
        """A label as it stands in a question: in lower case half of the time, else quoted."""
        if not is_noun(label):
            return f'"{label}"'
        is_fixed = label == "No." or any(c.isupper() for c in label[1:])
        if is_fixed or self.rng.random() < 0.5:
            return label
        return label[0].lower() + label[1:]

    def ask_field(self, label: str) -> tuple[str, str]:
        """A question for a labelled value, and the id of its phrasing."""
        if is_noun(label) and not is_many(label):
            return self.say("field", k=self.name(label))
        return self.say("field_quoted", k=label)

    def ask_told(self, label: str) -> tuple[str, str]:
        """A question for a value in a sentence: nothing is printed next to it."""
        index, text = self.rng.choice(fitting("field", is_many=is_many(label), is_told=True))
        return filled(text, k=self.name(label)), f"field.{index}"

    def where(self, element: str, question: str) -> str:
        """The question with the place it is about, when a document has several parts."""
        section = self.facts.section_of.get(element)
        if section is None or len(self.facts.sections) == 1:
            return question
        page = self.printed.pages.get(element)
        page_is_its_own = (
            page is not None
            and sum(self.printed.pages.get(s.id) == page for s in self.facts.sections) == 1
        )
        if self.many_pages and page_is_its_own and self.rng.random() < 0.3:
            places = [f"on page {page}", f"on the {ordinal(page)} page", f"in image {page}"]
        else:
            places = [
                f"for {section.title}",
                f"under {section.title}",
            ]
            if not re.search(r"\bparts?\b", question):  # spare parts
                places.append(f"in the part {section.title}")
        place = self.rng.choice(places)
        has_clauses = re.search(r"[,:(]|[.?] ", question)  # the place would belong to the last
        if has_clauses or self.rng.random() < 0.5:
            return f"{place[0].upper()}{place[1:]}: {question}"
        return f"{question[:-1]} {place}{question[-1]}"

    def is_printed(self, table: Table) -> bool:
        """Whether every cell of a table is printed."""
        cells = [table.cell_id(r, c) for r in range(len(table.keys))
                 for c in range(len(table.columns))]  # fmt: skip
        return all(cell in self.printed.texts for cell in cells)

    def others(self, table: Table) -> list[Table]:
        """The other printed tables of its section."""
        section = self.facts.section_of[table.id]
        return [t for t in section.tables if t.id != table.id and t.id in self.shown]

    def is_named(self, table: Table) -> bool:
        """Whether every page that shows some of a table prints its title, and no other has it."""
        if any(t.title.casefold() == table.title.casefold() for t in self.others(table)):
            return False
        shown_on = self.printed.shown_on
        cells = [table.cell_id(r, c) for r in range(len(table.keys))
                 for c in range(len(table.columns))]  # fmt: skip
        pages = frozenset[int]().union(*(shown_on.get(cell, frozenset()) for cell in cells))
        return pages <= shown_on.get(table.title_id, frozenset())

    def is_only(self, item: Field) -> bool:
        """Whether the field is the only one of its kind in its part."""
        section = self.facts.section_of[item.id]
        same = [f for f in section.fields if f.spec.name == item.spec.name
                or f.label.lower() == item.label.lower()]  # fmt: skip
        columns = {c.label.lower() for t in self.shown.values() for c in t.columns}
        return len(same) == 1 and item.label.lower() not in columns

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        return self.rng.sample([*items], len(items))

    def all_cells(self) -> Iterator[tuple[Table, int, int]]:
        """Every cell of the tables that can be asked about, in random order: table, row, column."""
        places = [(t, r, c) for t in self.tables for r in range(len(t.keys))
                  for c in range(len(t.columns))]  # fmt: skip
        yield from self.shuffled(places)

    def numeric_columns(self) -> Iterator[tuple[Table, int]]:
        """Columns that can be compared and computed with, in random order: table, column."""
        columns = [(t, c) for t in self.tables for c in range(len(t.columns)) if len(t.keys) > 1
                   and all(is_measure(cells[c]) for cells in t.cells)
                   and not names_a_number(t.columns[c].label)]  # fmt: skip
        yield from self.shuffled(columns)

    def numeric_fields(self, section: Section) -> list[Field]:
        """Printed fields of a part that can be compared and computed with."""
        return [f for f in section.fields if f.id in self.printed.texts and is_measure(f.value)]

    def slots(self, table: Table, column: int) -> dict[str, str]:
        """What phrasings say of a column: its name, what a row is, the title of the table."""
        return {
            "c": self.name(table.columns[column].label),
            "w": table.what,
            "ws": plural(table.what),
            "t": table.title,
        }

    def two_rows(self, table: Table) -> tuple[int, int]:
        """Two different rows; of a series in order."""
        if table.is_series:
            first, second = sorted(self.rng.sample(range(len(table.keys)), 2))
        else:
            first, second = self.rng.sample(range(len(table.keys)), 2)
        return first, second

    def in_table(self, table: Table, question: str, *keys: str) -> str:
        """The question with its table named where another table could be meant."""
        if len(self.facts.sections) > 1:
            question = self.where(table.id, question)
        if not self.others(table) or (keys and all(self._keys[k.lower()] == 1 for k in keys)):
            return question
        noun = NOUNS[self.view(table)]
        if self.rng.random() < 0.5:
            return f"In the {noun} {table.title}: {question}"
        return f"{question[:-1]} ({noun} {table.title}){question[-1]}"

    def condition(self, table: Table, column: int) -> tuple[Where, str, dict[str, str]] | None:
        """A condition that some rows meet: the clause, its kind, and its slots."""
        values = [cells[column] for cells in table.cells]
        is_name = names_a_number(table.columns[column].label)
        if not is_name and all(is_measure(v) and v.kind != "time" for v in values):
            above = self.rng.random() < 0.6
            pivot = self.rng.choice(values)
            bound = round_number(pivot, self.rng)
            slots = {"n": print_like(pivot, bound, self.facts.locale)}
            where = Where(column, ">" if above else "<", str(bound))
            return where, "above" if above else "below", slots
        texts = Counter(v.text for v in values)
        if len(texts) == len(values):
            return None
        text = self.rng.choice(list(texts))
        return Where(column, "=", text), "equal", {"v": text}

    def similar(self, value: Value, taken: set[str]) -> str | None:
        """A value of the same kind that is not taken and printed nowhere."""
        maker = ValueMaker(self.rng, self.facts.locale)
        spec = {"person": "person", "place": "city", "money": "money 1 900", "percent": "pct 1 99",
                "number": "int 1 999", "date": "date", "time": "time"}.get(value.kind)  # fmt: skip
        for _ in range(5):
            text = maker.make(spec).text if spec else maker.make("words 1 2").text
            if text not in taken and text.lower() not in self.printed.full_text.lower():
                return text
        return None
