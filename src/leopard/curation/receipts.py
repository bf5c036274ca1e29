"""Small receipts for lessons: what shops print, and what people ask of it.

The seller and its address stand at the top and have no label, dates often have none, and the sum
has many names. Typst source; every answer is printed. Knows nothing of crops or models.
"""

from __future__ import annotations

import random

from leopard.curation.reading_pages import PageWriter, ReadingPage, lists, typst_string
from leopard.curation.synthesis.furniture import THANKS

LEGAL = ("Ltd", "Inc.", "LLC", "GmbH", "Sdn Bhd", "Pte Ltd", "Co.", "S/B", "& Co", "B.V.", "PLC")
TRADES = (
    "Trading", "Enterprise", "Restaurant", "Cafe", "Mini Market", "Supermarket", "Hardware",
    "Bookstore", "Pharmacy", "Bakery", "Stationery", "Mart", "Motors", "Grocery", "Bistro",
    "Electrical", "Textiles", "Seafood", "Department Store", "Fresh Market", "Station", "Holdings",
)  # fmt: skip
NUMBERED = ("GST Reg No", "Co. Reg No", "Tax ID", "VAT No.", "Reg. No.", "GST ID", "Company no")
TITLES = ("TAX INVOICE", "RECEIPT", "SIMPLIFIED TAX INVOICE", "CASH RECEIPT", "INVOICE",
          "Sales Receipt", "Guest Check", "CASH BILL")  # fmt: skip
DATES = ("Date", "DATE", "Bill Date", "Invoice Date", "Issued", "Trans. Date", "Date/Time")
SUMS = ("Total", "TOTAL", "Grand Total", "Total Amount", "Nett Total", "Amount Due", "Net Total",
        "TOTAL RM", "Total (incl. tax)", "Total Sales", "Total Payable", "BALANCE DUE")  # fmt: skip
BEFORE_SUM = ("Subtotal", "Sub Total", "Total excl. GST", "Service charge", "Discount", "Tax",
              "GST 6%", "VAT 20%", "Rounding", "Total Qty", "Items")  # fmt: skip
AFTER_SUM = ("Cash", "Change", "CASH", "CHANGE", "Visa card", "Tendered", "Paid")
OTHERS = ("Cashier", "Receipt No", "Table", "Invoice No.", "Counter", "Bill No", "Salesperson",
          "Time", "Pax", "Member", "Terminal", "Document No", "Served by")  # fmt: skip
SELLER_ASKED = (
    "What is the name of the company?", "Which company issued it?", "Who is the seller?",
    "Which shop is it?", "What is the name of the store?", "Who issued this receipt?",
    "Which company issued the receipt?", "What is the company's name on the receipt?",
    "From which business is this?", "Where was this bought?", "Name the company.",
)  # fmt: skip
DATE_ASKED = (
    "What is the date?", "What date is on the receipt?", "When was it issued?",
    "On which date was this bought?", "What is the receipt's date?", "When was the purchase made?",
    "Which date is printed?", "What is the date of this receipt?", "Date?",
)  # fmt: skip
SUM_ASKED = (
    "What is the total?", "What is the total amount?", "How much was paid in total?",
    "What does it cost in total?", "How much is the total on the receipt?", "Total?",
    "What is the total sum of this receipt?", "What is the amount to pay?",
    "What is the grand total?", "Give the total amount of the receipt.",
)  # fmt: skip
ADDRESS_ASKED = (
    "What is the address?", "Where is the company?", "What is the address of the shop?",
    "What is the company's address on the receipt?", "At which address is the store?",
)  # fmt: skip
SCOPES = ("In image {n}: {q}", "On page {n}: {q}", "For {s}: {q}", "Under {s}: {q}")
LABELLED_DATES = 0.55
"""Share of dates that have a label."""
LONGEST = 40
"""Characters of an address that stays on one line."""


class ReceiptWriter(PageWriter):
    """Draws one receipt from one seed."""

    def write_receipt(self, *, scope: int | None = None) -> ReadingPage:
        """One receipt, and questions about it.

        Args:
            scope: Number of its image, where a question must say which of several is meant.
        """
        rng = self.rng
        size = rng.uniform(6.5, 10.5)
        characters = rng.randint(30, 44)
        width = size * 0.6 * characters + 20
        seller = self._seller()
        blocks = [self._top(seller), self._middle(), self._items(), self._sums(), self._bottom()]
        margin = rng.uniform(6, 14)
        side = rng.uniform(margin, 150) if rng.random() < 0.3 else margin
        font = rng.choice(self.fonts)
        head = [
            "#set document(date: none)",
            f"#set page(width: {width + 2 * side:.1f}pt, height: auto, "
            f"margin: (x: {side:.1f}pt, y: {rng.uniform(margin, 60):.1f}pt))",
            f'#set text(font: "{font}", size: {size:.2f}pt, hyphenate: false)',
            f"#set par(leading: {rng.uniform(0.45, 0.8):.2f}em)",
        ]
        source = "\n".join(head) + "\n" + "\n\n".join(blocks)
        return ReadingPage(source, tuple(self._scoped(scope, seller)))

    def _scoped(self, scope: int | None, seller: str) -> list[tuple[str, str, str]]:
        if scope is None:
            return self.qa
        asked = []
        for question, answer, family in self.qa:
            choices = SCOPES if answer != seller else SCOPES[:2]
            text = self.rng.choice(choices).format(n=scope, s=seller, q=question)
            asked.append((text, answer, family))
        return asked

    # -- parts --------------------------------------------------------------------------------

    def ask(self, forms: tuple[str, ...], answer: str) -> None:
        """Add two of the ways to ask for something."""
        for form in self.rng.sample(forms, 2):
            self.qa.append((form, answer, "lookup"))

    def _seller(self) -> str:
        rng = self.rng
        names = lists()["last_names"] + lists()["places"]
        words = [rng.choice([rng.choice(names), self.word().title()]) for _ in range(2)]
        parts = words[: rng.randint(1, 2)]
        parts += [rng.choice(TRADES)] if rng.random() < 0.7 else []
        parts += [rng.choice(LEGAL)] if rng.random() < 0.6 else []
        name = " ".join(parts)[:34].strip()
        return name.upper() if rng.random() < 0.6 else name

    def _top(self, seller: str) -> str:
        """Seller, address and numbers, centred or on the left."""
        rng = self.rng
        big = f"#text(size: {rng.choice([1, 1, 1.15, 1.3])}em)[{typst_string(seller)}]"
        rows = [f"#strong[{big}]" if rng.random() < 0.5 else big]
        if rng.random() < 0.12:
            rows.insert(0, typst_string(self.person()))
        self.ask(SELLER_ASKED, seller)
        upper = rng.random() < 0.5
        address = f"{rng.randint(1, 199)}, {self.word().title()} {rng.choice(['Street', 'Road'])}"
        town = f"{rng.randint(10000, 99999)} {rng.choice(lists()['places'])}"
        whole = f"{address}, {town}"
        if rng.random() < 0.4 and len(whole) <= LONGEST:
            lines = [whole]
        else:
            lines = [f"{address},", *[f"{self.word().title()},"][: rng.randint(0, 1)], town]
        lines = [line.upper() if upper else line for line in lines]
        self.ask(ADDRESS_ASKED, lines[0].rstrip(","))
        if rng.random() < 0.6:
            lines.append(f"{rng.choice(['Tel', 'TEL', 'Phone', 'Tel.'])}: {self._digits(9)}")
        if rng.random() < 0.6:
            number = rng.choice([self._digits(12), self.code()])
            lines.insert(rng.choice([0, len(lines)]), f"{rng.choice(NUMBERED)}: {number}")
        rows += [typst_string(line) for line in lines]
        if rng.random() < 0.7:
            rows.append(f"#v(0.5em, weak: true)#strong[{typst_string(rng.choice(TITLES))}]")
        return f"#align({rng.choice(['center', 'center', 'left'])})[{' #linebreak() '.join(rows)}]"

    def _middle(self) -> str:
        """Date and numbers, labelled or not."""
        rng = self.rng
        date = self._day()
        self.ask(DATE_ASKED, date)
        clock = f"{rng.randint(7, 22):02d}:{rng.randint(0, 59):02d}"
        end = rng.choice([":", ": ", " :", " : "])
        first = f"{rng.choice(DATES)}{end}{date}" if rng.random() < LABELLED_DATES else date
        if rng.random() < 0.4:
            first += " " + clock
        lines = [first]
        for label in rng.sample(OTHERS, rng.randint(1, 4)):
            value = rng.choice([self.code(), str(rng.randint(1, 99)), self.person(), clock])
            lines.append(f"{label}{end}{value}")
        rng.shuffle(lines)
        if rng.random() < 0.3 and len(lines) > 1:
            pair = ", ".join(f"[{typst_string(line)}]" for line in lines)
            return f"#grid(columns: (auto, 1fr), gutter: 0.7em, {pair})"
        return " \\\n".join(typst_string(line) for line in lines)

    def _day(self) -> str:
        rng = self.rng
        d, m, y = rng.randint(1, 28), rng.randint(1, 12), rng.randint(2008, 2026)
        name = lists()["months"][m - 1][:3]
        dot = rng.choice("-/.-/")
        return rng.choice([
            f"{d:02d}{dot}{m:02d}{dot}{y}", f"{d:02d}{dot}{m:02d}{dot}{y}",
            f"{d:02d}{dot}{m:02d}{dot}{y % 100:02d}", f"{y}-{m:02d}-{d:02d}",
            f"{d:02d}-{name.upper()}-{y}", f"{d} {name} {y}", f"{m}/{d}/{y}",
        ])  # fmt: skip

    def _digits(self, count: int) -> str:
        return "".join(str(self.rng.randint(0, 9)) for _ in range(count))

    def _money(self, low: int = 50, high: int = 30_000) -> str:
        return f"{self.rng.randint(low, high) / 100:,.2f}"

    def _items(self) -> str:
        """What was bought, in columns or over two lines each."""
        rng = self.rng
        rule = rng.choice(["#line(length: 100%, stroke: 0.5pt)", typst_string("-" * 30), ""])
        rows = []
        for _ in range(rng.randint(1, 7)):
            name, price, count = self.phrase(1, 3)[:20], self._money(), rng.randint(1, 5)
            name = name.upper() if rng.random() < 0.5 else name
            if rng.random() < 0.5:
                rows.append(f"[{typst_string(name)}], [{count}], [{price}], [{price}]")
            else:
                of = typst_string(f"{count} x {price}")
                rows.append(
                    f"grid.cell(colspan: 4, [{self._digits(8)} {typst_string(name)}]), "
                    f"[{of}], [], [], [{price}]"
                )
        columns = "columns: (1fr, auto, auto, auto), column-gutter: 0.8em, row-gutter: 0.6em"
        grid = f"#grid({columns}, align: (left, right, right, right), {', '.join(rows)})"
        return f"{rule}\n\n{grid}\n\n{rule}"

    def _sums(self) -> str:
        """The sum among others like it."""
        rng = self.rng
        mark = rng.choice(["", "", "", "RM ", "$", "RM", "EUR ", "USD "])
        total = mark + self._money(100, 90_000)
        self.ask(SUM_ASKED, total)
        label = rng.choice(SUMS)
        rows = [(name, self._money()) for name in rng.sample(BEFORE_SUM, rng.randint(0, 4))]
        rows += [(label, total)]
        rows += [(name, self._money()) for name in rng.sample(AFTER_SUM, rng.randint(0, 3))]
        end = rng.choice(["", ":", " :"])
        weight = rng.random() < 0.4
        shown = []
        for name, value in rows:
            pair = [typst_string(name + end), typst_string(value)]
            if weight and name == label:
                pair = [f"#strong[{part}]" for part in pair]
            shown.append(pair)
        shape = rng.random()
        if shape < 0.25:
            return " \\\n".join(f"{name} {value}" for name, value in shown)
        columns = rng.choice(["(1fr, auto)", "(1fr, auto)", "(auto, auto)", "(60%, 1fr)"])
        cells = ", ".join(f"[{name}], [{value}]" for name, value in shown)
        return (
            f"#grid(columns: {columns}, align: (left, right), row-gutter: 0.6em, "
            f"column-gutter: 1.5em, {cells})"
        )

    def _bottom(self) -> str:
        chosen = self.rng.sample(THANKS, self.rng.randint(0, 2))
        return f"#align(center)[{' #linebreak() '.join(typst_string(line) for line in chosen)}]"


def write_receipts(seed: int, fonts: tuple[str, ...]) -> list[ReadingPage]:
    """One receipt, or two or three of which questions name the one that is meant."""
    rng = random.Random(f"receipts:{seed}")
    count = rng.choice((1, 1, 1, 2, 3))
    return [
        ReceiptWriter(4 * seed + number, fonts=fonts).write_receipt(
            scope=number + 1 if count > 1 else None
        )
        for number in range(count)
    ]
