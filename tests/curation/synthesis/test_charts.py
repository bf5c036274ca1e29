"""Charts print every value where its mark is, and nothing clashes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from leopard.curation.randomness import stream
from leopard.curation.synthesis.chart_painter import ChartPainter
from leopard.curation.synthesis.charts import (
    CHART_KINDS,
    MULTIPLE,
    SINGLE,
    draw_chart,
    is_chartable,
)
from leopard.curation.synthesis.facts import Column, Table
from leopard.curation.synthesis.printed import read_pdf
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.theme import TRAIN_FONTS, draw_theme
from leopard.curation.synthesis.values import Locale, Value

pytest.importorskip("typst")


def table(columns: int) -> Table:
    numbers = ((42, 30, 25), (64, 35, 28), (51, 26, 30), (80, 40, 33))
    cells = tuple(
        tuple(Value("number", str(n), Decimal(n)) for n in row[:columns]) for row in numbers
    )
    keys = tuple(Value("text", name) for name in ("Jan", "Feb", "Mar", "Apr"))
    names = tuple(Column(name) for name in ("Sales", "Costs", "Rest")[:columns])
    return Table("t0", "Shops", "month", "Month", keys, names, cells, is_series=True)


def test_there_are_at_least_twelve_kinds() -> None:
    assert len(CHART_KINDS) >= 12


@pytest.mark.parametrize("kind", CHART_KINDS)
def test_every_value_and_name_is_printed_under_its_mark(kind: str) -> None:
    rng = stream("chart", kind)
    theme = draw_theme(rng, printer().available(TRAIN_FONTS)[:1], 10, 460)
    chart = table(1 if kind in SINGLE else 2)
    painter = ChartPainter(chart, theme, Locale(), rng, 400)
    ({**SINGLE, **MULTIPLE})[kind](painter)
    pdf, warnings = printer().pdf(theme.preamble(460, None) + painter.figure.typst())
    (page,) = read_pdf(pdf)
    assert not warnings
    assert page.num_clashes == page.num_clipped == 0
    for row, key in enumerate(chart.keys):
        assert page.marks[chart.key_id(row)].text == key.text
        for column, cell in enumerate(chart.cells[row]):
            assert page.marks[chart.cell_id(row, column)].text == cell.text
    assert {page.marks[chart.header_id(c)].text for c in range(len(chart.columns))} == {
        column.label for column in chart.columns
    }


def test_bars_are_as_long_as_their_values() -> None:
    rng = stream("bars")
    theme = draw_theme(rng, printer().available(TRAIN_FONTS)[:1], 10, 460)
    painter = ChartPainter(table(1), theme, Locale(), rng, 400)
    SINGLE["bar"](painter)
    widths = [
        float(shape.split('width="')[1].split('"')[0])
        for shape in painter.figure.shapes
        if shape.startswith("<rect")
    ]
    assert widths[0] / widths[3] == pytest.approx(42 / 80, rel=1e-3)


def test_tables_of_mixed_or_negative_values_are_no_charts() -> None:
    chart = table(2)
    mixed = replace(chart.cells[0][0], kind="text", number=None)
    assert is_chartable(chart)
    assert not is_chartable(replace(chart, cells=((mixed, chart.cells[0][1]), *chart.cells[1:])))
    below = replace(chart.cells[0][0], number=Decimal(-1))
    assert not is_chartable(replace(chart, cells=((below, chart.cells[0][1]), *chart.cells[1:])))


def test_names_that_cannot_fit_give_no_chart_rather_than_a_clash() -> None:
    rng = stream("long")
    theme = draw_theme(rng, printer().available(TRAIN_FONTS)[:1], 10, 460)
    long = replace(table(2), keys=tuple(Value("text", f"{i}" * 60) for i in range(4)))
    assert draw_chart(long, theme, Locale(), rng, 200) is None


def test_series_without_a_common_axis_are_no_chart() -> None:
    chart = table(2)
    units = (replace(chart.columns[0], label="Wind (km/h)"), chart.columns[1])
    assert not is_chartable(replace(chart, columns=units))
    speck = tuple((row[0], replace(row[1], number=Decimal("0.5"))) for row in chart.cells)
    assert not is_chartable(replace(chart, cells=speck))
