"""Small pages for reading lessons: text of every common shape, with keys and values to ask about.

A page is Typst source compiled to a PDF; the text layer later gives each character's box. Content
is drawn open-vocabulary (word list, codes, amounts, dates), so that a reader cannot guess what it
does not see. Knows nothing of crops or models.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

TRAIN_FONTS = (
    "Liberation Sans",
    "Liberation Serif",
    "Liberation Mono",
    "DejaVu Sans",
    "DejaVu Serif",
    "Carlito",
    "Caladea",
    "Open Sans",
    "Lato",
    "Roboto",
    "TeX Gyre Heros",
    "TeX Gyre Termes",
    "TeX Gyre Pagella",
    "TeX Gyre Schola",
    "Noto Sans",
    "Noto Serif",
    "Libertinus Serif",
    "New Computer Modern",
    "Nimbus Sans",
    "C059",
)
HELD_OUT_FONTS = ("Tinos", "Arimo", "FreeSans", "FreeSerif", "URW Bookman", "TeX Gyre Adventor",
                  "Hanken Grotesk", "Manrope")  # fmt: skip

PAPERS = ("white",) * 3 + ("luma(250)", 'rgb("#fffdf2")', 'rgb("#f2f7ff")')
INKS = ("black",) * 3 + ("luma(40)", 'rgb("#1a2a4a")')
DARK_FILLS = ("black", "luma(70)", 'rgb("#1f3a5f")', 'rgb("#7a1f2b")', 'rgb("#1d5c3a")')
"""Behind white text: heads of tables and bands of headings."""
ACCENTS = ('rgb("#1f4e9e")', 'rgb("#a02020")', 'rgb("#20703c")', "luma(110)")
"""Inks of a word here and there."""
KV_QUESTIONS = (
    "What is the {k}?",
    "What is the {k}?",
    "{k}?",
    "What does it say for {k}?",
    "Give the {k}.",
    "Find the {k}.",
    "What is given as {k}?",
    "Which value is listed for {k}?",
    "Tell me the {k}.",
    "Read the {k}.",
    "What {k} is shown?",
    "What value belongs to {k}?",
)
CELL_QUESTIONS = (
    "What is the {c} of {r}?",
    "What is the {c} for {r}?",
    "{c} of {r}?",
    "What is {r}'s {c}?",
    "Which {c} does {r} have?",
    "In the row {r}, what is the {c}?",
    "Give the {c} for {r}.",
    "What does the table list as {c} for {r}?",
)


@cache
def lists() -> dict[str, list[str]]:
    """Labels, names and places that ship with the package."""
    text = resources.files("leopard.curation").joinpath("data/reading_pages.toml").read_text()
    return tomllib.loads(text)


@cache
def words() -> tuple[str, ...]:
    """The word list that ships with the package."""
    text = resources.files("leopard.curation").joinpath("data/words.txt").read_text()
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class ReadingPage:
    """One page: its source, and what can be asked about it."""

    source: str
    """Typst source."""
    qa: tuple[tuple[str, str, str], ...]
    """(question, answer, family) triples; the answers are printed on the page."""


Pairs = list[tuple[str, str]]
"""Labels and values as Typst code."""


def _cells(pairs: Pairs) -> str:
    return ", ".join(f"[{label}], [{value}]" for label, value in pairs)


def typst_string(text: str) -> str:
    """Typst code that prints `text` exactly as it is."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'#text("{escaped}")'


class PageWriter:
    """Draws one page from one seed."""

    def __init__(self, seed: int, *, fonts: tuple[str, ...] = TRAIN_FONTS) -> None:
        self.rng = random.Random(f"reading-page:{seed}")
        self.fonts = fonts
        self.qa: list[tuple[str, str, str]] = []
        self.labels_used: set[str] = set()

    # -- values ---------------------------------------------------------------------------------

    def word(self) -> str:
        """One word, lower case."""
        return self.rng.choice(words())

    def phrase(self, low: int = 1, high: int = 4) -> str:
        """A few words, capitalised one way or another."""
        text = " ".join(self.word() for _ in range(self.rng.randint(low, high)))
        return self.rng.choice([text, text.capitalize(), text.title(), text.title()])

    def number(self) -> str:
        """A number as people print it."""
        rng = self.rng
        digits = rng.choice([1, 2, 2, 3, 3, 4, 5, 6])
        value = rng.randint(0, 10**digits - 1)
        return rng.choice([f"{value}", f"{value:,}", f"{value / 10:.1f}", f"{value / 100:,.2f}"])

    def amount(self) -> str:
        """Money."""
        value = self.rng.randint(100, 10 ** self.rng.randint(4, 7)) / 100
        mark = self.rng.choice(["${}", "${}", "{} USD", "EUR {}", "{} EUR", "{}"])
        return mark.format(f"{value:,.2f}")

    def date(self) -> str:
        """A calendar date in one of the usual spellings."""
        rng = self.rng
        d, m, y = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2035)
        name = lists()["months"][m - 1]
        return rng.choice(
            [
                f"{y}-{m:02d}-{d:02d}",
                f"{d:02d}/{m:02d}/{y}",
                f"{m}/{d}/{y}",
                f"{d:02d}.{m:02d}.{y}",
                f"{name} {d}, {y}",
                f"{d} {name} {y}",
                f"{name[:3]} {d}, {y}",
                f"{d} {name[:3]} {y}",
                f"{y}",
            ]
        )

    def code(self) -> str:
        """An identifier of letters and digits."""
        rng = self.rng
        out = ""
        for _ in range(rng.randint(1, 3)):
            block = rng.choice(["ABCDEFGHJKLMNPQRSTUVWXYZ", "0123456789", "0123456789"])
            out += ("-" if out and rng.random() < 0.6 else "") + "".join(
                rng.choice(block) for _ in range(rng.randint(2, 5))
            )
        return out

    def person(self) -> str:
        """A personal name."""
        first, last = (
            self.rng.choice(lists()["first_names"]),
            self.rng.choice(lists()["last_names"]),
        )
        return self.rng.choice([f"{first} {last}", f"{first} {last}", f"{last}, {first}",
                                f"Dr. {last}", f"{first[0]}. {last}"])  # fmt: skip

    def place(self) -> str:
        """A place or a street address."""
        city = self.rng.choice(lists()["places"])
        street = f"{self.rng.randint(1, 999)} {self.word().title()} Street"
        return self.rng.choice([city, city, street, f"{street}, {city}"])

    def contact(self) -> str:
        """An e-mail address or a telephone number."""
        rng = self.rng
        ending = rng.choice(["com", "org", "net"])
        mail = f"{rng.choice(lists()['first_names']).lower()}@{self.word()}.{ending}"
        phone = "".join(str(rng.randint(0, 9)) for _ in range(10))
        return rng.choice([mail, f"({phone[:3]}) {phone[3:6]}-{phone[6:]}", f"+{phone}"])

    def value(self) -> str:
        """Any value, at most 32 characters."""
        makers: list[Callable[[], str]] = [
            self.number, self.amount, self.date, self.code, self.person, self.place,
            self.contact, self.phrase, self.phrase, self.number, self.code,
        ]  # fmt: skip
        return self.rng.choice(makers)()[:32].strip()

    def label(self) -> str:
        """A label not used on this page before."""
        for _ in range(50):
            known = self.rng.random() < 0.55
            text = self.rng.choice(lists()["labels"]) if known else self.phrase(1, 3)
            if text.lower() not in self.labels_used and len(text) <= 28:
                break
        self.labels_used.add(text.lower())
        return text

    # -- blocks ---------------------------------------------------------------------------------

    def ask_value(self, label: str, value: str) -> None:
        """Add a question about a labelled value."""
        key = label.rstrip(":").rstrip(".") if label.endswith(":") else label
        if self.rng.random() < 0.5:
            key = key.lower()
        self.qa.append((self.rng.choice(KV_QUESTIONS).format(k=key), value, "lookup"))

    def fields(self) -> str:
        """Labelled values in one of the common shapes."""
        rng = self.rng
        pairs = [(self.label(), self.value()) for _ in range(rng.randint(2, 8))]
        for label, value in pairs:
            self.ask_value(label, value)
        shape = rng.choice(
            [self.lines, self.aligned, self.ruled, self.stacked, self.leaders, self.shaded]
        )
        ends = [""] if shape == self.stacked else [":", ":", ":", "", " :"]
        end, is_bold = rng.choice(ends), rng.random() < 0.5
        shown = []
        for label, value in pairs:
            body = typst_string(label + end)
            shown.append((f"#strong[{body}]" if is_bold else body, typst_string(value)))
        return shape(shown)

    def lines(self, pairs: Pairs) -> str:
        """Label and value on one line."""
        return " \\\n".join(f"{label} {value}" for label, value in pairs)

    def aligned(self, pairs: Pairs) -> str:
        """Two columns without rules."""
        width = self.rng.choice(["auto", "1fr", "40%"])
        return (
            f"#grid(columns: ({width}, auto), column-gutter: {self.rng.randint(6, 24)}pt, "
            f"row-gutter: {self.rng.randint(5, 11)}pt, {_cells(pairs)})"
        )

    def ruled(self, pairs: Pairs) -> str:
        """Two columns in boxes."""
        stroke = self.rng.choice(["0.5pt", "0.5pt + gray", "none"])
        inset = self.rng.randint(3, 7)
        return f"#table(columns: (auto, 1fr), stroke: {stroke}, inset: {inset}pt, {_cells(pairs)})"

    def shaded(self, pairs: Pairs) -> str:
        """Boxes with tinted labels, two or four to a row, as on invoices."""
        rng = self.rng
        tint = rng.choice(["luma(225)", "luma(240)", 'rgb("#dde8f4")', "none"])
        columns = rng.choice(["(auto, auto)", "(40%, 60%)"])
        if len(pairs) % 2 == 0 and rng.random() < 0.5:
            columns = "(auto, 1fr, auto, 1fr)"
        stroke = rng.choice(["0.5pt", "0.7pt", "0.4pt + gray"])
        return (
            f"#table(columns: {columns}, stroke: {stroke}, inset: {rng.randint(2, 6)}pt, "
            f"fill: (x, y) => if calc.even(x) {{ {tint} }}, {_cells(pairs)})"
        )

    def stacked(self, pairs: Pairs) -> str:
        """Small labels above their values, two to a row."""
        ink = self.rng.choice([0, 60, 90])
        cells = ", ".join(
            f"[#text(size: 0.85em, fill: luma({ink}))[{label}] \\ {value}]"
            for label, value in pairs
        )
        gap = self.rng.randint(7, 14)
        return f"#grid(columns: (1fr, 1fr), row-gutter: {gap}pt, column-gutter: 8pt, {cells})"

    def leaders(self, pairs: Pairs) -> str:
        """Dots between label and value."""
        return " \\\n".join(
            f"{label} #box(width: 1fr, repeat[.]) {value}" for label, value in pairs
        )

    def data_table(self) -> str:
        """A table with a header row and named rows."""
        rng = self.rng
        cols, rows = rng.randint(2, 4), rng.randint(2, 7)
        header = [self.label() for _ in range(cols)]
        header = [h[:14].strip() for h in header]
        makers = [rng.choice([self.number, self.amount, self.date, self.code, self.number])
                  for _ in range(cols)]  # fmt: skip
        naming: list[Callable[[], str]] = [
            self.person, lambda: self.phrase(1, 2), lambda: rng.choice(lists()["places"])
        ]  # fmt: skip
        name = rng.choice(naming)
        names = list(dict.fromkeys(name()[:22] for _ in range(rows)))
        body = [[n] + [make()[:16] for make in makers[1:]] for n in names]
        for _ in range(min(4, len(names) * (cols - 1))):
            r, c = rng.randrange(len(names)), rng.randrange(1, cols)
            key = header[c].lower() if rng.random() < 0.5 else header[c]
            self.qa.append(
                (rng.choice(CELL_QUESTIONS).format(c=key, r=names[r]), body[r][c], "cell")
            )
        dark = rng.choice(DARK_FILLS) if rng.random() < 0.2 else None
        ink = "#set text(fill: white); " if dark else ""
        cells = [f"[{ink}*{typst_string(h)}*]" for h in header]
        cells += [f"[{typst_string(v)}]" for row in body for v in row]
        align = rng.choice(
            ["left", "left", "(x, y) => if x == 0 { left } else { right }", "center"]
        )
        stroke = rng.choice(["0.5pt", "0.5pt + gray", "none", "(x, y) => (bottom: 0.5pt)"])
        fill = rng.choice(["none", "none", "(x, y) => if calc.odd(y) { luma(235) }",
                           "(x, y) => if y == 0 { luma(220) }"])  # fmt: skip
        if dark:
            fill = f"(x, y) => if y == 0 {{ {dark} }}"
        return (
            f"#table(columns: {cols}, align: {align}, stroke: {stroke}, fill: {fill}, "
            f"inset: {rng.randint(3, 6)}pt, {', '.join(cells)})"
        )

    def paragraph(self) -> str:
        """Running text with numbers and dates in it."""
        rng = self.rng
        sentences = []
        for _ in range(rng.randint(1, 4)):
            items = [self.word() for _ in range(rng.randint(4, 12))]
            if rng.random() < 0.5:
                items.insert(rng.randrange(len(items)), self.value())
            sentences.append(" ".join(items).capitalize() + ".")
        body = typst_string(" ".join(sentences))
        return f"#emph[{body}]" if rng.random() < 0.12 else body

    def heading(self) -> str:
        """A bold line, now and then in a coloured ink or white on a dark band."""
        rng = self.rng
        size = rng.choice([1.1, 1.2, 1.4, 1.7])
        body = typst_string(self.phrase(1, 4))
        drawn = rng.random()
        if drawn < 0.12:
            return (
                f"#block(fill: {rng.choice(DARK_FILLS)}, inset: 4pt, width: 100%)"
                f'[#text(size: {size}em, weight: "bold", fill: white)[{body}]]'
            )
        fill = f", fill: {rng.choice(ACCENTS)}" if drawn < 0.3 else ""
        return f'#text(size: {size}em, weight: "bold"{fill})[{body}]'

    def bullets(self) -> str:
        """A list."""
        count = self.rng.randint(2, 5)
        return "\n".join(f"- {typst_string(self.phrase(2, 6))}" for _ in range(count))

    def address(self) -> str:
        """A few short lines, as on letter heads."""
        lines = [
            self.phrase(1, 3).title(),
            self.place(),
            self.rng.choice(lists()["places"]),
            self.contact(),
        ]
        kept = lines[: self.rng.randint(2, 4)]
        bold = self.rng.random() < 0.4
        body = " \\\n".join(typst_string(line) for line in kept)
        return f"#strong[{body}]" if bold else body

    def side_by_side(self) -> str:
        """Two blocks beside each other."""
        makers = [self.fields, self.address, self.fields, self.paragraph, self.bullets]
        left, right = (self.rng.choice(makers)() for _ in range(2))
        split = self.rng.choice(["1fr, 1fr", "2fr, 3fr", "3fr, 2fr"])
        gap = self.rng.randint(8, 30)
        return f"#grid(columns: ({split}), column-gutter: {gap}pt, [{left}], [{right}])"

    # -- page -----------------------------------------------------------------------------------

    def write(self, width_pt: float, height_pt: float, size_pt: float) -> ReadingPage:
        """Fill a page of the given size, in points, with text of the given size."""
        rng = self.rng
        blocks = self._blocks(width_pt, height_pt, size_pt)
        paper = rng.choice(PAPERS)
        ink = rng.choice(INKS)
        justify = rng.choice(["true", "false", "false"])
        head = [
            "#set document(date: none)",
            f"#set page(width: {width_pt:.1f}pt, height: {height_pt:.1f}pt, "
            f"margin: {rng.uniform(8, 24):.1f}pt, fill: {paper})",
            f'#set text(font: "{rng.choice(self.fonts)}", size: {size_pt:.2f}pt, fill: {ink}, '
            "hyphenate: false)",
            f"#set par(leading: {rng.uniform(0.45, 0.9):.2f}em, justify: {justify})",
        ]
        return ReadingPage("\n".join(head) + "\n" + "\n\n".join(blocks), tuple(self.qa))

    def _blocks(self, width_pt: float, height_pt: float, size_pt: float) -> list[str]:
        rng = self.rng
        blocks = [self.heading()] if rng.random() < 0.6 else []
        kinds = [self.fields, self.fields, self.data_table]
        kinds += [self.paragraph, self.bullets, self.heading]
        if width_pt > 24 * size_pt:
            kinds += [self.side_by_side, self.side_by_side]
        room = height_pt / (size_pt * 1.5)  # lines of text that fit, roughly
        columns = width_pt / (size_pt * 0.55)  # characters on a line, roughly
        while room > 0 and len(blocks) < 16:
            blocks.append(rng.choice(kinds)())
            room -= 3 + len(blocks[-1]) / max(columns, 30)
        return blocks
