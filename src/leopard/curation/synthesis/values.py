"""Values as people print them: names, places, codes, amounts, dates, in several locales.

A value carries its printed text and, where it has one, its exact number. Domain files describe
values by short specs such as `money 10 900`; `ValueMaker.make` reads them. Knows nothing of
documents.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from math import exp, log
from typing import Literal

from leopard.errors import ConfigError

Kind = Literal["text", "person", "place", "code", "date", "time", "number", "money", "percent"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DATE_PATTERNS = (
    "{y}-{m:02d}-{d:02d}",
    "{d:02d}/{m:02d}/{y}",
    "{m:02d}/{d:02d}/{y}",
    "{d:02d}.{m:02d}.{y}",
    "{M} {d}, {y}",
    "{d} {M} {y}",
    "{B} {d}, {y}",
    "{d} {B} {y}",
    "{d:02d}-{B}-{y}",
)
"""d, m, y are numbers; M is the name of the month, B its first three letters."""


@dataclass(frozen=True, slots=True)
class Locale:
    """How one document prints numbers, money and dates."""

    thousands: str = ","
    decimal: str = "."
    currency: str = "$"
    currency_after: bool = False
    date_pattern: str = DATE_PATTERNS[0]
    clock_12h: bool = False

    def number(self, value: Decimal, decimals: int) -> str:
        """A number with grouped thousands and a fixed number of decimals, halves away from 0."""
        rounded = value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
        whole, _, fraction = f"{abs(rounded):,f}".partition(".")
        text = whole.replace(",", self.thousands) + (self.decimal + fraction if fraction else "")
        return f"-{text}" if rounded < 0 else text

    def money(self, value: Decimal, decimals: int = 2) -> str:
        """An amount with the currency where this locale puts it."""
        text = self.number(abs(value), decimals)
        sign = "-" if value < 0 else ""
        if self.currency_after:
            return f"{sign}{text} {self.currency}"
        gap = " " if self.currency.isalpha() and len(self.currency) > 1 else ""
        return f"{sign}{self.currency}{gap}{text}"

    def date(self, day: datetime.date) -> str:
        """A calendar date in this document's spelling."""
        name = MONTHS[day.month - 1]
        return self.date_pattern.format(y=day.year, m=day.month, d=day.day, M=name, B=name[:3])

    def to_dict(self) -> dict[str, str | bool]:
        """The locale as plain JSON, for whoever reads the printed values back."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Value:
    """One fact's value."""

    kind: Kind
    text: str
    """Exactly what is printed."""
    number: Decimal | None = None
    """The exact number as printed; for dates the proleptic Gregorian ordinal."""
    decimals: int = 0
    """Printed decimals."""
    unit: str = ""
    """Unit printed behind a number."""


def draw_locale(rng: random.Random, *, ascii_only: bool) -> Locale:
    """A locale: mostly English, the others as often as a reader should meet them."""
    dollars = ("$", "$", "$", "USD", "CAD", "AUD")
    currency, after = rng.choice(dollars), rng.random() < 0.2
    thousands, decimal = rng.choice(((",", "."),) * 6 + (("", "."), ("'", ".")))
    if rng.random() < 0.2:
        thousands, decimal, after = ".", ",", True
        currency = "EUR"
    elif not ascii_only and rng.random() < 0.4:
        currency = rng.choice("€£¥")
    if currency == "$":
        after = False
    return Locale(
        thousands, decimal, currency, after, rng.choice(DATE_PATTERNS), rng.random() < 0.3
    )


@cache
def word_list(name: str) -> tuple[str, ...]:
    """A list of entries, one a line, that ships with the package."""
    text = resources.files("leopard.curation").joinpath(f"data/{name}.txt").read_text("utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


class ValueMaker:
    """Makes values for one document, from one stream, in one locale."""

    def __init__(self, rng: random.Random, locale: Locale) -> None:
        self.rng = rng
        self.locale = locale
        self.today = datetime.date(rng.randint(2005, 2029), 1, 1) + datetime.timedelta(
            rng.randint(0, 364)
        )
        self._makers: dict[str, Callable[[list[str]], Value]] = {
            "int": self._int, "dec": self._dec, "money": self._money, "pct": self._percent,
            "measure": self._measure, "date": self._date, "time": self._time, "code": self._code,
            "person": self._person, "company": self._company, "city": self._city,
            "country": self._country, "address": self._address, "email": self._email,
            "phone": self._phone, "url": self._url, "year": self._year, "words": self._words,
            "surname": self._surname, "named": self._named,
        }  # fmt: skip

    def make(self, spec: str) -> Value:
        """A value from a spec such as `int 1 90`, `pick red|blue`, `code AA-999`.

        Raises:
            ConfigError: If the spec is not understood.
        """
        name, _, rest = spec.partition(" ")
        if name == "pick":
            return Value("text", self.rng.choice(rest.split("|")))
        if name not in self._makers:
            known = ", ".join(["pick", *sorted(self._makers)])
            raise ConfigError(f"value spec {spec!r}: {name!r} is unknown; use one of {known}")
        return self._makers[name](rest.split())

    def distinct(self, spec: str, count: int) -> list[Value]:
        """Up to `count` values with different texts; for `pick`, in random order."""
        if spec.startswith("pick "):
            options = spec.removeprefix("pick ").split("|")
            return [Value("text", t) for t in self.rng.sample(options, min(count, len(options)))]
        found: dict[str, Value] = {}
        for _ in range(4 * count):
            value = self.make(spec)
            found.setdefault(value.text, value)
            if len(found) == count:
                break
        return list(found.values())

    def amount(self, value: Decimal, decimals: int = 2) -> Value:
        """A given amount of money as a value."""
        return Value("money", self.locale.money(value, decimals), value, decimals)

    def count(self, value: Decimal, decimals: int = 0, unit: str = "") -> Value:
        """A given number as a value, with its unit behind it."""
        text = self.locale.number(value, decimals) + (f" {unit}" if unit else "")
        return Value("number", text, value, decimals, unit)

    def _between(self, low: float, high: float, decimals: int) -> Decimal:
        """Log-uniform where the range spans orders of magnitude, else uniform."""
        if low > 0 and high / low > 20:
            drawn = exp(self.rng.uniform(log(low), log(high)))
        else:
            drawn = self.rng.uniform(low, high)
        return Decimal(repr(drawn)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)

    def _int(self, args: list[str]) -> Value:
        return self.count(self._between(float(args[0]), float(args[1]), 0))

    def _dec(self, args: list[str]) -> Value:
        decimals = int(args[2])
        return self.count(self._between(float(args[0]), float(args[1]), decimals), decimals)

    def _measure(self, args: list[str]) -> Value:
        decimals = int(args[2])
        number = self._between(float(args[0]), float(args[1]), decimals)
        return self.count(number, decimals, " ".join(args[3:]))

    def _money(self, args: list[str]) -> Value:
        decimals = int(args[2]) if len(args) > 2 else 2
        return self.amount(self._between(float(args[0]), float(args[1]), decimals), decimals)

    def _percent(self, args: list[str]) -> Value:
        decimals = int(args[2]) if len(args) > 2 else 0
        number = self._between(float(args[0]), float(args[1]), decimals)
        return Value("percent", self.locale.number(number, decimals) + "%", number, decimals, "%")

    def _date(self, args: list[str]) -> Value:
        low, high = (int(args[0]), int(args[1])) if args else (-200, 200)
        day = self.today + datetime.timedelta(self.rng.randint(low, high))
        return Value("date", self.locale.date(day), Decimal(day.toordinal()))

    def _time(self, args: list[str]) -> Value:
        low, high = (int(args[0]), int(args[1])) if args else (0, 23)
        hour, minute = self.rng.randint(low, high), self.rng.choice((*range(0, 60, 5), 12, 47))
        text = f"{hour:02d}:{minute:02d}"
        if self.locale.clock_12h:
            text = f"{(hour + 11) % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}"
        return Value("time", text, Decimal(60 * hour + minute))

    def _code(self, args: list[str]) -> Value:
        letters, digits = "ABCDEFGHJKLMNPQRSTUVWXYZ", "0123456789"
        pools = {"A": letters, "9": digits, "X": letters + digits}
        pattern = self.rng.choice(" ".join(args).split("|"))
        text = "".join(self.rng.choice(pools[c]) if c in pools else c for c in pattern)
        return Value("code", text)

    def _person(self, _: list[str]) -> Value:
        first, last = (
            self.rng.choice(word_list("first_names")),
            self.rng.choice(word_list("last_names")),
        )
        middle = f" {self.rng.choice('ABCDEFGHJKLMNPRSTW')}." if self.rng.random() < 0.12 else ""
        return Value("person", f"{first}{middle} {last}")

    def _word(self) -> str:
        """Mostly words that names are made of; some of any kind, so that none can be guessed."""
        if self.rng.random() < 0.7:
            return self.rng.choice(word_list("nouns")).lower()
        return self.rng.choice(word_list("words"))

    def _words(self, args: list[str]) -> Value:
        low, high = (int(args[0]), int(args[1])) if args else (1, 3)
        text = " ".join(self._word() for _ in range(self.rng.randint(low, high)))
        return Value("text", self.rng.choice((text.title(), text.title(), text.capitalize())))

    def _company(self, _: list[str]) -> Value:
        name, tail = self._word().title(), self.rng.choice(word_list("company_tails"))
        last = self.rng.choice(word_list("last_names"))
        shapes = (f"{name} {tail}", f"{last} {tail}", f"{last} & {name}", f"{name} {last} {tail}")
        return Value("text", self.rng.choice(shapes))

    def _surname(self, _: list[str]) -> Value:
        return Value("person", self.rng.choice(word_list("last_names")))

    def _named(self, args: list[str]) -> Value:
        """A name that says what it is of: `named Hotel|Inn` gives `Harbour Inn`, `Perth Hotel`."""
        kind = self.rng.choice(" ".join(args).split("|"))
        drawn = self.rng.random()
        if drawn < 0.25:
            first = self._city([]).text
        elif drawn < 0.5:
            first = self._surname([]).text
        else:
            first = self._word().title()
        return Value("text", f"{first} {kind}")

    def _city(self, _: list[str]) -> Value:
        return Value("place", self.rng.choice(word_list("cities")))

    def _country(self, _: list[str]) -> Value:
        return Value("place", self.rng.choice(word_list("countries")))

    def _address(self, _: list[str]) -> Value:
        rng = self.rng
        kind = rng.choice(("Street", "Road", "Avenue", "Lane", "St.", "Ave.", "Drive", "Way"))
        street = f"{rng.randint(1, 980)} {self._word().title()} {kind}"
        if rng.random() < 0.3:
            street += f", {self._city([]).text}"
        return Value("place", street)

    def _email(self, _: list[str]) -> Value:
        rng = self.rng
        first, last = rng.choice(word_list("first_names")), rng.choice(word_list("last_names"))
        user = rng.choice((first, f"{first}.{last}", f"{first[0]}{last}", self._word()))
        if rng.random() < 0.2:
            user += str(rng.randint(1, 99))
        host = f"{self._word()}.{rng.choice(('com', 'org', 'net', 'io', 'edu', 'co.uk'))}"
        return Value("code", f"{user}@{host}".lower())

    def _phone(self, _: list[str]) -> Value:
        shapes = "(999) 999-9999|999-999-9999|+1 999 999 9999|+99 99 999 9999|999 9999"
        return self._code([shapes])

    def _url(self, _: list[str]) -> Value:
        host = f"{self._word()}{self.rng.choice(('', self._word()))}"
        return Value("code", f"www.{host}.{self.rng.choice(('com', 'org', 'net'))}")

    def _year(self, args: list[str]) -> Value:
        low, high = (int(args[0]), int(args[1])) if args else (1950, 2030)
        year = self.rng.randint(low, high)
        return Value("date", str(year), Decimal(year))
