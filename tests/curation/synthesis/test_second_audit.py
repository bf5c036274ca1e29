"""Faults of a second audit by eye: wording, questions asked twice, legends, impossible content."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from leopard.curation.randomness import stream
from leopard.curation.synthesis.asking import Asker
from leopard.curation.synthesis.chart_painter import ChartPainter
from leopard.curation.synthesis.charts import (
    ABOVE_BALLS,
    MULTIPLE,
    SINGLE,
    draw_chart,
    is_chartable,
)
from leopard.curation.synthesis.composer import Composer
from leopard.curation.synthesis.domains import Amounts, domains, draw_facts
from leopard.curation.synthesis.facts import Column, FactBase, Field, FieldSpec, Section, Table
from leopard.curation.synthesis.figures import UnfitError
from leopard.curation.synthesis.furniture import FOOTERS
from leopard.curation.synthesis.markup import typst_text
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.questions import QuestionDrawer
from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.synthesis.theme import TRAIN_FONTS, draw_theme
from leopard.curation.synthesis.values import Locale, Value, ValueMaker, word_list
from leopard.curation.synthesis.views import compose
from leopard.curation.synthesis.web_views import WebPainter
from leopard.curation.synthesis.wording import (
    filled,
    fitting,
    is_counted,
    is_many,
    is_noun,
    names_a_number,
)
from tests.curation.synthesis.test_faults import TABLE, facts, printed

pytest.importorskip("typst")


@pytest.mark.parametrize(
    ("phrasing", "label", "question"),
    [
        ("Which has the higher {c}?", "seats", "Which has the higher number of seats?"),
        ("What is the mean {c}?", "shares", "What is the mean number of shares?"),
        ("What is the highest {c}?", "staff", "What is the highest number of staff?"),
        ("What is the highest {c}?", "sales", "What is the highest sales?"),
        ("Which has more {c}?", "seats", "Which has more seats?"),
        ("Which has more {c}?", "altitude", "Which has a higher altitude?"),
        ("Which has less {c}?", "seats", "Which has fewer seats?"),
        ("Which has less {c}?", "altitude", "Which has a lower altitude?"),
        ("Which has the least {c}?", "seats", "Which has the fewest seats?"),
        ("Which has the most {c}?", "age", "Which has the highest age?"),
        ("How much {c} is that?", "rain", "How much rain is that?"),
        ("Together, what {c} do they have?", "votes", "Together, how many votes do they have?"),
        ("Find the ratio of the {c} of A to that of {a}.", "seats",
         "Find the ratio of the seats of A to those of Davis."),
        ("What is {a}'s {c}?", "altitude", "What is Davis' altitude?"),
        ("Who ranks by {c}?", "seats", "Who ranks by the number of seats?"),
    ],
)  # fmt: skip
def test_words_around_a_label_fit_what_it_names(phrasing: str, label: str, question: str) -> None:
    assert filled(phrasing, c=label, a="Davis") == question


def test_a_number_of_things_stands_before_them() -> None:
    assert (
        filled("Name the hall with {c} {v}.", c="seats", v="40") == "Name the hall with 40 seats."
    )
    assert filled("Name it with {c} {v}.", c="altitude", v="40") == "Name it with altitude 40."
    counted = {text for _, text in fitting("count_above", is_many=True, is_counted=True)}
    others = {text for _, text in fitting("count_above", is_many=True)}
    assert "How many {ws} have more than {n} {c}?" in counted - others


@pytest.mark.parametrize("name", ["reverse", "exists", "count_equal", "list_equal"])
def test_plurals_stand_behind_no_article_for_one(name: str) -> None:
    assert not [t for _, t in fitting(name, is_many=True) if re.search(r"the \{c\} \{v\}", t)]


def test_plurals_with_a_word_behind_them() -> None:
    assert is_many("Tickets sold")
    assert is_counted("Tickets sold")
    assert is_many("Days absent")
    assert not is_many("Status")
    assert not is_counted("Sales")


@pytest.mark.parametrize("label", ["Please pay", "Pay by", "Doors open", "Known as", "Won", "Due"])
def test_clauses_and_participles_are_quoted(label: str) -> None:
    assert not is_noun(label)
    base = facts()
    asker = Asker(base, printed(base), random.Random(0))
    assert {asker.name(label) for _ in range(9)} == {f'"{label}"'}
    assert filled("Is it a {c}?", c=asker.name("Opened")) == 'Is it an "Opened"?'


def test_a_table_is_not_called_a_list() -> None:
    for view in ("table", "turned", "chart"):
        texts = [
            text for name in ("count", "argmax", "list_equal") for _, text in fitting(name, view)
        ]
        assert not [text for text in texts if re.search(r"\blist\b", text)]
        assert [text for text in texts if text.startswith("List ")]


def two_parts(table: Table) -> FactBase:
    sections = tuple(
        Section(f"s{i}", title, (), (replace(table, id=f"t{i}"),))
        for i, title in enumerate(("Gate Unit", "Mill Unit"))
    )
    return replace(facts(), sections=sections)


@pytest.mark.parametrize("question", ["Which part is first?", "How many spare parts are there?"])
def test_of_parts_one_does_not_ask_in_the_part(question: str) -> None:
    base = two_parts(TABLE)
    asker = Asker(base, printed(base), random.Random(1))
    places = {asker.where("t0", question) for _ in range(60)}
    assert len(places) > 2
    assert not [place for place in places if "the part Gate" in place]


def test_a_place_does_not_stand_behind_a_clause() -> None:
    base = two_parts(TABLE)
    asker = Asker(base, printed(base), random.Random(1))
    asked = [asker.where("t0", "Where does it rank, highest first?") for _ in range(40)]
    assert all(question.endswith(": Where does it rank, highest first?") for question in asked)
    assert any(not asker.where("t0", "Which is first?").endswith("first?") for _ in range(40))


def test_numbers_that_are_names_are_not_compared() -> None:
    assert names_a_number("No.")
    assert names_a_number("Start No.")
    assert not names_a_number("No. of parcels")
    assert not names_a_number("Number of units")
    table = replace(TABLE, columns=(Column("No."), Column("Altitude")))
    base = replace(facts(), sections=(Section("s0", "", (), (table,)),))
    asker = Asker(base, printed(base), random.Random(0))
    assert asker.condition(table, 0) is None
    assert asker.condition(table, 1) is not None
    assert {column for _, column in asker.numeric_columns()} == {1}
    assert {asker.name("No.") for _ in range(9)} == {"No."}


def test_a_part_whose_table_goes_on_is_on_no_single_page() -> None:
    cut = two_parts(replace(TABLE, row_cuts=(2,)))
    for base, count in ((two_parts(TABLE), 2), (cut, 0)):
        shown = printed(base)
        shown = replace(shown, pages={**shown.pages, "s1": 2})
        drawer = QuestionDrawer(base, shown, random.Random(0))
        assert len(list(drawer.families["page"]())) == count


def test_no_sample_asks_the_same_twice_in_other_words() -> None:
    settings = load_preset("leopard-instruct").model_copy(
        update={"web_renderer": "typst", "min_turns": 6, "max_turns": 12}
    )
    maker, asked = SampleMaker(settings), 0
    for index in range(6):
        programs = Counter(
            json.dumps(qa.program, sort_keys=True) for qa in maker.make(index).sample.qa
        )
        assert max(programs.values()) == 1
        asked += len(programs)
    assert asked > 25


def series_table() -> Table:
    cells = tuple(
        tuple(Value("number", str(n), Decimal(n)) for n in row) for row in ((42, 30), (64, 35))
    )
    keys = tuple(Value("text", name) for name in ("Jan", "Feb"))
    columns = (Column("Sales"), Column("Costs"))
    return Table("t0", "Shops", "month", "Month", keys, columns, cells, is_series=True)


def painted(kind: str, table: Table, *name: object) -> ChartPainter:
    rng = stream("second audit", kind, *name)
    theme = draw_theme(rng, printer().available(TRAIN_FONTS)[:1], 10, 460)
    painter = ChartPainter(table, theme, Locale(), rng, 400)
    {**SINGLE, **MULTIPLE}[kind](painter)
    return painter


@pytest.mark.parametrize("kind", ["stacked column", "stacked bar", "grouped column", "grouped bar"])
def test_swatches_have_the_colours_of_the_bars(kind: str) -> None:
    painter = painted(kind, series_table())
    rects = [shape for shape in painter.figure.shapes if shape.startswith("<rect")]
    side = f'width="{painter.size * 0.7:.2f}" height="{painter.size * 0.7:.2f}"'
    swatches = [re.findall(r'fill="(.+?)"', s)[0] for s in rects if side in s]
    fills = [re.findall(r'fill="(.+?)"', s)[0] for s in rects if side not in s]
    assert len(swatches) == 2
    assert len(fills) == 4
    assert fills == swatches * 2


@pytest.mark.parametrize("kind", ["line", "step"])
def test_values_stand_over_the_axis(kind: str) -> None:
    drawn = 0
    for turn in range(60):
        rng = stream("low", kind, turn)
        cells = tuple((Value("number", str(n), Decimal(n)),)
                      for n in (rng.choice((1, 2, 90)) for _ in range(6)))  # fmt: skip
        keys = tuple(Value("text", f"M{row}") for row in range(6))
        table = replace(series_table(), keys=keys, columns=(Column("Sales"),), cells=cells)
        try:
            painter = painted(kind, table, turn)
        except UnfitError:
            continue
        drawn += 1
        bottom = painter.figure.height - painter.size * 2
        values = [label for label in painter.figure.labels if label.element.endswith(".0")]
        assert max(label.y for label in values) + 0.42 * painter.size <= bottom
    assert drawn >= 5


def test_nothing_touches_a_dot() -> None:
    table = replace(series_table(), columns=(Column("Sales"),),
                    cells=tuple(row[:1] for row in series_table().cells))  # fmt: skip
    painter = painted("dots", table)
    axis = min(float(s.split('x="')[1].split('"')[0]) if s.startswith("<rect") else
               float(re.findall(r"([\d.]+),", s)[0])
               for s in painter.figure.shapes if not s.startswith("<circle"))  # fmt: skip
    names = [label for label in painter.figure.labels if label.element.endswith(".k")]
    assert len([n for n in names if n.anchor == "right"]) == 2
    assert max(n.x for n in names if n.anchor == "right") <= axis - 5
    assert max(ABOVE_BALLS) <= -1.2


def composer(base: FactBase, seed: int) -> Composer:
    theme = draw_theme(stream("second audit", seed), ("Arial",), 10, 460)
    return Composer(base, theme, random.Random(seed), width=460)


def test_the_first_part_of_a_table_that_goes_on_has_its_caption() -> None:
    cut = replace(TABLE, row_cuts=(2,))
    base = replace(facts(), sections=(Section("s0", "", (), (cut,)),))
    for view in ("form", "card", "report", "invoice", "receipt"):
        for seed in range(12):
            body = compose(view, composer(base, seed)).bodies[0]
            assert cut.title_id in body, view
    for seed in range(30):
        painter = WebPainter(
            base, composer(base, seed).theme, random.Random(seed), width=900, held_out=False
        )
        assert cut.title_id in painter.table(cut.parts[0])


def test_labels_and_sentences_end_with_one_full_stop() -> None:
    base = facts()
    theme = replace(composer(base, 0).theme, label_end=".")
    assert theme.ending("Bill No.") == ""
    assert theme.ending("Bill") == "."
    assert theme.ending("Bill No.", ":") == ":"
    spec = FieldSpec("maker", ("Maker",), "company", (), ("It is made by {v}.",))
    for name, ends in (("Gomez Corp.", False), ("Gomez Group", True)):
        said = composer(base, 0).prose([Field("f0", spec, "Maker", Value("text", name))])
        assert said.endswith(typst_text(".")) is ends


def test_headings_of_a_form_are_lettered_from_a() -> None:
    fields = tuple(
        Field(f"f{i}", FieldSpec(f"f{i}", (f"L{i}",), "words 1 1"), f"L{i}", Value("text", "x"))
        for i in range(9)
    )
    base = replace(facts(), sections=(Section("s0", "", fields, ()),))
    seen = set()
    for seed in range(80):
        body = compose("form", composer(base, seed)).bodies[0]
        letters = re.findall(r'"([ABC])\. (?:General|Details|Further)', body)
        assert letters == ["A", "B", "C"][: len(letters)]
        seen.add(len(letters))
    assert {0, 1, 2} <= seen


def test_no_footer_names_a_page() -> None:
    assert not [text for text in FOOTERS if "Page" in text]


def numbers_of(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def test_codes_of_sizes_and_pressures_are_numbers() -> None:
    maker = ValueMaker(random.Random(0), Locale())
    specs = [domains()["logistics"].fields["dims"], domains()["product"].fields["size"],
             domains()["clinic"].fields["pressure"]]  # fmt: skip
    for spec in specs:
        for _ in range(40):
            text = maker.make(spec.value).text
            assert re.fullmatch(r"[1-9]\d*( x |/)[1-9]\d*(( x )[1-9]\d*)?( cm| mm)?", text)
            numbers = numbers_of(text)
            assert numbers == sorted(numbers, reverse=True) or "mm" in text or "cm" in text


@pytest.mark.parametrize(
    ("domain", "first", "second"),
    [("shop", "date", "due"), ("logistics", "shipped", "eta"), ("clinic", "collected", "reported"),
     ("events", "rsvp", "date"), ("events", "start", "end"), ("work", "date", "deadline"),
     ("school", "deadline", "exam"), ("work", "net", "salary")],
)  # fmt: skip
def test_what_comes_first_is_drawn_first(domain: str, first: str, second: str) -> None:
    fields = domains()[domain].fields
    maker = ValueMaker(random.Random(0), Locale())
    for _ in range(60):
        before, after = (maker.make(fields[name].value).number for name in (first, second))
        assert before is not None
        assert after is not None
        assert before <= after


def is_person(text: str) -> bool:
    words = text.split()
    return words[0] in word_list("first_names") and words[-1] in word_list("last_names")


@pytest.mark.parametrize(("domain", "persons"), [("school", False), ("generic", True)])
def test_headings_are_no_values_of_the_fields_under_them(domain: str, persons: bool) -> None:
    amounts = Amounts(fields=6, rows=3, columns=1, tables=0, sections=3)
    found = [
        section.title
        for seed in range(60)
        for section in draw_facts(random.Random(seed), domain, Locale(), amounts, "card").sections
    ]
    assert any(map(is_person, found)) is persons
    assert len(set(found)) > 60


def test_columns_of_two_groups_share_no_axis() -> None:
    table = series_table()
    assert is_chartable(table)
    columns = (Column("High", "Temperature"), Column("Wind", "Sky"))
    assert not is_chartable(replace(table, columns=columns))
    ages = (Column("Age"), Column("Votes"))
    assert not is_chartable(replace(table, columns=ages))


def test_what_has_no_sum_is_not_stacked() -> None:
    table = replace(series_table(), columns=(Column("Test 1"), Column("Test 2")))
    assert is_chartable(table)
    theme = draw_theme(stream("stacks"), printer().available(TRAIN_FONTS)[:1], 10, 460)
    kinds = {
        drawn[0]
        for turn in range(40)
        if (drawn := draw_chart(table, theme, Locale(), random.Random(turn), 400))
    }
    assert "grouped column" in kinds
    assert not kinds & {"stacked column", "stacked bar"}
