"""One printed document from one random stream: facts, view, PDF, and what the PDF shows.

A document that is not printed as meant (warnings, clashing or clipped text, text that differs from
the facts, illegible or oversized pages) is thrown away with its reason. Knows nothing of samples.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from leopard.curation.programs.evaluator import PrintedFacts
from leopard.curation.randomness import stream
from leopard.curation.synthesis.browser import needed_browser
from leopard.curation.synthesis.composer import Composer
from leopard.curation.synthesis.domains import GENERIC, Amounts, domains, draw_facts
from leopard.curation.synthesis.facts import FactBase, View
from leopard.curation.synthesis.printed import Place, PrintedPage, count_pages, read_pdf
from leopard.curation.synthesis.printer import printer
from leopard.curation.synthesis.settings import SynthSettings
from leopard.curation.synthesis.theme import Theme, draw_theme
from leopard.curation.synthesis.values import draw_locale
from leopard.curation.synthesis.views import compose, typst_source
from leopard.curation.synthesis.web_views import WebDrawing, WebPainter

X_HEIGHT = 0.47
"""Height of a lower-case x as a share of the font size, a low value among text fonts."""
CAP_TO_X = 0.68
"""Height of a lower-case x as a share of a capital's height."""
BROWSER_LINE_TO_X = 0.43
"""The same as a share of a browser's link box, which is as high as the font's line."""
CROP = 364
"""Side of a crop, in pixels; small pages are made to fit one to four."""
SHEETS = ((420.0, 595.0), (595.0, 842.0), (612.0, 792.0), (595.0, 842.0), (516.0, 729.0))
"""A5, A4, letter, A4, B5, in points."""
SLIDES = ((480.0, 270.0), (640.0, 360.0), (480.0, 360.0))
SCREENS = ((620.0, 0.0), (760.0, 0.0), (960.0, 0.0))
PAGE_SIZES = {"sheet": SHEETS, "slide": SLIDES, "screen": SCREENS}
SMALL_VIEWS = frozenset({"card", "label", "form", "receipt", "invoice", "kpi", "memo", "letter",
                         "report", "certificate"})  # fmt: skip


class RejectedError(Exception):
    """A document that is not printed as meant; the message is the reason."""


@dataclass(frozen=True, slots=True)
class PageFormat:
    """Size of the pages, in points, and the resolution of their reference picture."""

    name: str
    width: float
    height: float | None
    """None where a page is as long as its content."""
    dpi: float
    size: float
    """Body text, in points."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a document says and how it is to look, before it is printed."""

    facts: FactBase
    theme: Theme
    format: PageFormat
    view: str
    held_out: bool
    """Whether styles held out for testing may be used."""
    layout_seed: int
    renderer: str = "typst"
    """`typst` or `chromium`."""


@dataclass(frozen=True)
class PrintedDocument:
    """A document and what its PDF shows."""

    blueprint: Blueprint
    styles: tuple[str, ...]
    pdf: bytes
    pages: tuple[PrintedPage, ...]
    num_bodies: int
    """Pages that the view meant to make."""
    views: Mapping[str, View]
    """How each table is drawn, by its id."""
    told: frozenset[str] = frozenset()
    """Ids of the fields that a sentence states, without their labels."""

    @property
    def facts(self) -> FactBase:
        """What the document says."""
        return self.blueprint.facts

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """First place of every printed element."""
        found: dict[str, Place] = {}
        for page in self.pages:
            for element, place in page.marks.items():
                found.setdefault(element, place)
        return found

    @cached_property
    def printed(self) -> PrintedFacts:
        """What the second evaluator may know."""
        return PrintedFacts(
            texts={element: place.text for element, place in self.places.items()},
            pages={element: place.page + 1 for element, place in self.places.items()},
            full_text=" ".join(page.text for page in self.pages),
            locale=self.facts.locale.to_dict(),
            shown_on={
                element: frozenset(
                    n for n, page in enumerate(self.pages, 1) if element in page.marks
                )
                for element in self.places
            },
            views=self.views,
            told=self.told,
        )


def make_document(
    rng: random.Random,
    settings: SynthSettings,
    *,
    held_out: bool,
    shrink: float = 1.0,
    page_kind: str | None = None,
) -> PrintedDocument:
    """Draw, print and check one document.

    Args:
        rng: Where all choices come from.
        settings: What may be drawn.
        held_out: Whether to use the fonts and styles held out for testing.
        shrink: Share of the usual amount of content; lower it when pages run over.
        page_kind: Page format; drawn by the shares of the settings if not given.

    Raises:
        RejectedError: With the reason.
    """
    blueprint = draw_blueprint(rng, settings, held_out=held_out, shrink=shrink, page_kind=page_kind)
    document = print_blueprint(blueprint, most_pages=settings.max_pages)
    check_document(document, blueprint.facts, settings)
    return document


def draw_page_kind(rng: random.Random, settings: SynthSettings) -> str:
    """A page format by the shares of the settings."""
    weights = settings.pages.model_dump()
    return rng.choices([*weights], [*weights.values()])[0]


def draw_blueprint(
    rng: random.Random,
    settings: SynthSettings,
    *,
    held_out: bool,
    shrink: float = 1.0,
    page_kind: str | None = None,
    renderer: str = "typst",
) -> Blueprint:
    """Everything that decides how a document looks and what it says; see `make_document`."""
    page_format = _draw_format(rng, settings, page_kind or draw_page_kind(rng, settings))
    names = settings.domains or dict.fromkeys((*domains(), GENERIC), 1.0)
    domain = rng.choices([*names], [*names.values()])[0]
    locale = draw_locale(rng, ascii_only=settings.ascii_only)
    view = "slides" if page_format.name == "slide" else None
    sections = rng.choices(range(len(settings.section_weights)), settings.section_weights)[0] + 1
    chart_share = settings.chart_share
    if page_format.name == "figure":  # charts only, or tables only
        chart_share = float(rng.random() < chart_share)
    amounts = replace(
        _amounts(rng, page_format, shrink, sections),
        chart_share=chart_share,
        copy_share=settings.copy_share,
        split_share=settings.split_share,
    )
    facts = draw_facts(rng, domain, locale, amounts, view)
    view = _draw_view(rng, facts, page_format)
    fonts = printer().available(
        settings.held_out_fonts if held_out else settings.fonts, in_files=renderer != "typst"
    )
    theme = draw_theme(rng, fonts, page_format.size, page_format.width)
    return Blueprint(facts, theme, page_format, view, held_out, rng.getrandbits(64), renderer)


def print_blueprint(blueprint: Blueprint, *, most_pages: int | None = None) -> PrintedDocument:
    """Print a blueprint and read the pages back; the same blueprint gives the same bytes.

    Args:
        blueprint: What to print.
        most_pages: A longer document is not read back, which takes longer than printing it.

    Raises:
        RejectedError: If the typesetter warns, for example of a missing font; or for its pages.
    """
    page = blueprint.format
    composer = Composer(
        blueprint.facts,
        blueprint.theme,
        stream("layout", blueprint.layout_seed),
        width=page.width,
        held_out=blueprint.held_out,
    )
    drawing = compose(blueprint.view, composer)
    pdf, warnings = printer().pdf(typst_source(blueprint.theme, drawing, page.width, page.height))
    if warnings:
        raise RejectedError("typst warning")
    if most_pages is not None:
        _check_length(count_pages(pdf), len(drawing.bodies), most_pages)
    pages = tuple(read_pdf(pdf))
    return PrintedDocument(
        blueprint, drawing.styles, pdf, pages, len(drawing.bodies), drawing.views, drawing.told
    )


def draw_web(blueprint: Blueprint) -> WebDrawing:
    """A blueprint in HTML."""
    painter = WebPainter(
        blueprint.facts,
        blueprint.theme,
        stream("web", blueprint.layout_seed),
        width=blueprint.format.width,
        held_out=blueprint.held_out,
    )
    return painter.draw()


def print_web(blueprints: Sequence[Blueprint]) -> list[PrintedDocument]:
    """Print web pages in one batch and read them back; the same batch gives the same bytes.

    Raises:
        ConfigError: If there is no browser, or it fails.
    """
    drawings = [draw_web(blueprint) for blueprint in blueprints]
    files = needed_browser().print([drawing.document for drawing in drawings])
    return [
        PrintedDocument(
            blueprint,
            drawing.styles,
            pdf,
            tuple(read_pdf(pdf)),
            len(drawing.document.parts),
            drawing.views,
        )
        for blueprint, drawing, pdf in zip(blueprints, drawings, files, strict=True)
    ]


def _draw_format(rng: random.Random, settings: SynthSettings, name: str) -> PageFormat:
    # Small print is at least 0.8 of the body: the body is a little larger than it need be.
    low, high = settings.min_x_height / 0.9, settings.max_x_height
    x_height = low + (high - low) * rng.betavariate(1, 2.5)
    size_px = x_height / X_HEIGHT
    if name in ("small", "figure"):
        width_px = rng.choice((rng.uniform(250, CROP), rng.uniform(340, 2 * CROP)))
        if name == "figure":  # charts need room for their labels
            width_px = rng.uniform(CROP, 2.2 * CROP)
        dpi = rng.choice((96.0, 100.0, 110.0, 120.0, 130.0, 144.0))
        return PageFormat(name, width_px * 72 / dpi, None, dpi, size_px * 72 / dpi)
    width, height = rng.choice(PAGE_SIZES[name])
    size = rng.uniform(13, 18) * width / 480 if name == "slide" else rng.uniform(9, 12.5)
    # Some pages end below their content; a browser window is as long as it is.
    fits = name == "screen" or (name == "sheet" and rng.random() < 0.4)
    return PageFormat(name, width, None if fits else height, round(size_px * 72 / size, 1), size)


def _amounts(rng: random.Random, page: PageFormat, shrink: float, sections: int) -> Amounts:
    """How much content suits a page format."""
    columns = page.width / page.size
    if page.name == "small":
        most = Amounts(rng.randint(3, 9), rng.randint(2, 6), max(1, int(columns / 14)), 1)
    elif page.name == "figure":
        most = Amounts(0, rng.randint(3, 9), max(1, int(columns / 11)), 1)
    elif page.name == "slide":
        most = Amounts(rng.randint(3, 9), rng.randint(3, 6), 4, 2)
    else:
        most = Amounts(rng.randint(6, 20), rng.randint(4, 12), rng.randint(2, 6), 2)
    return Amounts(
        max(2, int(most.fields * shrink)) if most.fields else 0,
        max(2, int(most.rows * shrink)),
        most.columns,
        most.tables,
        sections,
    )


def _draw_view(rng: random.Random, facts: FactBase, page: PageFormat) -> str:
    fixed = {"slide": "slides", "screen": "web", "figure": "figure"}
    if page.name in fixed:
        return fixed[page.name]
    views = [v for v in facts.views if v != "slides" and (page.name != "small" or v in SMALL_VIEWS)]
    return rng.choice(views or ["report"])


def check_document(document: PrintedDocument, facts: FactBase, settings: SynthSettings) -> None:
    """Check that the pages are legible and show exactly the facts.

    Raises:
        RejectedError: With the first reason found.
    """
    page_format = document.blueprint.format
    pages, dpi = document.pages, page_format.dpi
    _check_length(len(pages), document.num_bodies, settings.max_pages)
    if any(page.num_clipped for page in pages):
        raise RejectedError("clipped text")
    if any(page.num_clashes for page in pages):
        raise RejectedError("clashing text")
    if any(page.num_covered for page in pages):
        raise RejectedError("covered text")
    if any(page.num_touching for page in pages):
        raise RejectedError("touching text")
    line_to_x = CAP_TO_X if document.blueprint.renderer == "typst" else BROWSER_LINE_TO_X
    lowest = min(page.min_text_height for page in pages) * dpi / 72 * line_to_x
    if math.isinf(lowest):
        raise RejectedError("nothing marked")
    if lowest < settings.min_x_height * 0.93:
        raise RejectedError("illegible text")
    if page_format.name == "small" and any(not _fits_four_crops(p, dpi) for p in pages):
        raise RejectedError("too large for four crops")
    _check_text(document, facts)


def _check_length(num_pages: int, num_bodies: int, most_pages: int) -> None:
    if num_pages > most_pages:
        raise RejectedError("too many pages")
    if num_pages != num_bodies:
        raise RejectedError("page runs over")


def _fits_four_crops(page: PrintedPage, dpi: float) -> bool:
    cols, rows = (math.ceil(side * dpi / 72 / CROP - 0.02) for side in (page.width, page.height))
    return cols * rows <= 4


def _check_text(document: PrintedDocument, facts: FactBase) -> None:
    """Every mark must show exactly the text of its fact."""
    expected = dict(facts.elements())
    # Kerning in the other typesetter makes gaps that look like blanks.
    blanks_count = document.blueprint.renderer == "chromium"
    for page in document.pages:
        for element, place in page.marks.items():
            want, got = "".join(expected[element].split()), "".join(place.text.split())
            if ".h." in element or element.startswith("s"):
                # Headers follow the document's letter case and may be repeated in every row.
                want, got = want.casefold(), got.casefold()
                if got != want * max(1, len(got) // max(1, len(want))):
                    raise RejectedError("printed text differs from the fact")
            elif got != want or (
                blanks_count and place.text != " ".join(expected[element].split())
            ):
                raise RejectedError("printed text differs from the fact")
