"""Small pages for reading lessons: text of every common shape, with keys and values to ask about.

A page is Typst source compiled to a PDF; the text layer later gives each character's box. Content
is drawn open-vocabulary (word list, codes, amounts, dates), so that a reader cannot guess what it
does not see. Knows nothing of crops or models.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

FONT_DIRS = ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts")
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
HELD_OUT_FONTS = ("Tinos", "Arimo", "FreeSans", "FreeSerif", "URW Bookman", "TeX Gyre Adventor")

LABELS = (
    "Name;Full name;First name;Last name;Customer;Client;Vendor;Supplier;Company;Company name;"
    "Organization;Department;Address;Street;City;State;Country;Zip code;Postal code;Phone;Telephone;"
    "Fax;Email;E-mail address;Website;Contact;Contact person;Date;Issue date;Due date;Order date;"
    "Delivery date;Start date;End date;Expiry date;Date of birth;Invoice number;Invoice No.;Order ID;"
    "Order number;Reference;Reference No.;Account;Account number;Customer ID;Employee ID;Policy number;"
    "Registration number;Serial number;Tracking number;Case number;Permit No.;Batch;Lot number;Model;"
    "Product;Product code;SKU;Quantity;Unit price;Price;Amount;Amount due;Subtotal;Tax;VAT;Discount;"
    "Total;Total due;Grand total;Balance;Payment method;Payment terms;Currency;Bank;IBAN;Status;Type;"
    "Category;Class;Grade;Level;Priority;Version;Revision;Title;Subject;Project;Project manager;"
    "Author;Approved by;Prepared by;Reviewed by;Signed by;Supervisor;Doctor;Patient;Patient ID;Age;"
    "Gender;Weight;Height;Blood type;Room;Floor;Building;Gate;Seat;Flight;Train;Platform;Departure;"
    "Arrival;Origin;Destination;Distance;Duration;Time;Speed;Temperature;Pressure;Humidity;Voltage;"
    "Power;Capacity;Length;Width;Depth;Area;Population;Revenue;Net income;Expenses;Profit;Budget;Cost;"
    "Salary;Rate;Score;Rank;Rating;Winner;Team;Coach;Captain;Stadium;Attendance;School;Teacher;Course;"
    "Semester;Credits;Nationality;Language;Occupation;Employer;Insurance;License;Vehicle;Color;Brand;"
    "Material;Ingredients;Calories;Warranty;Location;Region;District;Branch;Agent;Purpose;Notes;Result"
).split(";")
FIRST = (
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard "
    "Susan Joseph Jessica Thomas Sarah Charles Karen Daniel Nancy Matthew Lisa Anthony Betty Mark "
    "Sandra Paul Ashley Steven Emily Andrew Donna Kenneth Michelle George Carol Joshua Amanda Kevin "
    "Anna Peter Laura Hugo Ivan Marta Olga Pedro Sofia Ahmed Fatima Chen Wei Yuki Kenji Priya Arjun "
    "Lars Ingrid Nils Eva Marco Giulia Pierre Claire Hans Greta Omar Leila Diego Lucia Tomas Zofia"
).split()
LAST = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Wilson Anderson Taylor Moore Jackson "
    "Martin Lee Thompson White Lopez Clark Lewis Walker Hall Young King Wright Scott Green Baker Adams "
    "Nelson Hill Campbell Mitchell Roberts Carter Phillips Evans Turner Parker Collins Edwards Stewart "
    "Morris Murphy Cook Rogers Morgan Cooper Peterson Reed Bailey Kelly Howard Kim Cox Ward Richards "
    "Watson Brooks Wood James Bennett Gray Hughes Price Myers Long Foster Sanders Ross Khan Patel Singh "
    "Tanaka Sato Nguyen Tran Kowalski Novak Jensen Olsen Larsson Fischer Weber Schmidt Rossi Ferrari"
).split()
PLACES = (
    "London Paris Berlin Madrid Rome Vienna Prague Warsaw Oslo Stockholm Helsinki Dublin Lisbon Athens "
    "Boston Chicago Denver Seattle Houston Dallas Atlanta Miami Phoenix Portland Austin Toronto Montreal "
    "Vancouver Sydney Melbourne Tokyo Osaka Seoul Beijing Shanghai Delhi Mumbai Cairo Lagos Nairobi Lima "
    "Bogota Quito Santiago Geneva Zurich Basel Lyon Milan Turin Naples Porto Krakow Riga Tallinn Vilnius"
).split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
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
        name = MONTHS[m - 1]
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
        first, last = self.rng.choice(FIRST), self.rng.choice(LAST)
        return self.rng.choice([f"{first} {last}", f"{first} {last}", f"{last}, {first}",
                                f"Dr. {last}", f"{first[0]}. {last}"])  # fmt: skip

    def place(self) -> str:
        """A place or a street address."""
        city = self.rng.choice(PLACES)
        street = f"{self.rng.randint(1, 999)} {self.word().title()} Street"
        return self.rng.choice([city, city, street, f"{street}, {city}"])

    def contact(self) -> str:
        """An e-mail address or a telephone number."""
        rng = self.rng
        mail = f"{rng.choice(FIRST).lower()}@{self.word()}.{rng.choice(['com', 'org', 'net'])}"
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
            text = self.rng.choice(LABELS) if known else self.phrase(1, 3)
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
        style = rng.randrange(6)
        end = rng.choice([":", ":", ":", "", " :"])
        strong = rng.random() < 0.5
        def show(label: str) -> str:
            body = typst_string(label + (end if style != 4 else ""))
            return f"#strong[{body}]" if strong else body
        if style == 0:
            return " \\\n".join(f"{show(k)} {typst_string(v)}" for k, v in pairs)
        if style in (1, 2):
            cells = ", ".join(f"[{show(k)}], [{typst_string(v)}]" for k, v in pairs)
            gap = rng.randint(6, 24)
            width = rng.choice(["auto", "1fr", "40%"])
            return f"#grid(columns: ({width}, auto), column-gutter: {gap}pt, row-gutter: {rng.randint(5, 11)}pt, {cells})"
        if style == 3:
            cells = ", ".join(f"[{show(k)}], [{typst_string(v)}]" for k, v in pairs)
            stroke = rng.choice(["0.5pt", "0.5pt + gray", "none"])
            return f"#table(columns: (auto, 1fr), stroke: {stroke}, inset: {rng.randint(3, 7)}pt, {cells})"
        if style == 4:
            cells = ", ".join(
                f"[#text(size: 0.85em, fill: luma({rng.choice([0, 60, 90])}))[{show(k)}] \\ {typst_string(v)}]" for k, v in pairs
            )
            return f"#grid(columns: (1fr, 1fr), row-gutter: {rng.randint(7, 14)}pt, column-gutter: 8pt, {cells})"
        return " \\\n".join(
            f"{show(k)} #box(width: 1fr, repeat[.]) {typst_string(v)}" for k, v in pairs
        )

    def data_table(self) -> str:
        """A table with a header row and named rows."""
        rng = self.rng
        cols, rows = rng.randint(2, 4), rng.randint(2, 7)
        header = [self.label() for _ in range(cols)]
        header = [h[:14].strip() for h in header]
        makers = [rng.choice([self.number, self.amount, self.date, self.code, self.number])
                  for _ in range(cols)]  # fmt: skip
        name = rng.choice([self.person, lambda: self.phrase(1, 2), lambda: rng.choice(PLACES)])
        names = list(dict.fromkeys(name()[:22] for _ in range(rows)))
        body = [[n] + [make()[:16] for make in makers[1:]] for n in names]
        for _ in range(min(4, len(names) * (cols - 1))):
            r, c = rng.randrange(len(names)), rng.randrange(1, cols)
            key = header[c].lower() if rng.random() < 0.5 else header[c]
            self.qa.append(
                (rng.choice(CELL_QUESTIONS).format(c=key, r=names[r]), body[r][c], "cell")
            )
        cells = [f"[*{typst_string(h)}*]" for h in header]
        cells += [f"[{typst_string(v)}]" for row in body for v in row]
        align = rng.choice(["left", "left", "(x, y) => if x == 0 { left } else { right }", "center"])
        stroke = rng.choice(["0.5pt", "0.5pt + gray", "none", "(x, y) => (bottom: 0.5pt)"])
        fill = rng.choice(["none", "none", "(x, y) => if calc.odd(y) { luma(235) }",
                           "(x, y) => if y == 0 { luma(220) }"])  # fmt: skip
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
        return typst_string(" ".join(sentences))

    def heading(self) -> str:
        """A bold line."""
        size = self.rng.choice([1.1, 1.2, 1.4, 1.7])
        return f"#text(size: {size}em, weight: \"bold\")[{typst_string(self.phrase(1, 4))}]"

    def bullets(self) -> str:
        """A list."""
        return "\n".join(f"- {typst_string(self.phrase(2, 6))}" for _ in range(self.rng.randint(2, 5)))

    # -- page -----------------------------------------------------------------------------------

    def write(self, width_pt: float, height_pt: float, size_pt: float) -> ReadingPage:
        """Fill a page of the given size, in points, with text of the given size."""
        rng = self.rng
        font = rng.choice(self.fonts)
        blocks = [self.heading()] if rng.random() < 0.6 else []
        kinds = [self.fields, self.fields, self.data_table, self.paragraph, self.bullets, self.heading]
        room = height_pt / (size_pt * 1.5)  # lines of text that fit, roughly
        while room > 0 and len(blocks) < 12:
            block = rng.choice(kinds)()
            blocks.append(block)
            room -= 3 + len(block) / 100
        paper = rng.choice(["white", "white", "white", "luma(250)", 'rgb("#fffdf2")', 'rgb("#f2f7ff")'])
        ink = rng.choice(["black", "black", "black", "luma(40)", 'rgb("#1a2a4a")'])
        margin = rng.uniform(8, 24)
        source = (
            "#set document(date: none)\n"
            f"#set page(width: {width_pt:.1f}pt, height: {height_pt:.1f}pt, margin: {margin:.1f}pt, fill: {paper})\n"
            f'#set text(font: "{font}", size: {size_pt:.2f}pt, fill: {ink}, hyphenate: false)\n'
            f"#set par(leading: {rng.uniform(0.45, 0.9):.2f}em, justify: {rng.choice(['true', 'false', 'false'])})\n"
            + "\n\n".join(blocks)
        )
        return ReadingPage(source, tuple(self.qa))


class TypstPrinter:
    """Compiles Typst source to PDF; keeps one compiler with fonts scanned once."""

    def __init__(self) -> None:
        import typst

        dirs = [d for d in FONT_DIRS if __import__("os").path.isdir(d)]
        self._fonts = typst.Fonts(include_system_fonts=False, font_paths=dirs)
        self._compiler: Any = typst.Compiler(font_paths=self._fonts)

    def pdf(self, source: str) -> tuple[bytes, list[str]]:
        """PDF bytes (deterministic) and the warnings of the compiler."""
        data, warnings = self._compiler.compile_with_warnings(source.encode(), pdf_tags=False)
        return data, [str(w) for w in warnings]
