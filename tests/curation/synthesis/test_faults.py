"""Faults that an audit by eye found: words, labels and drawings that do not fit the page."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice

import pytest

from leopard.curation.programs.evaluator import PrintedFacts
from leopard.curation.programs.interpreter import Interpreter
from leopard.curation.programs.language import Extreme, Lookup, Mean, Read, Rows, Sum
from leopard.curation.randomness import stream
from leopard.curation.synthesis.browser import WebDocument, browser, needed_browser
from leopard.curation.synthesis.chart_painter import ChartPainter
from leopard.curation.synthesis.charts import SINGLE
from leopard.curation.synthesis.composer import Composer
from leopard.curation.synthesis.documents import RejectedError, make_document
from leopard.curation.synthesis.domains import domains
from leopard.curation.synthesis.facts import (
    Column,
    FactBase,
    Field,
    FieldSpec,
    Section,
    Table,
    View,
)
from leopard.curation.synthesis.figures import Label, UnfitError, crosses, text_width
from leopard.curation.synthesis.printed import read_pdf
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.proving import Draft, Gate
from leopard.curation.synthesis.questions import QuestionDrawer
from leopard.curation.synthesis.sentences import as_sentence, says
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.synthesis.theme import TRAIN_FONTS, draw_theme
from leopard.curation.synthesis.values import Locale, Value
from leopard.curation.synthesis.web_views import WebPainter
from leopard.curation.synthesis.wording import filled, fitting, is_many, one_stop, phrasings
from leopard.schema.samples import QuestionAnswer

pytest.importorskip("typst")
VIEWS: tuple[View, ...] = ("table", "turned", "list", "chart", "mixed")
FORBIDDEN: dict[View, str] = {
    "turned": r"\b(row|column)s?\b", "list": r"\b(table|row|column)s?\b",
    "chart": r"\b(table|row|column)s?\b|\b(?:the|a) list\b", "mixed": r"\b(table|row|column)s?\b",
}  # fmt: skip


def number(value: int | str) -> Value:
    return Value("number", str(value), Decimal(value))


def field(name: str, label: str, value: Value, spec: str = "words 1 1") -> Field:
    return Field(name, FieldSpec(name, (label,), spec, (f"Whole {name}?",)), label, value)


TABLE = Table(
    "t0", "Stops", "stop", "Stop",
    tuple(Value("place", name) for name in ("Aarhus", "Bergen", "Cadiz", "Delft")),
    (Column("Visits"), Column("Altitude")),
    tuple((number(one), number(two)) for one, two in ((4, 70), (9, 41), (7, 58), (2, 63))),
    is_series=True,
)  # fmt: skip
OTHER = replace(TABLE, id="t1", title="Tours")


def facts(*fields: Field, domain: str = "logistics", locale: Locale | None = None) -> FactBase:
    section = Section("s0", "", fields, (TABLE, OTHER))
    return FactBase(domain, "waybill", "Paper", ("form",), (section,), locale or Locale())


def printed(
    base: FactBase, view: View = "table", told: frozenset[str] = frozenset()
) -> PrintedFacts:
    texts = {element: text for element, text in base.elements() if text}
    return PrintedFacts(
        texts=texts,
        pages=dict.fromkeys(texts, 1),
        full_text=" ".join([*texts.values(), *(f.label for f in base.fields.values())]),
        locale=base.locale.to_dict(),
        shown_on=dict.fromkeys(texts, frozenset({1})),
        views={"t0": view, "t1": view},
        told=told,
    )


def drafts(
    base: FactBase, on_pages: PrintedFacts, *families: str, seeds: int = 12
) -> Iterator[Draft]:
    for seed in range(seeds):
        drawer = QuestionDrawer(base, on_pages, random.Random(seed))
        for family in families or drawer.families:
            yield from islice(drawer.families[family](), 8)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "table"])
def test_words_fit_what_the_page_draws(view: View) -> None:
    base = facts()
    questions = [draft.question for draft in drafts(base, printed(base, view))]
    assert len(set(questions)) > 200
    assert not [q for q in questions if re.search(FORBIDDEN[view], q, re.IGNORECASE)]
    assert (view in ("turned", "mixed")) or any(f"In the {view} Stops" in q for q in questions)


def test_of_a_table_one_may_speak_as_of_a_table() -> None:
    base = facts()
    questions = " ".join(draft.question for draft in drafts(base, printed(base)))
    assert all(f" {word}" in questions for word in ("table", "row", "column"))


@pytest.mark.parametrize(
    ("view", "noun"), [("table", "table"), ("chart", "chart"), ("list", "list")]
)
def test_sentences_call_a_table_what_it_looks_like(view: View, noun: str) -> None:
    base = facts()
    qa = QuestionAnswer(question="Q?", answer="70", answer_type="number", family="cell")
    best = Extreme(Rows("t0"), 0, True, "key")
    found = set()
    for program in (Read("t0.0.1"), Lookup("t0", best, 1)):
        for seed in range(8):
            turn = as_sentence(random.Random(seed), qa, program, base, printed(base, view))
            found |= set(re.findall(r"\b(table|chart|list)\b", turn.answer))
    assert found == {noun}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", sorted(phrasings()))
def test_every_list_has_phrasings_for_every_view_and_number(name: str, view: View) -> None:
    assert len(fitting(name, view)) >= 5
    assert len(fitting(name, view, is_many=True)) >= 5


def test_grammar_of_labels() -> None:
    assert (
        filled("Is there a {c} above {n}?", c="altitude", n="5") == "Is there an altitude above 5?"
    )
    assert filled("Has it a {c}?", c="unit") == "Has it a unit?"
    assert one_stop("Find the Sample No.. Round it.") == "Find the Sample No. Round it."
    labels = ("Students", "Women", "Status", "Births per 1,000")
    assert [is_many(label) for label in labels] == [True, True, False, True]
    for _, text in fitting("cell", is_many=True):
        assert not re.search(r"is the \{c\}|a \{c\}", text)


def test_questions_about_abbreviations_and_plurals_are_well_formed() -> None:
    table = replace(TABLE, columns=(Column("Students"), Column("Mean temp.")))
    section = Section("s0", "", (field("f0", "Sample No.", Value("code", "A7")),), (table,))
    base = replace(facts(), sections=(section,))
    questions = [draft.question for draft in drafts(base, printed(base))]
    assert any("Sample No." in q for q in questions)
    assert any("temp." in q.lower() for q in questions)
    for question in questions:
        assert ".." not in question
        assert not re.search(r"is the students|\ba students", question, re.IGNORECASE)


def test_a_sentence_ends_once_behind_an_abbreviation() -> None:
    base = facts()
    section = replace(
        base.sections[0], tables=(replace(TABLE, columns=(Column("Temp."), Column("B"))),)
    )
    base = replace(base, sections=(section,))
    qa = QuestionAnswer(question="Q?", answer="Bergen", answer_type="text", family="extreme")
    program = Extreme(Rows("t0"), 0, True, "key")
    turn = as_sentence(random.Random(0), qa, program, base, printed(base))
    assert turn.answer == "Bergen has the highest temp."
    assert says(turn.answer, "Bergen")


def test_a_label_that_a_sentence_left_out_is_not_quoted() -> None:
    base = facts(field("f0", "Found in", Value("text", "Cave")))
    asked = {d.question for d in drafts(base, printed(base), "lookup")}
    told = {d.question for d in drafts(base, printed(base, told=frozenset({"f0"})), "lookup")}
    assert any("Found in" in question for question in asked)
    assert told == {"Whole f0?"}
    qa = QuestionAnswer(question="Q?", answer="Cave", answer_type="text", family="lookup")
    on_pages = printed(base, told=frozenset({"f0"}))
    assert as_sentence(random.Random(0), qa, Read("f0"), base, on_pages) == qa


@pytest.mark.parametrize(
    ("domain", "shown", "absent"),
    [
        ("logistics", field("f0", "Delivery address", Value("place", "5 Elm St., Oslo"), "address"),
         {"origin", "destination", "warehouse"}),
        ("logistics", field("f0", "Ship from", Value("text", "Kim Ltd."), "company"), {"origin"}),
        ("logistics", field("f0", "Consignee", Value("person", "Ann Lee"), "person"),
         {"address", "destination"}),
        ("government", field("f0", "Last name", Value("person", "Lee"), "surname"), {"applicant"}),
        ("sports", field("f0", "Stadium", Value("text", "Perth Park"), "named Park"), {"city"}),
    ],
)  # fmt: skip
def test_what_a_page_prints_under_a_near_name_is_not_called_absent(
    domain: str, shown: Field, absent: set[str]
) -> None:
    base = facts(shown, domain=domain)
    base = replace(base, sections=(replace(base.sections[0], tables=()),))
    labels = {
        label: name for name, spec in domains()[domain].fields.items() for label in spec.labels
    }
    asked = {
        labels[draft.program.texts[0]]  # type: ignore[union-attr]
        for draft in drafts(base, printed(base), "unanswerable", seeds=60)
    }
    assert not asked & absent
    assert len(asked) > 5


def test_a_heading_with_a_city_answers_questions_for_a_place() -> None:
    base = facts(domain="sports")
    base = replace(base, sections=(Section("s0", "Manila", (), ()), Section("s1", "Oslo", (), ())))
    cities = domains()["sports"].fields["city"].labels
    for draft in drafts(base, printed(base), "unanswerable", seeds=60):
        assert draft.program.texts != cities  # type: ignore[union-attr]


@pytest.mark.parametrize(("text", "proven"), [("", False), ("It weighs 7,5 kg.", True)])
def test_an_answer_has_a_decimal_comma_only_where_pages_print_one(text: str, proven: bool) -> None:
    base = facts(locale=Locale(thousands=".", decimal=","))
    on_pages = printed(base)
    on_pages = replace(on_pages, full_text=f"{on_pages.full_text} {text}")
    gate = Gate(Interpreter(base, on_pages.pages), on_pages)
    mean = Draft("sum", "Mean?", Mean(Rows("t0"), 0, 1), "mean.0")
    found = gate.prove(mean)
    assert (found is not None) == proven
    assert found is None or found.run.answer == "5,5"
    assert gate.prove(Draft("sum", "Sum?", Sum(Rows("t0"), 0), "sum.0")) is not None


def test_questions_of_fields_say_no_more_than_any_of_their_labels() -> None:
    every = domains()
    assert "admission" not in " ".join(every["events"].fields["fee"].questions).lower()
    assert "player" not in " ".join(every["sports"].fields["name"].questions).lower()
    assert "project" not in " ".join(every["work"].fields["manager"].questions).lower()


def box(label: Label, size: float) -> tuple[float, float, float, float]:
    half = text_width(label.text, size) / 2
    return label.x - half, label.y - 0.36 * size, label.x + half, label.y + 0.36 * size


@pytest.mark.parametrize("kind", ["area", "line", "step"])
def test_no_line_runs_through_a_value(kind: str) -> None:
    drawn = 0
    for number_of in range(40):
        rng = stream("line", kind, number_of)
        rows = rng.randint(4, 9)
        cells = tuple((number(rng.randint(1000, 9999)),) for _ in range(rows))
        keys = tuple(Value("text", f"M{row}") for row in range(rows))
        chart = replace(TABLE, keys=keys, columns=(Column("Visits"),), cells=cells)
        theme = draw_theme(rng, printer().available(TRAIN_FONTS)[:1], 10, 460)
        painter = ChartPainter(chart, theme, Locale(), rng, 400)
        try:
            SINGLE[kind](painter)
        except UnfitError:
            continue
        drawn += 1
        shape = next(s for s in reversed(painter.figure.shapes) if 'fill="none"' in s)
        pairs = re.findall(r"([\d.]+),([\d.]+)", shape)
        line = [(float(x), float(y)) for x, y in pairs]
        for label in painter.figure.labels:
            if label.element.endswith(".0"):
                assert not crosses(line, box(label, painter.size))
    assert drawn >= 5


def test_a_line_crosses_a_box_or_not() -> None:
    around = (10.0, 10.0, 20.0, 20.0)
    assert crosses([(0, 0), (30, 30)], around)
    assert crosses([(15, 0), (15, 40)], around)
    assert crosses([(12, 12), (13, 13)], around)
    assert not crosses([(0, 0), (30, 5)], around)
    assert not crosses([(0, 15), (9, 15), (9, 40)], around)


def test_text_under_a_later_fill_is_seen() -> None:
    theme = draw_theme(stream("fill"), printer().available(TRAIN_FONTS)[:1], 10, 300)
    word = '#link("gt:f0")[#text("someone.long@harbour.example")]'
    for cover, count in (
        ("", 0),
        ("#place(top + left, dx: 70pt, rect(width: 90pt, height: 60pt, fill: red))", 1),
    ):
        pdf, _ = printer().pdf(theme.preamble(300, None) + f"{word}\n{cover}")
        (page,) = read_pdf(pdf)
        assert (page.num_covered > 0) == bool(count)


@pytest.mark.skipif(browser() is None, reason="no chromium, and none named in LEOPARD_BROWSER")
def test_cards_are_as_wide_as_an_address_that_cannot_be_broken() -> None:
    long = "bartholomew.featherstonehaugh99@lighthouse.example"
    names = [field(f"f{i}", "E-mail", Value("code", long)) for i in range(4)]
    base = replace(facts(), sections=(Section("s0", "", tuple(names), ()),))
    theme = draw_theme(stream("cards"), printer().available(TRAIN_FONTS)[:1], 10, 620)
    painter = WebPainter(base, theme, random.Random(0), width=620, held_out=False)
    painter.sidebar, painter._fields = None, ["cards"]
    drawing = painter.draw()
    old = drawing.document.style.replace(
        ".cards {display: flex; flex-wrap: wrap;",
        ".cards {display: grid; grid-template-columns: repeat(auto-fill, minmax(11em, 1fr));",
    ).replace("min-width: min-content", "min-width: 0")
    assert old != drawing.document.style
    before = WebDocument(old, drawing.document.parts)
    covered = [
        read_pdf(pdf)[0].num_covered for pdf in needed_browser().print([before, drawing.document])
    ]
    assert covered[0] > 0
    assert covered[1] == 0


def drawn(style: str, chart: bool) -> Composer:
    """A composer that drew the tables in a style, or as charts."""
    tables = tuple(
        replace(t, is_chart=chart, columns=t.columns[:1], cells=tuple(c[:1] for c in t.cells))
        for t in (TABLE, OTHER)
    )
    base = replace(facts(), sections=(Section("s0", "", (), tables),))
    theme = draw_theme(stream("drawn"), printer().available(TRAIN_FONTS)[:1], 10, 500)
    composer = Composer(base, theme, random.Random(1), width=500)
    for table in tables:
        composer.table(table, style)
    return composer


@pytest.mark.parametrize(
    ("style", "chart", "view"),
    [("full", False, "table"), ("entries", False, "list"), ("leaders", False, "list"),
     ("transposed", False, "turned"), ("full", True, "chart")],
)  # fmt: skip
def test_how_a_table_is_drawn_is_noted(style: str, chart: bool, view: View) -> None:
    assert drawn(style, chart).views == {"t0": view, "t1": view}


def test_parts_that_are_drawn_in_two_ways_have_neutral_words() -> None:
    composer = drawn("entries", False)
    composer.table(TABLE, "full")
    assert composer.views == {"t0": "mixed", "t1": "list"}


def test_documents_tell_questions_how_they_draw_tables_and_what_they_tell() -> None:
    settings = load_preset("leopard-instruct").model_copy(
        update={"web_renderer": "typst", "chart_share": 1.0, "copy_share": 0.0, "split_share": 0.0}
    )
    charts = told = 0
    for index in range(40):
        try:
            document = make_document(
                stream("views", index), settings, held_out=False, shrink=0.7, page_kind="sheet"
            )
        except RejectedError:
            continue
        kinds = {style.split(":")[0] for style in document.styles} & {"chart", "table"}
        views = set(document.printed.views.values())
        assert (kinds == {"chart"}) == (views == {"chart"})
        assert ("chart" in kinds) == ("chart" in views)
        charts += kinds == {"chart"}
        # Only what stands in no block of labelled values is told.
        told += bool(document.printed.told)
        assert document.printed.told <= document.facts.fields.keys()
        assert document.printed.told or document.blueprint.view not in ("letter",)
    assert charts >= 3
    assert told >= 2
