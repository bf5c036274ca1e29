"""The interpreter and the evaluator agree, and the evaluator notices every change of the page."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from leopard.curation.programs.evaluator import PrintedFacts, UnprovenError, agrees, evaluate
from leopard.curation.programs.interpreter import Interpreter, VoidQuestionError
from leopard.curation.programs.language import (
    Absent,
    Compare,
    Count,
    Difference,
    Disagreement,
    Equal,
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
    from_json,
    to_json,
)
from leopard.curation.synthesis.facts import Column, FactBase, Field, FieldSpec, Section, Table
from leopard.curation.synthesis.values import Locale, Value
from leopard.errors import DataError

GERMAN = Locale(".", ",", "EUR", True, "{d:02d}.{m:02d}.{y}")
KEYS = ("Oslo", "Rome", "Lima")
SALES = ("1200.50", "980.00", "2310.25")


def fact_base() -> FactBase:
    def money(text: str) -> Value:
        return Value("money", GERMAN.money(Decimal(text)), Decimal(text), 2)

    cells = tuple(
        (money(sale), Value("number", str(count), Decimal(count)), Value("text", sky))
        for sale, count, sky in zip(SALES, (3, 8, 5), ("Rain", "Sun", "Rain"), strict=True)
    )
    columns = (Column("Sales"), Column("Staff"), Column("Sky"))
    keys = tuple(Value("text", key) for key in KEYS)
    table = Table("t0", "Shops", "shop", "Shop", keys, columns, cells, is_series=True)
    forged = (replace(cells[1][0], text="7,00 EUR", number=Decimal(7)), *cells[1][1:])
    again = replace(table, id="t1", cells=(cells[0], forged, cells[2]), copy_of="t0")
    best = Field("f0", FieldSpec("best", ("Best",), ""), "Best", Value("text", "Lima"))
    opened = Field(
        "f1",
        FieldSpec("o", ("Opened",), ""),
        "Opened",
        Value("date", "01.03.2024", Decimal(738946)),
    )
    closed = Field(
        "f2",
        FieldSpec("c", ("Closed",), ""),
        "Closed",
        Value("date", "11.03.2024", Decimal(738956)),
    )
    section = Section("s0", "", (best, opened, closed), (table, again))
    return FactBase("test", "test", "Test", (), (section,), GERMAN)


def printed_facts(facts: FactBase) -> PrintedFacts:
    texts = {element: text for element, text in facts.elements() if text}
    return PrintedFacts(
        texts, dict.fromkeys(texts, 2), " ".join(texts.values()), facts.locale.to_dict()
    )


ALL = Rows("t0")
CASES: list[tuple[Expression, str]] = [
    (Read("t0.0.0"), "1.200,50 EUR"),
    (Count(ALL), "3"),
    (Count(Rows("t0", (Where(2, "=", "Rain"),))), "2"),
    (Count(Rows("t0", (Where(2, "!=", "Rain"),))), "1"),
    (Count(Rows("t0", (Where(0, ">", "1000"), Where(1, "<", "5")))), "1"),
    (Sum(ALL, 0), "4.490,75 EUR"),
    (Mean(ALL, 1, 2), "5,33"),
    (Extreme(ALL, 0, True, "key"), "Lima"),
    (Extreme(ALL, 0, False, "value"), "980,00 EUR"),
    (Extreme(ALL, 0, True, "key", 2), "Oslo"),
    (Rank("t0", 2, 1, True), "2"),
    (Lookup("t0", Read("f0"), 1), "5"),
    (Lookup("t0", Extreme(ALL, 1, True, "key"), 2), "Sun"),
    (Keys(Rows("t0", (Where(2, "=", "Rain"),))), "Oslo, Lima"),
    (Exists(Rows("t0", (Where(2, "=", "Fog"),))), "No"),
    (Exists(Rows("t0", (Where(2, "=", "Sun"),))), "Yes"),
    (Difference(Read("t0.0.0"), Read("t0.2.0")), "1.109,75 EUR"),
    (Difference(Read("f1"), Read("f2")), "10"),
    (Total(Read("t0.0.0"), Read("t0.1.0")), "2.180,50 EUR"),
    (Ratio(Read("t0.1.1"), Read("t0.0.1"), 1), "2,7"),
    (PercentChange(Read("t0.0.1"), Read("t0.1.1"), 1), "166,7%"),
    (Compare(Read("t0.0.0"), Read("t0.1.0"), "Oslo", "Rome", False), "Rome"),
    (Compare(Read("f1"), Read("f2"), "Opened", "Closed", True), "Closed"),
    (Trend("t0", 0), "mixed"),
    (PageOf("f1"), "2"),
    (Equal(Read("f0"), Read("t0.2.k")), "Yes"),
    (Disagreement("t0", "t1", 0), "Rome"),
    (Absent(("Fax",)), ""),
]


@pytest.mark.parametrize(("program", "answer"), CASES, ids=lambda v: type(v).__name__)
def test_both_evaluations_reach_the_right_answer(program: Expression, answer: str) -> None:
    facts = fact_base()
    printed = printed_facts(facts)
    run = Interpreter(facts, printed.pages).run(program)
    assert run.answer == answer
    assert agrees(answer, evaluate(to_json(program), printed), printed)
    assert run.steps


@pytest.mark.parametrize(("program", "answer"), CASES, ids=lambda v: type(v).__name__)
def test_programs_survive_json(program: Expression, answer: str) -> None:
    assert from_json(to_json(program)) == program


@pytest.mark.parametrize(
    "program",
    [
        Sum(ALL, 0),
        Mean(ALL, 1, 2),
        Difference(Read("t0.0.0"), Read("t0.2.0")),
        Total(Read("t0.0.0"), Read("t0.1.0")),
        Read("t0.0.0"),
        Ratio(Read("t0.0.0"), Read("t0.1.0"), 1),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_changed_operand_changes_the_second_opinion(program: Expression) -> None:
    facts = fact_base()
    printed = printed_facts(facts)
    run = Interpreter(facts, printed.pages).run(program)
    for element in (e for e in run.evidence if not e.endswith(".k")):
        texts = dict(printed.texts)
        texts[element] = texts[element].replace(texts[element][0], "7", 1)
        forged = replace(printed, texts=texts)
        assert not agrees(run.answer, evaluate(to_json(program), forged), forged), element


def test_ties_and_empty_sets_make_a_question_void() -> None:
    facts = fact_base()
    interpreter = Interpreter(facts, {})
    tie = Rows("t0", (Where(2, "=", "Rain"),))
    with pytest.raises(VoidQuestionError, match="empty"):
        interpreter.run(Sum(Rows("t0", (Where(2, "=", "Fog"),)), 0))
    with pytest.raises(VoidQuestionError, match="tie"):
        interpreter.run(Compare(Read("f1"), Read("f1"), "a", "b", True))
    assert interpreter.run(Count(tie)).answer == "2"


def test_absence_is_disproved_by_print() -> None:
    printed = printed_facts(fact_base())
    with pytest.raises(UnprovenError, match="printed after all"):
        evaluate(to_json(Absent(("sales",))), printed)
    with pytest.raises(UnprovenError, match="not printed"):
        evaluate(to_json(Read("f9")), printed)


def test_unknown_operators_are_named() -> None:
    with pytest.raises(DataError, match="'evil' is unknown"):
        evaluate({"op": "evil"}, printed_facts(fact_base()))
    with pytest.raises(DataError, match="wrong fields"):
        from_json({"op": "read", "cell": "x"})


def test_the_page_of_what_is_printed_twice_is_not_proven() -> None:
    printed = printed_facts(fact_base())
    assert printed.full_text.count("Lima") > 1
    with pytest.raises(UnprovenError, match="exactly once"):
        evaluate(to_json(PageOf("f0")), printed)
