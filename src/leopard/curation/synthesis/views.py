"""Views: how a fact base becomes pages.

A view arranges blocks of fields, tables and prose into page bodies in Typst. The same facts can be
a form, a card, a report, a letter, slides, an invoice, a receipt. Knows nothing of questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from leopard.curation.synthesis.composer import Composer
from leopard.curation.synthesis.facts import FactBase, Section, Table, View
from leopard.curation.synthesis.furniture import (
    BUTTONS,
    CLOSINGS,
    CONTINUED,
    FOOTERS,
    GREETINGS,
    INTROS,
    MENU,
    NOTES,
    THANKS,
)
from leopard.curation.synthesis.markup import MARK_SCHEME, marked, marked_in, typst_text
from leopard.curation.synthesis.theme import Theme


@dataclass(frozen=True, slots=True)
class Drawing:
    """Page bodies, and the styles they use."""

    bodies: tuple[str, ...]
    styles: tuple[str, ...]
    views: Mapping[str, View]
    """How each table is drawn, by its id."""
    told: frozenset[str]
    """Ids of the fields that a sentence states, without their labels."""


def _join(blocks: Sequence[str]) -> str:
    return "\n\n".join(block for block in blocks if block)


def _form(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        blocks = [c.title(), c.section_title(section), *c.some(0.25, lambda: c.note(INTROS))]
        names = iter(_SECTION_NAMES)  # letters run on over the headings that are drawn
        for group in c.grouped(section.fields):
            blocks += [*c.some(0.35, lambda: c.heading(next(names))), group]  # noqa: B023
        blocks += [c.table(table) for table in section.tables]
        blocks += c.some(0.3, lambda: c.note(NOTES))
        pages.append(_join(blocks))
    return pages


_SECTION_NAMES = ("A. General", "B. Details", "C. Further information")
"""Headings of a form, which has at most three blocks of fields."""


def _card(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        blocks = [c.title(), c.section_title(section)]
        blocks += c.some(0.4, c.rule)
        blocks += c.grouped(section.fields)
        blocks += [c.table(table) for table in section.tables]
        blocks += c.some(0.2, lambda: c.note(FOOTERS))
        body = _join(blocks)
        pages.append(c.framed(body) if c.rng.random() < 0.5 else body)
    return pages


def _label(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        blocks = [c.title(), c.section_title(section), c.rule()]
        for group in c.grouped(section.fields):
            blocks += [group, *c.some(0.7, c.rule)]
        blocks += [c.table(table) for table in section.tables]
        blocks += c.some(0.4, lambda: _barcode(c))
        pages.append(c.framed(_join(blocks)))
    return pages


def _barcode(c: Composer) -> str:
    """Bars only: a picture of a code, not one to scan."""
    bars, x = [], 0.0
    while x < 120:
        wide = c.rng.choice((0.8, 1.6, 2.4))
        bars.append(f"#place(dx: {x:.1f}pt)[#rect(width: {wide}pt, height: 22pt, fill: black)]")
        x += wide + c.rng.choice((0.8, 1.6, 2.4))
    return f"#box(width: 124pt, height: 24pt)[{''.join(bars)}]"


def _report(c: Composer) -> list[str]:
    pages = []
    for index, section in enumerate(c.facts.sections):
        tell, rest = c.split_prose(section, c.rng.choice((0.0, 0.3, 0.7)))
        blocks = [c.title()] if index == 0 or c.theme.seed % 4 else []
        blocks.append(c.section_title(section))
        blocks += c.some(0.2, lambda: c.note(INTROS))
        body = [c.prose(tell), *c.grouped(rest), *(c.table(table) for table in section.tables)]
        if c.rng.random() < 0.4:
            c.rng.shuffle(body)
        blocks += [*body, *c.some(0.3, lambda: c.note(NOTES)), *c.some(0.3, lambda: _footer(c))]
        pages.append(_join(blocks))
    return pages


def _footer(c: Composer) -> str:
    return f"{c.rule()}\n#v(-0.6em)\n{c.note(FOOTERS)}"


def _letter(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        tell, rest = c.split_prose(section, 0.9)
        half = len(tell) // 2
        blocks = [c.title(), c.section_title(section)]
        blocks += [c.fields(rest, c.rng.choice(("lines", "grid", "far"))) if rest else ""]
        blocks += [typst_text(c.rng.choice(GREETINGS)), c.prose(tell[:half]), c.prose(tell[half:])]
        blocks += [c.table(table) for table in section.tables]
        blocks += [c.note(NOTES), typst_text(c.rng.choice(CLOSINGS))]
        pages.append(_join(blocks))
    return pages


def _memo(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        tell, rest = c.split_prose(section, 0.5)
        head = c.fields(rest, c.rng.choice(("lines", "grid", "ruled"))) if rest else ""
        blocks = [c.title(), c.section_title(section), head, c.rule(), c.prose(tell)]
        blocks += [c.table(table) for table in section.tables]
        blocks += c.some(0.4, lambda: c.note(NOTES))
        pages.append(_join(blocks))
    return pages


def _slides(c: Composer) -> list[str]:
    bodies = []
    for section in c.facts.sections:
        parts = [c.fields(section.fields[i : i + 5], c.rng.choice(("bullets", "lines", "grid",
                                                                  "beneath", "far")))
                 for i in range(0, len(section.fields), 5)]  # fmt: skip
        parts += [c.table(table) for table in section.tables]
        for part in parts:
            head = c.title(None if not section.title else "", 1.5)
            if section.title:
                head = head.replace(typst_text(""), marked(section.id, section.title))
            bodies.append(_join([head, part]))
    return bodies


def _kpi(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        blocks = [c.title(), c.section_title(section), c.fields(section.fields, "beneath")]
        blocks += [c.table(table) for table in section.tables]
        pages.append(_join(blocks))
    return pages


def _figure(c: Composer) -> list[str]:
    """Charts or tables by themselves, at most with a heading and a source."""
    pages = []
    for section in c.facts.sections:
        blocks = [*c.some(0.3, c.title), c.section_title(section)]
        blocks += [c.table(table) for table in section.tables]
        pages.append(_join([*blocks, *c.some(0.2, lambda: c.note(FOOTERS))]))
    return pages


def _certificate(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        tell, rest = c.split_prose(section, 0.9)
        told = "\n\n".join(c.prose([field]) for field in tell)
        body = _join([
            c.title(scale=2.0), c.section_title(section), c.rule(), told, c.rule(),
            c.fields(rest, c.rng.choice(("above", "beneath", "lines"))) if rest else "",
        ])  # fmt: skip
        pages.append(c.framed(f"#align(center)[{body}]"))
    return pages


_SUMS = frozenset({"subtotal", "discount", "tax", "total", "paid", "change"})


def _invoice(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        sums = [f for f in section.fields if f.spec.name in _SUMS]
        head = [f for f in section.fields if f.spec.name not in _SUMS]
        half = len(head) // 2
        if c.is_narrow or c.rng.random() < 0.5:
            top = [c.fields(head)]
        else:
            left, right = c.fields(head[:half], "lines"), c.fields(head[half:], "lines")
            top = [f"#grid(columns: (1fr, 1fr), column-gutter: 1em, [{left}], [{right}])"]
        totals = c.fields(sums, c.rng.choice(("far", "grid", "lines", "ruled", "dotted")))
        if not c.is_narrow:
            side = c.rng.choice(("right", "right", "left"))
            totals = f"#align({side})[#block(width: 50%)[{totals}]]"
        blocks = [c.title(), c.section_title(section), *top]
        blocks += [c.table(table, caption=table.is_cut) for table in section.tables]
        blocks += [totals, *c.some(0.5, lambda: c.note(THANKS))]
        pages.append(_join(blocks))
    return pages


def _receipt(c: Composer) -> list[str]:
    pages = []
    dashes = '#box(width: 1fr, repeat(text("-")))'
    for section in c.facts.sections:
        sums = [f for f in section.fields if f.spec.name in _SUMS]
        head = [f for f in section.fields if f.spec.name not in _SUMS]
        late = [f for f in head if f.spec.name in {"payment", "card", "cashier", "web"}]
        head = [f for f in head if f not in late]
        rule = c.rng.choice((dashes, c.rule()))
        styles = ("lines", "far", "lines", "grid", "dotted")
        blocks = [f"#align(center)[{c.title()}]", c.section_title(section)]
        blocks += [c.fields(head, c.rng.choice(styles)), rule]
        blocks += [
            c.table(t, c.rng.choice(("plain", "plain", "rules", "booktabs")), caption=t.is_cut)
            for t in section.tables
        ]
        blocks += [rule, c.fields(sums, c.rng.choice(("far", "far", "dotted", "ruled")))]
        blocks += [rule if late else "", c.fields(late, c.rng.choice(styles))]
        blocks += c.some(0.6, lambda: f"#align(center)[{c.note(THANKS)}]")
        pages.append(_join(blocks))
    return pages


def _web(c: Composer) -> list[str]:
    """A browser window: address, menu, content beside a column of links, footer."""
    pages = []
    names = c.rng.sample(MENU, c.rng.randint(3, 6))
    host = f"www.{c.rng.choice(MENU).lower()}-{c.rng.randint(2, 99)}.example"
    for section in c.facts.sections:
        dots = "".join(
            f'#box(circle(radius: 3pt, fill: rgb("{colour}"))) '
            for colour in ("#ff5f57", "#febc2e", "#28c840")
        )
        address = f"#box(fill: white, radius: 6pt, inset: 0.4em, width: 70%)[{typst_text(host)}]"
        window = f"#block(width: 100%, fill: luma(225), inset: 0.5em)[{dots} #h(1em) {address}]"
        links = " #h(1.4em) ".join(typst_text(name) for name in names)
        menu = (
            f'#block(width: 100%, fill: rgb("{c.theme.accent}"), inset: 0.7em)'
            f"[#text(fill: white)[#strong[{links}]]]"
        )
        main = [c.title(), c.section_title(section), *c.grouped(section.fields)]
        main += [c.table(table) for table in section.tables]
        main += c.some(0.7, lambda: _buttons(c))
        body = _join(main)
        if c.rng.random() < 0.5 and not any(t.is_chart for t in section.tables):
            side = "\n\n".join(f"#underline[{typst_text(n)}]" for n in c.rng.sample(MENU, 6))
            body = (
                f"#grid(columns: (18%, 1fr), column-gutter: 1.5em, "
                f'[#text(fill: rgb("{c.theme.accent}"))[{side}]], [{body}])'
            )
        foot = f"#text(size: {c.theme.small}em)[{typst_text(' | '.join(c.rng.sample(MENU, 4)))}]"
        pages.append("\n".join([window, menu, body, f"#align(center)[{foot}]"]))
    return pages


def _buttons(c: Composer) -> str:
    fill = f'fill: rgb("{c.theme.accent}"), radius: 4pt, inset: 0.6em'
    return " #h(0.8em) ".join(
        f"#box({fill})[#text(fill: white)[{typst_text(name)}]]"
        for name in c.rng.sample(BUTTONS, c.rng.randint(1, 3))
    )


VIEWS: dict[str, Callable[[Composer], list[str]]] = {
    "form": _form, "card": _card, "label": _label, "report": _report, "letter": _letter,
    "memo": _memo, "slides": _slides, "kpi": _kpi, "certificate": _certificate,
    "figure": _figure,
    "invoice": _invoice, "receipt": _receipt, "web": _web,
}  # fmt: skip


def compose(view: str, composer: Composer) -> Drawing:
    """The page bodies of a view; a table that is cut goes on on the pages after its first part."""
    whole = composer.facts
    composer.facts = _first_parts(whole)
    bodies = VIEWS[view](composer)
    composer.facts = whole
    for section in whole.sections:
        for table in section.tables:
            shown = [i for i, body in enumerate(bodies) if f'"{MARK_SCHEME}{table.id}.' in body]
            if table.is_cut and shown:
                more = [_continued(composer, section, part) for part in table.parts[1:]]
                bodies[shown[-1] + 1 : shown[-1] + 1] = more
    return Drawing(
        tuple(bodies),
        tuple(dict.fromkeys(composer.styles_used)),
        composer.views,
        frozenset(composer.told),
    )


def _first_parts(facts: FactBase) -> FactBase:
    sections = tuple(
        replace(section, tables=tuple(table.parts[0] for table in section.tables))
        for section in facts.sections
    )
    return replace(facts, sections=sections)


def _continued(c: Composer, section: Section, part: Table) -> str:
    """A page with a later part of a table."""
    words = marked_in(c.rng.choice(CONTINUED), part.title_id, part.title)
    chance = 0.85 if c.facts.is_alone(part) else 1.0
    blocks = [*c.some(0.3, c.title), *c.some(0.4, lambda: c.section_title(section))]
    blocks += [*c.some(chance, lambda: f"#strong[{words}]"), c.table(part, caption=False)]
    return _join([*blocks, *c.some(0.3, lambda: c.note(FOOTERS))])


def typst_source(theme: Theme, drawing: Drawing, width: float, height: float | None) -> str:
    """Typst code of a whole document with pages of one size, in points."""
    pages = "\n#pagebreak()\n".join(drawing.bodies)
    return theme.preamble(width, height) + pages


def shrunk(theme: Theme, factor: float) -> Theme:
    """The theme with smaller body text."""
    return replace(theme, size=theme.size * factor)
