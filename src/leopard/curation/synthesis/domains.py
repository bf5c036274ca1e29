"""Domains: kinds of documents and the facts they carry, read from the TOML files of this package.

A domain file lists fields (labels, value, questions, sentences), tables (keys, columns) and kinds
of documents (which fields and tables go together, which views suit). `draw_facts` fills one kind
with values. Knows nothing of layout.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from leopard.curation.synthesis.charts import is_chartable
from leopard.curation.synthesis.facts import Column, FactBase, Field, FieldSpec, Section, Table
from leopard.curation.synthesis.values import MONTHS, Locale, Value, ValueMaker, word_list

GENERIC = "generic"
GENERIC_VALUES = (
    "person", "company", "city", "address", "date", "date", "email", "phone", "url", "int 1 99",
    "int 100 99999", "dec 1 999 1", "money 1 9000", "money 100 900000", "pct 1 99", "time",
    "code AA-9999|999999|A99|9999-99|AAA999", "code X99X9X|99/999|A-99-99", "words 1 1",
    "words 1 2", "words 2 3", "words 2 4", "year", "measure 1 900 1 kg", "country",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KindSpec:
    """A kind of document within a domain."""

    name: str
    titles: tuple[str, ...]
    fields: tuple[str, ...]
    tables: tuple[str, ...]
    views: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain file."""

    name: str
    fields: Mapping[str, FieldSpec]
    tables: Mapping[str, Mapping[str, Any]]
    kinds: tuple[KindSpec, ...]


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much goes into a document."""

    fields: int
    """Most fields per section."""
    rows: int
    """Most rows of a table."""
    columns: int
    """Most columns of a table besides the keys."""
    tables: int
    """Most tables per section."""
    sections: int = 1
    chart_share: float = 0.0
    """Share of tables meant as charts: numbers of one kind only."""
    copy_share: float = 0.0
    """Share of parts with a table that is repeated with one value altered."""
    split_share: float = 0.0
    """Share of suitable tables that go on over several pages."""


@cache
def domains() -> Mapping[str, Domain]:
    """All domains of the package by name."""
    folder = resources.files("leopard.curation").joinpath("data/domains")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    found = [_read_domain(tomllib.loads(file.read_text("utf-8"))) for file in files]
    return {domain.name: domain for domain in found}


def draw_facts(
    rng: random.Random, domain: str, locale: Locale, amounts: Amounts, view: str | None = None
) -> FactBase:
    """A fact base of a domain (or `generic`: labels and values without a story).

    Args:
        rng: Where all choices come from.
        domain: A name in `domains()`, or `generic`.
        locale: How values are printed.
        amounts: How much to draw.
        view: Only kinds of documents that suit this view, if given.
    """
    if domain == GENERIC:
        return _Drawer(rng, locale, amounts).generic()
    spec = domains()[domain]
    kinds = [kind for kind in spec.kinds if view is None or view in kind.views] or [*spec.kinds]
    if not amounts.fields:
        bare = [k for k in kinds if k.tables and not _has_items(spec, k)]
        kinds = bare or kinds
    kind = rng.choices(kinds, [k.weight for k in kinds])[0]
    return _Drawer(rng, locale, amounts).facts(spec, kind)


def _has_items(domain: Domain, kind: KindSpec) -> bool:
    """Whether a kind of document bills things, so that sums go with it."""
    return any("items" in domain.tables[name] for name in kind.tables)


class _Drawer:
    def __init__(self, rng: random.Random, locale: Locale, amounts: Amounts) -> None:
        self.rng, self.locale, self.amounts = rng, locale, amounts
        self.maker = ValueMaker(rng, locale)
        self.num_fields = self.num_tables = 0

    def facts(self, domain: Domain, kind: KindSpec) -> FactBase:
        names = self._section_titles({domain.fields[name].value for name in kind.fields})
        order = _pick_in_order(self.rng, kind.fields, self._field_count(kind))
        labels = {name: self.rng.choice(domain.fields[name].labels) for name in kind.fields}
        sections = []
        for index, title in enumerate(names):
            fields = [self._field(domain.fields[n], labels[n]) for n in order]
            tables = self._tables(domain, kind)
            tables += self._altered_copies(tables)
            tables = self._cut(tables)
            fields += self._sums(tables, domain, kind)
            fields = _unique_labels(fields)
            sections.append(Section(f"s{index}", title, tuple(fields), tuple(tables)))
        title = self.rng.choice(kind.titles)
        return FactBase(domain.name, kind.name, title, kind.views, tuple(sections), self.locale)

    def generic(self) -> FactBase:
        sections = []
        for index, title in enumerate(self._section_titles(set())):
            fields = [self._generic_field() for _ in range(self.amounts.fields)]
            low = int(not self.amounts.fields)  # a part shows something
            count = self.rng.randint(low, max(low, self.amounts.tables))
            tables = self._cut([self._generic_table() for _ in range(count)])
            sections.append(
                Section(f"s{index}", title, tuple(_unique_labels(fields)), tuple(tables))
            )
        title = self.maker.make("words 1 3").text
        views = ("form", "card", "report", "memo", "label", "slides", "kpi")
        return FactBase(GENERIC, GENERIC, title, views, tuple(sections), self.locale)

    def _section_titles(self, specs: set[str]) -> list[str]:
        """Titles that could not be taken for the value of a field with one of these specs."""
        count = self.amounts.sections
        if count == 1:
            return [""]
        spec = self.rng.choice(
            [s for s in ("city", _UNITS, "person", "company", "country") if s not in specs]
        )
        names = [value.text for value in self.maker.distinct(spec, count)]
        return names if len(names) == count else [f"Part {i + 1}" for i in range(count)]

    def _field_count(self, kind: KindSpec) -> int:
        most = min(self.amounts.fields, len(kind.fields))
        return self.rng.randint(min(most, max(2, most * 2 // 3)), most)

    def _field(self, spec: FieldSpec, label: str) -> Field:
        self.num_fields += 1
        return Field(f"f{self.num_fields - 1}", spec, label, self.maker.make(spec.value))

    def _generic_field(self) -> Field:
        if self.rng.random() < 0.55:
            label = self.rng.choice(word_list("labels"))
        else:
            label = self.maker.make("words 1 3").text
        spec = FieldSpec("generic", (label,), self.rng.choice(GENERIC_VALUES))
        return self._field(spec, label)

    def _tables(self, domain: Domain, kind: KindSpec) -> list[Table]:
        if not kind.tables or self.amounts.tables < 1:
            return []
        must_have = _has_items(domain, kind) or not self.amounts.fields
        low = 1 if must_have or self.rng.random() < 0.7 else 0
        count = self.rng.randint(low, max(low, min(self.amounts.tables, len(kind.tables))))
        chosen = self.rng.sample(kind.tables, count)
        return [self._table(domain.tables[name]) for name in chosen]

    def _next_table_id(self) -> str:
        self.num_tables += 1
        return f"t{self.num_tables - 1}"

    def _keys(self, spec: str, count: int) -> tuple[list[Value], bool]:
        rng = self.rng
        if spec == "months":
            start = rng.randint(0, 12 - count) if count < 12 else 0
            short = rng.random() < 0.4
            names = MONTHS[start : start + count]
            return [Value("text", n[:3] if short else n) for n in names], True
        if spec == "quarters":
            year = self.maker.today.year
            shape = rng.choice(("Q{q} {y}", "Q{q}/{y}", "{y} Q{q}"))
            pairs = [(q, y) for y in range(year - 2, year + 1) for q in range(1, 5)]
            texts = [shape.format(q=q, y=y) for q, y in pairs[-count:]]
            return [Value("text", text) for text in texts], True
        if spec.startswith("series "):
            names = spec.removeprefix("series ").split("|")
            return [Value("text", n) for n in names[: max(count, 4)]], True
        return self.maker.distinct(spec, count), False

    def _table(self, spec: Mapping[str, Any]) -> Table:
        rng = self.rng
        if spec.get("items"):
            return self._items(spec)
        keys, is_series = self._keys(spec["keys"], rng.randint(3, max(3, self.amounts.rows)))
        most = min(self.amounts.columns, len(spec["cols"]))
        is_chart = rng.random() < self.amounts.chart_share
        columns_left = self._one_kind(spec["cols"]) if is_chart else spec["cols"]
        is_chart = is_chart and columns_left is not spec["cols"]
        most = min(most, len(columns_left), 3 if is_chart else most)
        picked = _pick_in_order(rng, tuple(columns_left), rng.randint(1, most))
        cells = tuple(tuple(self.maker.make(column["v"]) for column in picked) for _ in keys)
        columns = tuple(
            Column(rng.choice(column["l"].split("|")), column.get("g", "")) for column in picked
        )
        what, key_label = (rng.choice(spec[name].split("|")) for name in ("what", "key"))
        title = rng.choice(spec["title"].split("|"))
        rest = (tuple(keys), columns, cells, is_series, is_chart)
        table = Table(self._next_table_id(), title, what, key_label, *rest)
        if is_chart and not is_chartable(table):  # series that share no axis
            cells = tuple(row[:1] for row in cells)
            table = replace(table, columns=columns[:1], cells=cells)
        return table

    def _altered_copies(self, tables: list[Table]) -> list[Table]:
        """Sometimes a table a second time, as a chart if it can be, with one value altered."""
        rng = self.rng
        if not self.amounts.copy_share or rng.random() >= self.amounts.copy_share:
            return []
        fit = [t for t in tables if len(t.columns) == 1 and len(t.keys) > 2 and is_chartable(t)]
        if not fit:
            return []
        table = rng.choice(fit)
        row = rng.randrange(len(table.keys))
        old = table.cells[row][0]
        assert old.number is not None
        number = old.number + (old.number // 5 + 1) * rng.choice((1, 2))
        if old.kind == "money":
            new = self.maker.amount(number, old.decimals)
        else:
            text = self.locale.number(number, old.decimals) + old.unit
            new = Value(old.kind, text, number, old.decimals, old.unit)
        cells = tuple((new,) if r == row else c for r, c in enumerate(table.cells))
        title = f"{table.title} (2)"
        identity = self._next_table_id()
        return [
            replace(table, id=identity, title=title, cells=cells, is_chart=not table.is_chart,
                    copy_of=table.id)
        ]  # fmt: skip

    def _cut(self, tables: list[Table]) -> list[Table]:
        """The tables, some of them cut between rows or columns."""
        rng, copied = self.rng, {table.copy_of for table in tables}
        done = []
        for table in tables:
            whole = table.is_chart or table.copy_of or table.id in copied
            is_wide = len(table.columns) > 2 and not any(c.group for c in table.columns)
            is_long = len(table.keys) > 3
            fits = self.amounts.split_share and not whole and (is_long or is_wide)
            if not fits or rng.random() >= self.amounts.split_share:
                done.append(table)
            elif not is_long or (is_wide and rng.random() < 0.35):
                done.append(replace(table, column_cut=rng.randint(1, len(table.columns) - 1)))
            else:
                count = 2 if len(table.keys) > 8 and rng.random() < 0.3 else 1
                rows = sorted(rng.sample(range(2, len(table.keys) - 1), count))
                done.append(replace(table, row_cuts=tuple(rows)))
        return done

    def _one_kind(self, columns: list[dict[str, str]]) -> list[dict[str, str]]:
        """Columns that can share a value axis; all columns where there are none."""
        kinds = ("int", "money", "pct", "dec")
        groups = [[c for c in columns if c["v"].split()[0] == kind] for kind in kinds]
        groups = [group for group in groups if group]
        return self.rng.choice(groups) if groups else columns

    def _items(self, spec: Mapping[str, Any]) -> Table:
        """Order lines, where amount = quantity x price."""
        rng = self.rng
        keys, _ = self._keys(spec["keys"], rng.randint(1, max(2, self.amounts.rows)))
        cells = []
        has_price = self.amounts.columns >= 3 and rng.random() < 0.7
        for _ in keys:
            quantity = Decimal(rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12)))
            price = self.maker.make(f"money {spec['price']}").number
            assert price is not None
            row = [self.maker.count(quantity), self.maker.amount(price)]
            cells.append((*(row if has_price else row[:1]), self.maker.amount(quantity * price)))
        names = ("qty", "unit", "amount") if has_price else ("qty", "amount")
        columns = tuple(Column(rng.choice(spec[name].split("|"))) for name in names)
        what, key_label = (rng.choice(spec[name].split("|")) for name in ("what", "key"))
        title = rng.choice(spec["title"].split("|"))
        return Table(
            self._next_table_id(), title, what, key_label, tuple(keys), columns, tuple(cells)
        )

    def _sums(self, tables: list[Table], domain: Domain, kind: KindSpec) -> list[Field]:
        """Subtotal, tax and total of order lines."""
        if not _has_items(domain, kind) or not tables:
            return []
        rng, table = self.rng, tables[0]
        subtotal = sum((row[-1].number or Decimal(0) for row in table.cells), Decimal(0))
        rate = Decimal(rng.choice((0, 5, 7, 8, 10, 19, 20, 21, 25)))
        tax = (subtotal * rate / 100).quantize(Decimal("0.01"))
        discount = Decimal(0)
        parts = [(_SUM_LABELS["subtotal"], subtotal)]
        if rng.random() < 0.25:
            discount = (subtotal * rng.randint(2, 20) / 100).quantize(Decimal("0.01"))
            parts.append((_SUM_LABELS["discount"], -discount))
        if rate:
            parts.append((_SUM_LABELS["tax"], tax))
        total = subtotal - discount + tax
        parts.append((_SUM_LABELS["total"], total))
        if rng.random() < 0.25:
            paid = (total // 5 + rng.randint(1, 4)) * 5
            parts += [(_SUM_LABELS["paid"], paid), (_SUM_LABELS["change"], paid - total)]
        fields = []
        for spec, amount in parts:
            self.num_fields += 1
            label = rng.choice(spec.labels)
            fields.append(Field(f"f{self.num_fields - 1}", spec, label, self.maker.amount(amount)))
        return fields

    def _generic_table(self) -> Table:
        rng = self.rng
        spec = rng.choice(("words 1 2", "person", "city", "words 1 1", "code A-99|AA9"))
        keys, _ = self._keys(spec, rng.randint(2, max(2, self.amounts.rows)))
        labels = [self._short_label() for _ in range(rng.randint(1, self.amounts.columns))]
        labels = list(dict.fromkeys(labels))
        makers = [rng.choice(GENERIC_VALUES) for _ in labels]
        cells = tuple(tuple(self.maker.make(m) for m in makers) for _ in keys)
        return Table(
            self._next_table_id(),
            self.maker.make("words 1 2").text,
            "item",
            rng.choice(("Name", "Item", "Entry", "Code", "Group")),
            tuple(keys),
            tuple(Column(label) for label in labels),
            cells,
        )

    def _short_label(self) -> str:
        label = self.rng.choice(word_list("labels"))
        return label if len(label) <= 14 and self.rng.random() < 0.6 else self._one_word()

    def _one_word(self) -> str:
        return self.maker.make("words 1 1").text


_UNITS = "named Branch|Office|Site|Unit|Division|Section"
"""What a part of a document may be about."""


def _spec(name: str, labels: str, questions: str) -> FieldSpec:
    return FieldSpec(name, tuple(labels.split("|")), "", tuple(questions.split("|")))


_SUM_LABELS = {
    "subtotal": _spec(
        "subtotal",
        "Subtotal|Sub-total|Net amount|Net total",
        "What is the sum before tax?|How much is it before tax?",
    ),
    "discount": _spec(
        "discount", "Discount|Rebate|Savings", "How much was deducted as a discount?"
    ),
    "tax": _spec("tax", "Tax|VAT|Sales tax|GST", "How much tax was charged?|How high is the tax?"),
    "total": _spec(
        "total",
        "Total|Grand total|Amount due|Total due|Balance due|TOTAL",
        "How much must be paid in all?|What is the total amount?|How much is it in total?",
    ),
    "paid": _spec("paid", "Cash|Paid|Amount paid|Tendered", "How much did the customer hand over?"),
    "change": _spec("change", "Change|Change due", "How much change was given?"),
}


def _pick_in_order(rng: random.Random, items: tuple[Any, ...], count: int) -> list[Any]:
    """Some of the items, in their own order three times of four."""
    picked = rng.sample(range(len(items)), min(count, len(items)))
    if rng.random() < 0.75:
        picked.sort()
    return [items[i] for i in picked]


def _unique_labels(fields: list[Field]) -> list[Field]:
    """Without fields whose label is taken: a question by label must have one answer."""
    seen: dict[str, Field] = {}
    for field in fields:
        seen.setdefault(field.label.lower(), field)
    return list(seen.values())


def _read_domain(raw: Mapping[str, Any]) -> Domain:
    def parts(value: str) -> tuple[str, ...]:
        return tuple(part for part in value.split("|") if part)

    fields = {
        name: FieldSpec(
            name, parts(spec["l"]), spec["v"], parts(spec.get("q", "")), parts(spec.get("s", ""))
        )
        for name, spec in raw["fields"].items()
    }
    kinds = tuple(
        KindSpec(
            kind["name"],
            parts(kind["titles"]),
            tuple(kind["fields"].split()),
            tuple(kind["tables"].split()),
            tuple(kind["views"].split()),
            float(kind.get("weight", 1)),
        )
        for kind in raw["kinds"]
    )
    return Domain(raw["name"], fields, raw.get("tables", {}), kinds)
