"""Fact bases: what a document says, before it is printed.

A fact base has sections (often one a page); a section has labelled fields and tables. Everything
that can be printed has an element id: `f3` a field's value, `t1.0.2` a cell (table, row, column),
`t1.0.k` the key of a row, `t1.h.2` a column's header, `t1.h.k` the header of the keys, `t1.h.g2`
the header above the columns from 2 on, `t1.h.t` the table's title, `s2` a section's title. Knows
nothing of layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from leopard.curation.synthesis.values import Locale, Value

View = Literal["table", "turned", "list", "chart", "mixed"]
"""How pages draw a table: with rows and columns, with its rows as columns, as entries, as a chart;
`mixed` where its parts differ."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What is known about a kind of field."""

    name: str
    labels: tuple[str, ...]
    """Labels that documents print for it; synonyms of each other."""
    value: str
    """Value spec, see `ValueMaker.make`."""
    questions: tuple[str, ...] = ()
    """Whole questions that ask for it without naming the label."""
    sentences: tuple[str, ...] = ()
    """Sentences that state it, with `{v}` for the value."""


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled value."""

    id: str
    spec: FieldSpec
    label: str
    """The label as printed, without a colon."""
    value: Value


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    label: str
    group: str = ""
    """Header above several columns, or empty."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of named rows."""

    id: str
    title: str
    what: str
    """What a row is, in the singular: `test`, `city`."""
    key_label: str
    keys: tuple[Value, ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[Value, ...], ...]
    """Values, (row, column)."""
    is_series: bool = False
    """Whether the rows are in an order of their own, such as months."""
    is_chart: bool = False
    """Whether it is meant to be drawn as a chart."""
    copy_of: str = ""
    """Id of the table whose values it repeats, but for one."""
    row_cuts: tuple[int, ...] = ()
    """Rows before which it is cut; each part stands on a page of its own."""
    column_cut: int = 0
    """Column before which it is cut, both parts with the keys; 0 for none."""
    first_row: int = 0
    """Number of its first row in the table that it is a part of."""
    first_column: int = 0
    """Number of its first column in the table that it is a part of."""

    @property
    def is_cut(self) -> bool:
        """Whether it goes on over several pages."""
        return bool(self.row_cuts or self.column_cut)

    @property
    def parts(self) -> tuple[Table, ...]:
        """The tables that pages show, under the element ids of the whole."""
        rows = [0, *self.row_cuts, len(self.keys)]
        columns = [0, self.column_cut, len(self.columns)] if self.column_cut else [0, None]
        return tuple(
            replace(
                self,
                keys=self.keys[top:bottom],
                columns=self.columns[left:right],
                cells=tuple(row[left:right] for row in self.cells[top:bottom]),
                first_row=top,
                first_column=left or 0,
            )
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        )

    def cell_id(self, row: int, column: int) -> str:
        """Element id of a cell."""
        return f"{self.id}.{row + self.first_row}.{column + self.first_column}"

    def key_id(self, row: int) -> str:
        """Element id of a row's key."""
        return f"{self.id}.{row + self.first_row}.k"

    def header_id(self, column: int) -> str:
        """Element id of a column's header; `-1` is the column of the keys."""
        return f"{self.id}.h.{'k' if column < 0 else column + self.first_column}"

    def group_id(self, column: int) -> str:
        """Element id of the header above the columns from this one on."""
        return f"{self.id}.h.g{column + self.first_column}"

    @property
    def title_id(self) -> str:
        """Element id of the title, the same for all parts."""
        return f"{self.id}.h.t"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document under one heading."""

    id: str
    title: str
    fields: tuple[Field, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class FactBase:
    """All that one document says."""

    domain: str
    kind: str
    title: str
    views: tuple[str, ...]
    """Views that suit this kind of document."""
    sections: tuple[Section, ...]
    locale: Locale

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Fields by element id."""
        return {field.id: field for section in self.sections for field in section.fields}

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Tables by id."""
        return {table.id: table for section in self.sections for table in section.tables}

    @cached_property
    def section_of(self) -> dict[str, Section]:
        """Section by the id of a field or table."""
        parts = {field.id: s for s in self.sections for field in s.fields}
        return parts | {table.id: s for s in self.sections for table in s.tables}

    def is_alone(self, table: Table) -> bool:
        """Whether a table is the only one of its section."""
        return len(self.section_of[table.id].tables) == 1

    def value(self, element: str) -> Value:
        """The value behind a field, cell or key id."""
        if element in self.fields:
            return self.fields[element].value
        table_id, row, column = element.split(".")
        table = self.tables[table_id]
        return table.keys[int(row)] if column == "k" else table.cells[int(row)][int(column)]

    def elements(self) -> Iterator[tuple[str, str]]:
        """Every element id with the text that it prints."""
        for section in self.sections:
            yield section.id, section.title
            for field in section.fields:
                yield field.id, field.value.text
            for table in section.tables:
                yield table.title_id, table.title
                yield table.header_id(-1), table.key_label
                for c, column in enumerate(table.columns):
                    yield table.header_id(c), column.label
                    yield table.group_id(c), column.group
                for r, key in enumerate(table.keys):
                    yield table.key_id(r), key.text
                    for c, cell in enumerate(table.cells[r]):
                        yield table.cell_id(r, c), cell.text
