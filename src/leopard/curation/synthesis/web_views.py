"""Web pages as a browser shows them: the same facts in HTML and CSS.

Layout, header, blocks of values and tables are drawn for each document apart, so that pages differ
as sites do. Knows nothing of printing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from leopard.curation.synthesis.browser import WebDocument
from leopard.curation.synthesis.charts import draw_figure
from leopard.curation.synthesis.facts import FactBase, Field, Section, Table, View
from leopard.curation.synthesis.furniture import BUTTONS, CONTINUED, FOOTERS, INTROS, MENU, NOTES
from leopard.curation.synthesis.markup import html_marked, html_marked_in, html_text
from leopard.curation.synthesis.table_blocks import group_runs, note_view
from leopard.curation.synthesis.theme import Theme

HELD_OUT_WEB_STYLES = frozenset({"fields:pills", "table:columns"})
"""Styles that only test documents show."""


@dataclass(frozen=True, slots=True)
class WebDrawing:
    """A document in HTML, and the styles it uses."""

    document: WebDocument
    styles: tuple[str, ...]
    views: Mapping[str, View]
    """How each table is drawn, by its id."""


class WebPainter:
    """Puts web pages together in the look of one document.

    Args:
        facts: What to show.
        theme: The look.
        rng: Where all choices come from.
        width: Width of the window, in points.
        held_out: Whether styles held out for testing may be used.
    """

    def __init__(
        self, facts: FactBase, theme: Theme, rng: random.Random, *, width: float, held_out: bool
    ) -> None:
        self.facts, self.theme, self.rng, self.width = facts, theme, rng, width
        self.styles_used: list[str] = []
        self.views: dict[str, View] = {}
        self._cut_styles: dict[str, str] = {}
        self._fields = _allowed("fields", FIELDS, held_out)
        self._tables = _allowed("table", TABLES, held_out)
        self.site = f"{rng.choice(MENU)} {rng.choice(('Online', 'Portal', 'Net', 'Hub'))}"
        self.menu = rng.sample(MENU, rng.randint(3, 6))
        self.sidebar = rng.choice((None, None, "left", "right"))
        self.header = rng.choice((_bar, _brand, _hero))

    def draw(self) -> WebDrawing:
        """All parts of the facts, a page each."""
        parts = tuple(page for section in self.facts.sections for page in self._pages(section))
        document = WebDocument(self._style(), parts)
        return WebDrawing(document, tuple(dict.fromkeys(self.styles_used)), self.views)

    def label(self, text: str) -> str:
        """A label in this document's letter case."""
        return html_text(self.theme.label(text))

    def value(self, field: Field) -> str:
        """A value under its mark."""
        body = html_marked(field.id, field.value.text)
        return f"<b>{body}</b>" if self.theme.value_bold else body

    def fields(self, fields: Sequence[Field]) -> str:
        """A block of labelled values."""
        if not fields:
            return ""
        name = self.rng.choice(self._fields)
        self.styles_used.append(f"fields:{name}")
        return f'<div class="block {name}">{FIELDS[name](self, fields)}</div>'

    def table(self, table: Table, *, caption: bool = True) -> str:
        """A table or chart, usually with its caption."""
        # Where there are several tables, questions name the one they mean.
        is_spare = self.facts.is_alone(table) and not table.is_cut
        has_title = caption and (self.rng.random() < 0.8 or not is_spare)
        title = f"<h3>{html_marked(table.title_id, table.title)}</h3>" if has_title else ""
        figure = None
        if table.is_chart:
            room = self.width * (0.72 if self.sidebar else 0.9) - 2 * self.theme.margin
            wide = min(room, self.theme.size * self.rng.uniform(28, 50))
            figure = draw_figure(table, self.theme, self.facts.locale, self.rng, wide)
        if figure is not None:
            self.styles_used.append(f"chart:{figure[0]}")
            note_view(self.views, table, "chart")
            return f'<div class="block">{title}{figure[1].html()}</div>'
        name = self._cut_styles.get(table.id) or self.rng.choice(self._tables)
        if table.is_cut:  # it goes on as it began
            self._cut_styles[table.id] = name
        self.styles_used.append(f"table:{name}")
        note_view(self.views, table, "list" if name == "list" else "table")
        return f'<div class="block">{title}{TABLES[name](self, table)}</div>'

    def _pages(self, section: Section) -> list[str]:
        """The page of a section, then the later parts of its tables."""
        pages = [self._page(section)]
        for table in section.tables:
            for part in table.parts[1:]:
                words = html_marked_in(self.rng.choice(CONTINUED), part.title_id, part.title)
                body = f"<main><h2>{words}</h2>{self.table(part, caption=False)}</main>"
                pages.append(f'{self.header(self)}<div class="columns">{body}</div>')
        return pages

    def _page(self, section: Section) -> str:
        rng = self.rng
        main = [f"<h2>{html_marked(section.id, section.title)}</h2>" if section.title else ""]
        main += [f"<p>{html_text(rng.choice(INTROS))}</p>"] if rng.random() < 0.4 else []
        blocks = [self.fields(group) for group in _groups(section.fields, rng)]
        blocks += [self.table(table.parts[0]) for table in section.tables]
        if rng.random() < 0.3:
            rng.shuffle(blocks)
        main += blocks
        if rng.random() < 0.6:
            names = rng.sample(BUTTONS, rng.randint(1, 3))
            main.append("".join(f'<span class="button">{html_text(name)}</span>' for name in names))
        if rng.random() < 0.3:
            main.append(f'<p class="notice">{html_text(rng.choice(NOTES))}</p>')
        body = f"<main>{''.join(main)}</main>"
        if self.sidebar:
            links = "".join(f"<li>{html_text(name)}</li>" for name in rng.sample(MENU, 6))
            side = f"<aside><ul>{links}</ul></aside>"
            body = f"{side}{body}" if self.sidebar == "left" else f"{body}{side}"
        foot = " &middot; ".join(html_text(name) for name in rng.sample(MENU, 4))
        footer = f"<footer>{foot}<br>{html_text(rng.choice(FOOTERS))}</footer>"
        return f'{self.header(self)}<div class="columns">{body}</div>{footer}'

    def _style(self) -> str:
        theme, rng = self.theme, self.rng
        radius = rng.choice((0, 0, 3, 6, 10))
        shadow = rng.choice(("none", "none", "0 1px 4px #0003"))
        return f"""
section {{width: {self.width:.1f}pt; font: {theme.size:.2f}pt/{1.3 + theme.leading / 3:.2f}
  "{theme.font}"; font-kerning: none; font-variant-ligatures: none;
  color: {theme.ink}; background: {theme.paper}; outline: 3px solid {theme.paper}}}
a {{all: unset}} a.whole {{white-space: nowrap}}
h1 {{font-size: {theme.title_scale:.2f}em; margin: .5em 0; text-align: {theme.title_align}}}
h2 {{font-size: 1.25em; margin: .6em 0 .4em; color: {theme.accent}}}
h3 {{font-size: 1.05em; margin: .8em 0 .4em}}
header {{padding: .7em {theme.margin:.1f}pt}}
header.bar {{background: {theme.accent}; color: white}}
header.brand {{border-bottom: 2px solid {theme.accent}; display: flex; gap: 1.5em}}
header.hero {{background: {theme.tint}; padding: 1.6em {theme.margin:.1f}pt}}
header span {{margin-right: 1.4em}}
.columns {{display: flex; gap: 1.5em; padding: .6em {theme.margin:.1f}pt}}
main {{flex: 1; min-width: 0}}
aside {{width: 20%; color: {theme.accent}}}
aside ul {{list-style: none; padding: 0; margin: 0}} aside li {{margin: .5em 0}}
footer {{font-size: {theme.small}em; text-align: center; padding: 1em; color: {theme.ink}}}
.block {{margin: .7em 0}}
.button {{display: inline-block; background: {theme.accent}; color: white; padding: .4em 1em;
  margin-right: .8em; border-radius: {radius}px}}
.notice {{border-left: 4px solid {theme.accent}; padding: .4em .8em; background: {theme.tint}}}
dl {{display: grid; grid-template-columns: max-content 1fr; gap: .35em 1.2em; margin: 0}}
dd {{margin: 0}}
dt, .name {{{"font-weight: bold" if theme.label_bold else "font-weight: normal"}}}
.form {{display: grid; grid-template-columns: 1fr 1fr; gap: .7em 1.2em}}
.form .box {{border: 1px solid #888; border-radius: {radius}px; padding: .3em .6em;
  background: white; color: #111}}
.cards {{display: flex; flex-wrap: wrap; gap: .8em}}
.cards div {{flex: 1 1 11em; min-width: min-content;
  background: {theme.tint}; border-radius: {radius}px; box-shadow: {shadow};
  padding: .6em .8em; color: #111}}
.cards b {{display: block; font-size: 1.2em}}
.pills span.pill {{display: inline-block; border: 1px solid {theme.accent}; border-radius: 1em;
  padding: .15em .8em; margin: .2em .6em .2em 0}}
.items ul {{margin: 0; padding-left: 1.3em}} .items li {{margin: .3em 0}}
table {{border-collapse: collapse; {"width: 100%" if rng.random() < 0.4 else "width: auto"}}}
td, th {{padding: .35em .7em; text-align: {rng.choice(("left", "right", "center"))}}}
td:first-child, th:first-child {{text-align: left}}
.full td, .full th {{border: 1px solid #999}}
.zebra tr:nth-child(even) td {{background: {theme.tint}; color: #111}}
.lines td, .lines th {{border-bottom: 1px solid #bbb}}
.dark th {{background: {theme.accent}; color: white}} .dark td {{border-bottom: 1px solid #ccc}}
.columns-only td, .columns-only th {{border-left: 1px solid #999; border-right: 1px solid #999}}
"""


def _allowed(kind: str, styles: Iterable[str], held_out: bool) -> list[str]:
    every = list(styles)
    kept_back = [name for name in every if f"{kind}:{name}" in HELD_OUT_WEB_STYLES]
    if held_out:  # test documents show held-out styles as often as all others together
        return every + kept_back * (len(every) - 1)
    return [name for name in every if name not in kept_back]


def _groups(fields: Sequence[Field], rng: random.Random) -> list[Sequence[Field]]:
    if not fields:
        return []
    parts = 1 if len(fields) < 5 else rng.choice((1, 1, 2))
    size = -(-len(fields) // parts)
    return [fields[start : start + size] for start in range(0, len(fields), size)]


def _links(painter: WebPainter) -> str:
    return "".join(f"<span>{html_text(name)}</span>" for name in painter.menu)


def _bar(painter: WebPainter) -> str:
    title = f"<h1>{html_text(painter.facts.title)}</h1>"
    return f'<header class="bar"><b>{_links(painter)}</b></header><header>{title}</header>'


def _brand(painter: WebPainter) -> str:
    name = f"<b>{html_text(painter.site)}</b>"
    title = f"<h1>{html_text(painter.facts.title)}</h1>"
    links = f"<div>{_links(painter)}</div>"
    return f'<header class="brand">{name}{links}</header><header>{title}</header>'


def _hero(painter: WebPainter) -> str:
    title = f"<h1>{html_text(painter.facts.title)}</h1>"
    return f'<header>{_links(painter)}</header><header class="hero">{title}</header>'


def _definitions(p: WebPainter, fields: Sequence[Field]) -> str:
    rows = "".join(
        f"<dt>{p.label(f.label)}{html_text(p.theme.ending(f.label))}</dt><dd>{p.value(f)}</dd>"
        for f in fields
    )
    return f"<dl>{rows}</dl>"


def _rows(p: WebPainter, fields: Sequence[Field]) -> str:
    rows = "".join(
        f'<tr><td class="name">{p.label(f.label)}</td><td>{p.value(f)}</td></tr>' for f in fields
    )
    return f'<table class="{p.rng.choice(("full", "lines", "zebra"))}">{rows}</table>'


def _form(p: WebPainter, fields: Sequence[Field]) -> str:
    return "".join(
        f'<div><div class="name">{p.label(f.label)}</div><div class="box">{p.value(f)}</div></div>'
        for f in fields
    )


def _cards(p: WebPainter, fields: Sequence[Field]) -> str:
    return "".join(
        f"<div>{p.label(f.label)}<b>{html_marked(f.id, f.value.text)}</b></div>" for f in fields
    )


def _items(p: WebPainter, fields: Sequence[Field]) -> str:
    rows = "".join(
        f"<li>{p.label(f.label)}{html_text(p.theme.ending(f.label) or ':')} {p.value(f)}</li>"
        for f in fields
    )
    return f"<ul>{rows}</ul>"


def _pills(p: WebPainter, fields: Sequence[Field]) -> str:
    return "".join(f'<span class="pill">{p.label(f.label)}: {p.value(f)}</span>' for f in fields)


def _head(p: WebPainter, table: Table) -> str:
    groups = [column.group for column in table.columns]
    key = html_marked(table.header_id(-1), p.theme.label(table.key_label))
    names = "".join(
        f"<th>{html_marked(table.header_id(c), p.theme.label(column.label))}</th>"
        for c, column in enumerate(table.columns)
    )
    if not all(groups) or len(groups) < 2:
        return f"<tr><th>{key}</th>{names}</tr>"
    spans = "".join(
        f'<th colspan="{count}">{html_marked(table.group_id(first), groups[first])}</th>'
        for first, count in group_runs(table)
    )
    return f'<tr><th rowspan="2">{key}</th>{spans}</tr><tr>{names}</tr>'


def _ruled(style: str) -> Callable[[WebPainter, Table], str]:
    def draw(p: WebPainter, table: Table) -> str:
        rows = []
        for r, key in enumerate(table.keys):
            cells = "".join(
                f"<td>{html_marked(table.cell_id(r, c), cell.text)}</td>"
                for c, cell in enumerate(table.cells[r])
            )
            rows.append(f"<tr><td>{html_marked(table.key_id(r), key.text)}</td>{cells}</tr>")
        return (
            f'<table class="{style}"><thead>{_head(p, table)}</thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    return draw


def _list_rows(p: WebPainter, table: Table) -> str:
    """One card per row, as shops and result lists show them."""
    rows = []
    for r, key in enumerate(table.keys):
        parts = "<br>".join(
            f"{html_marked(table.header_id(c), p.theme.label(column.label))}: "
            f"{html_marked(table.cell_id(r, c), table.cells[r][c].text)}"
            for c, column in enumerate(table.columns)
        )
        rows.append(f"<div><b>{html_marked(table.key_id(r), key.text)}</b>{parts}</div>")
    return f'<div class="cards">{"".join(rows)}</div>'


FIELDS: dict[str, Callable[[WebPainter, Sequence[Field]], str]] = {
    "definitions": _definitions, "rows": _rows, "form": _form, "cards": _cards, "items": _items,
    "pills": _pills,
}  # fmt: skip
TABLES: dict[str, Callable[[WebPainter, Table], str]] = {
    "full": _ruled("full"), "zebra": _ruled("zebra"), "lines": _ruled("lines"),
    "dark": _ruled("dark"), "plain": _ruled("plain"), "columns": _ruled("columns-only"),
    "list": _list_rows,
}  # fmt: skip
