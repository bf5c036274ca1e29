"""Views: how a fact base becomes pages.

A view arranges blocks of fields, tables and prose into page bodies in Typst. The same facts can be
a form, a card, a report, a letter, slides, an invoice, a receipt. Knows nothing of questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from leopard.curation.synthesis.charts import draw_chart
from leopard.curation.synthesis.facts import FactBase, Field, Section, Table
from leopard.curation.synthesis.field_blocks import (
    FIELD_STYLES,
    HELD_OUT_FIELD_STYLES,
    NARROW_UNFIT,
    FieldPainter,
)
from leopard.curation.synthesis.furniture import (
    BUTTONS,
    CLOSINGS,
    FOOTERS,
    GREETINGS,
    INTROS,
    MENU,
    NOTES,
    THANKS,
)
from leopard.curation.synthesis.markup import marked, typst_text
from leopard.curation.synthesis.table_blocks import (
    HELD_OUT_TABLE_STYLES,
    TABLE_STYLES,
    TablePainter,
)
from leopard.curation.synthesis.theme import Theme

NARROW = 42
"""Pages less wide than this, in em, do not take wide blocks."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Page bodies, and the styles they use."""

    bodies: tuple[str, ...]
    styles: tuple[str, ...]


class Composer:
    """Puts blocks together in the look of one document.

    Args:
        facts: What to print.
        theme: The look.
        rng: Where all choices come from.
        width: Width of a page, in points.
        held_out: Whether styles held out for testing may be used.
    """

    def __init__(
        self,
        facts: FactBase,
        theme: Theme,
        rng: random.Random,
        *,
        width: float,
        held_out: bool = False,
    ) -> None:
        self.facts, self.theme, self.rng = facts, theme, rng
        self.width = width
        self.is_narrow = width / theme.size < NARROW
        self.styles_used: list[str] = []
        self._fields = [n for n in FIELD_STYLES if held_out or n not in HELD_OUT_FIELD_STYLES]
        if self.is_narrow:
            self._fields = [n for n in self._fields if n not in NARROW_UNFIT]
        self._tables = [n for n in TABLE_STYLES if held_out or n not in HELD_OUT_TABLE_STYLES]
        if held_out:  # test documents show held-out styles as often as all others together
            self._fields += sorted(HELD_OUT_FIELD_STYLES - NARROW_UNFIT) * 6
            self._tables += sorted(HELD_OUT_TABLE_STYLES) * 4
        self._document_field_style = rng.choice(self._fields)

    # -- blocks ----------------------------------------------------------------------------------

    def fields(self, fields: Sequence[Field], style: str | None = None) -> str:
        """A block of labelled values; half of the blocks share the document's style."""
        if not fields:
            return ""
        if style is None:
            same = self.rng.random() < 0.5
            style = self._document_field_style if same else self.rng.choice(self._fields)
        self.styles_used.append(f"fields:{style}")
        return FIELD_STYLES[style](FieldPainter(self.rng, self.theme), fields)

    def table(self, table: Table, style: str | None = None, *, caption: bool = True) -> str:
        """A table, usually with its caption."""
        chart = self.chart(table) if table.is_chart else None
        if chart is not None:
            body = chart
        else:
            style = style or self.rng.choice(self._tables)
            self.styles_used.append(f"table:{style}")
            body = TABLE_STYLES[style](TablePainter(self.rng, self.theme), table)
        if not caption or self.rng.random() < 0.25:
            return body
        text = f"#strong[{typst_text(table.title)}]"
        return f"{text}\n\n{body}" if self.rng.random() < 0.8 else f"{body}\n\n{text}"

    def chart(self, table: Table) -> str | None:
        """A table as a chart, or None where no kind of chart fits."""
        inner = self.width - 2 * self.theme.margin - 2 * self.theme.size
        width = min(inner, self.theme.size * self.rng.uniform(26, 48))
        drawn = draw_chart(table, self.theme, self.facts.locale, self.rng, width)
        if drawn is None:
            return None
        self.styles_used.append(f"chart:{drawn[0]}")
        return drawn[1]

    def prose(self, fields: Sequence[Field]) -> str:
        """Sentences that state the fields, as one paragraph."""
        sentences = []
        for field in fields:
            before, after = self.rng.choice(field.spec.sentences).split("{v}")
            value = f"#box[{marked(field.id, field.value.text)}]"
            sentences.append(
                (typst_text(before) + ("~" if before.endswith(" ") else "") if before else "")
                + value
                + _after(after)
            )
        return " ".join(sentences).replace("~#box", " #box")

    def title(self, text: str | None = None, scale: float | None = None) -> str:
        """The document's title."""
        theme = self.theme
        words = self.facts.title if text is None else text
        words = words.upper() if theme.heading_caps else words
        body = f'#text(size: {scale or theme.title_scale:.2f}em, weight: "bold"'
        if theme.title_fill:
            inner = f"{body}, fill: white)[{typst_text(words)}]"
            return (
                f'#block(width: 100%, fill: rgb("{theme.accent}"), inset: 0.6em)'
                f"[#align({theme.title_align})[{inner}]]"
            )
        colour = theme.accent if theme.seed % 2 else theme.ink
        return f'#align({theme.title_align})[{body}, fill: rgb("{colour}"))[{typst_text(words)}]]'

    def heading(self, text: str) -> str:
        """A heading within a page."""
        body = f'#text(size: 1.15em, weight: "bold", fill: rgb("{self.theme.accent}"))'
        rule = "\n#v(-0.7em)#line(length: 100%, stroke: 0.5pt)" if self.theme.seed % 3 == 0 else ""
        return f"{body}[{typst_text(text)}]{rule}"

    def section_title(self, section: Section) -> str:
        """A section's own title, marked; empty for the only section of a document."""
        if not section.title:
            return ""
        return self.heading("").replace(typst_text(""), marked(section.id, section.title))

    def rule(self) -> str:
        """A horizontal rule across the page."""
        return f"#line(length: 100%, stroke: {self.theme.line})"

    def note(self, choices: Sequence[str]) -> str:
        """A line of small print that answers nothing."""
        body = typst_text(self.rng.choice(choices))
        return f"#text(size: {self.theme.small}em)[{body}]"

    def framed(self, body: str) -> str:
        """A body within a border, as on cards and labels."""
        radius = self.rng.choice((0, 0, 4, 8))
        stroke = self.rng.choice(("0.5pt", "1pt", f'1.5pt + rgb("{self.theme.accent}")'))
        return f"#block(width: 100%, stroke: {stroke}, radius: {radius}pt, inset: 0.9em)[{body}]"

    def some(self, chance: float, body: Callable[[], str]) -> list[str]:
        """The body with a chance, else nothing."""
        return [body()] if self.rng.random() < chance else []

    def split_prose(self, section: Section, share: float) -> tuple[list[Field], list[Field]]:
        """Fields to tell in sentences, and the others."""
        tell = [f for f in section.fields if f.spec.sentences and self.rng.random() < share]
        told = {field.id for field in tell}
        return tell, [f for f in section.fields if f.id not in told]

    def grouped(self, fields: Sequence[Field]) -> list[str]:
        """Fields in one to three blocks."""
        parts = 1 if len(fields) < 4 else self.rng.choice((1, 1, 2, 2, 3))
        size = -(-len(fields) // parts) if fields else 1
        return [self.fields(fields[i : i + size]) for i in range(0, len(fields), size)]


def _after(text: str) -> str:
    return (
        typst_text(text)
        if text and not text.startswith(" ")
        else (f" {typst_text(text)}" if text else "")
    )


def _join(blocks: Sequence[str]) -> str:
    return "\n\n".join(block for block in blocks if block)


def _form(c: Composer) -> list[str]:
    pages = []
    for section in c.facts.sections:
        blocks = [c.title(), c.section_title(section), *c.some(0.25, lambda: c.note(INTROS))]
        for index, group in enumerate(c.grouped(section.fields)):
            heading = f"{'ABCDEF'[index]}. {_SECTION_NAMES[index]}"
            blocks += [*c.some(0.35, lambda h=heading: c.heading(h)), group]  # type: ignore[misc]
        blocks += [c.table(table) for table in section.tables]
        blocks += c.some(0.3, lambda: c.note(NOTES))
        pages.append(_join(blocks))
    return pages


_SECTION_NAMES = ("General", "Details", "Further information", "Other", "Notes", "More")


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
        blocks += [c.table(table, caption=False) for table in section.tables]
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
            c.table(t, c.rng.choice(("plain", "plain", "rules", "booktabs")), caption=False)
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
    "invoice": _invoice, "receipt": _receipt, "web": _web,
}  # fmt: skip


def compose(view: str, composer: Composer) -> Drawing:
    """The page bodies of a view."""
    bodies = VIEWS[view](composer)
    return Drawing(tuple(bodies), tuple(dict.fromkeys(composer.styles_used)))


def typst_source(theme: Theme, drawing: Drawing, width: float, height: float | None) -> str:
    """Typst code of a whole document with pages of one size, in points."""
    pages = "\n#pagebreak()\n".join(drawing.bodies)
    return theme.preamble(width, height) + pages


def shrunk(theme: Theme, factor: float) -> Theme:
    """The theme with smaller body text."""
    return replace(theme, size=theme.size * factor)
