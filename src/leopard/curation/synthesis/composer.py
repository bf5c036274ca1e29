"""The composer: blocks of fields, tables and prose in the look of one document.

Knows nothing of how blocks become pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from leopard.curation.synthesis.charts import draw_chart
from leopard.curation.synthesis.facts import FactBase, Field, Section, Table, View
from leopard.curation.synthesis.field_blocks import (
    FIELD_STYLES,
    HELD_OUT_FIELD_STYLES,
    NARROW_UNFIT,
    FieldPainter,
)
from leopard.curation.synthesis.markup import marked, typst_text
from leopard.curation.synthesis.table_blocks import (
    HELD_OUT_TABLE_STYLES,
    TABLE_STYLES,
    TablePainter,
    note_view,
    view_of,
)
from leopard.curation.synthesis.theme import Theme

NARROW = 42
"""Pages less wide than this, in em, do not take wide blocks."""


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
        self.views: dict[str, View] = {}
        self.told: set[str] = set()
        self._fields = [n for n in FIELD_STYLES if held_out or n not in HELD_OUT_FIELD_STYLES]
        if self.is_narrow:
            self._fields = [n for n in self._fields if n not in NARROW_UNFIT]
        self._tables = [n for n in TABLE_STYLES if held_out or n not in HELD_OUT_TABLE_STYLES]
        if held_out:  # test documents show held-out styles as often as all others together
            self._fields += sorted(HELD_OUT_FIELD_STYLES - NARROW_UNFIT) * 6
            self._tables += sorted(HELD_OUT_TABLE_STYLES) * 4
        self._cut_styles: dict[str, str] = {}
        self._captions_above = rng.random() < 0.8
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
            note_view(self.views, table, "chart")
        else:
            if table.is_cut:  # it goes on as it began
                style = self._cut_styles.setdefault(
                    table.id, style or self.rng.choice(self._tables)
                )
            style = style or self.rng.choice(self._tables)
            self.styles_used.append(f"table:{style}")
            note_view(self.views, table, view_of(style, table))
            body = TABLE_STYLES[style](TablePainter(self.rng, self.theme), table)
        # Where there are several tables, questions name the one they mean,
        # and "(continued)" follows on the caption of a first part.
        is_spare = self.facts.is_alone(table) and not table.is_cut
        if not caption or (self.rng.random() < 0.25 and is_spare):
            return body
        text = f"#strong[{marked(table.title_id, table.title)}]"
        return f"{text}\n\n{body}" if self._captions_above else f"{body}\n\n{text}"

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
        self.told |= {field.id for field in fields}
        for field in fields:
            before, after = self.rng.choice(field.spec.sentences).split("{v}")
            value = f"#box[{marked(field.id, field.value.text)}]"
            sentences.append(
                (typst_text(before) + ("~" if before.endswith(" ") else "") if before else "")
                + value
                + _after(after, field.value.text)
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


def _after(text: str, value: str) -> str:
    """The end of a sentence; a value such as `Kim Ltd.` brings its own full stop."""
    if value.endswith(".") and text.startswith("."):
        text = text[1:]
    return (
        typst_text(text)
        if text and not text.startswith(" ")
        else (f" {typst_text(text)}" if text else "")
    )
