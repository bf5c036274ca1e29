"""Rates of every step per CPU-second, with their goals, and peers where they can run here.

CPU-seconds of this process and those it starts (user and system) rather than wall time: they
hardly change with what else the computer does. Knows nothing of how rates are shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from leopard.curation.peers import (
    Clock,
    browser_screenshots,
    matplotlib_charts,
    weasyprint_pages,
)
from leopard.curation.pixels import draw, to_jpeg
from leopard.curation.randomness import stream
from leopard.curation.synthesis.browser import WebDocument, browser
from leopard.curation.synthesis.charts import draw_chart
from leopard.curation.synthesis.documents import Blueprint, draw_blueprint, draw_web, print_web
from leopard.curation.synthesis.domains import Amounts, domains, draw_facts
from leopard.curation.synthesis.printed import read_pdf
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.samples import Made, SampleMaker
from leopard.curation.synthesis.settings import PageShares, SynthSettings
from leopard.curation.synthesis.theme import TRAIN_FONTS, draw_theme
from leopard.curation.synthesis.values import draw_locale
from leopard.schema.samples import VectorPage
from leopard.schema.shards import write_shard


@dataclass(frozen=True, slots=True)
class Rate:
    """One measured rate."""

    what: str
    per_second: float | None
    """Per CPU-second; None where it cannot be measured here."""
    goal: float | None = None


def bench(settings: SynthSettings, count: int = 60) -> Iterator[Rate]:
    """Measure each step on `count` samples of the settings."""
    plain = settings.model_copy(update={"web_renderer": "typst"})  # the browser has its own line
    maker = SampleMaker(plain)
    maker.make(0)  # fonts are scanned once per process
    clock = Clock()
    made = [maker.make(index) for index in range(1, count + 1)]
    pages = [(item, page) for item in made for page in item.sample.images]
    yield Rate("samples, verified, as vectors", clock.rate(count))
    yield Rate("vector pages", clock.rate(len(pages)), 35)
    yield Rate("verified questions", clock.rate(sum(len(m.sample.qa) for m in made)))
    yield from _end_to_end(made, pages, clock)
    yield Rate("charts, drawn, read back and as JPEG", _charts(count), 60)
    yield from _four_pages(plain, max(4, count // 2))
    pages_of_web = [_web_blueprint(settings, index) for index in range(max(4, count // 3))]
    if browser() is not None:
        yield Rate("web pages by a browser in batches, read back, as JPEG", _web(pages_of_web))
    yield from _peers(count, [draw_web(item).document for item in pages_of_web[: count // 10 + 1]])


def _peers(count: int, documents: list[WebDocument]) -> Iterator[Rate]:
    found = {
        "matplotlib, plain bar charts as JPEG": matplotlib_charts(max(4, count // 10)),
        "one browser start and screenshot per page, as JPEG": browser_screenshots(documents),
        "WeasyPrint pages, drawn, as JPEG": weasyprint_pages(documents),
    }
    for name, rate in found.items():
        yield Rate(f"peer: {name}" + ("" if rate else " (not installed)"), rate)


def _web_blueprint(settings: SynthSettings, index: int) -> Blueprint:
    pages = PageShares(small=0, sheet=0, slide=0, screen=1)
    screens = settings.model_copy(update={"pages": pages})
    renderer = "typst" if browser() is None else "chromium"
    return draw_blueprint(stream("bench web", index), screens, held_out=False, renderer=renderer)


def _web(blueprints: list[Blueprint]) -> float:
    clock, drawn = Clock(), 0
    for document in print_web(blueprints):
        for number, page in enumerate(document.pages, 1):
            size = round(page.width * 150 / 72), round(page.height * 150 / 72)
            vector = VectorPage(pdf_ref="", page=number, dpi=150, width=size[0], height=size[1])
            to_jpeg(draw(document.pdf, vector))
            drawn += 1
    return clock.rate(drawn)


def _end_to_end(
    made: list[Made], pages: Sequence[tuple[Made, object]], clock: Clock
) -> Iterator[Rate]:
    for item, page in pages:
        assert isinstance(page, VectorPage)
        at_150 = VectorPage(
            pdf_ref=page.pdf_ref,
            page=page.page,
            dpi=150,
            width=round(page.width * 150 / page.dpi),
            height=round(page.height * 150 / page.dpi),
        )
        to_jpeg(draw(item.pdf, at_150))
    with TemporaryDirectory() as folder:
        pdfs = {hashlib.sha256(m.pdf).hexdigest(): m.pdf for m in made}
        write_shard(Path(folder) / "a.parquet", [m.sample for m in made], pdfs=pdfs)
    yield Rate("page images, end to end, JPEG at 150 dpi", clock.rate(len(pages)), 20)


def _four_pages(settings: SynthSettings, count: int) -> Iterator[Rate]:
    values = settings.model_dump()
    values |= {"section_weights": (0, 0, 0, 1), "max_pages": 8, "min_turns": 3, "max_turns": 4}
    values["pages"] = {"small": 0, "sheet": 1, "slide": 0}
    values["split_share"] = 0.0  # a table that goes on would make a fifth page
    maker = SampleMaker(SynthSettings.model_validate(values))
    clock = Clock()
    for index in range(count):
        item = maker.make(index)
        for page in item.sample.images:
            assert isinstance(page, VectorPage)
            to_jpeg(draw(item.pdf, page))
    rate = clock.rate(count)
    yield Rate("four-page samples with 3+ verified turns, as JPEG", rate, 5)
    yield Rate("core-hours per million of these", 1e6 / rate / 3600)


def _charts(count: int) -> float:
    fonts = printer().available(TRAIN_FONTS)
    clock, drawn, index = Clock(), 0, 0
    while drawn < count:
        index += 1
        rng = stream("bench chart", index)
        locale = draw_locale(rng, ascii_only=True)
        domain = rng.choice([*domains()])
        facts = draw_facts(rng, domain, locale, Amounts(2, 8, 3, 1, chart_share=1.0))
        theme = draw_theme(rng, fonts, 10, 420)
        for table in facts.tables.values():
            chart = draw_chart(table, theme, locale, rng, 380)
            if chart is None:
                continue
            pdf, _ = printer().pdf(theme.preamble(420, None) + chart[1])
            (page,) = read_pdf(pdf)
            size = round(page.width * 1.6), round(page.height * 1.6)
            vector = VectorPage(pdf_ref="", page=1, dpi=115.2, width=size[0], height=size[1])
            to_jpeg(draw(pdf, vector))
            drawn += 1
    return clock.rate(drawn)
