"""Words of questions: phrasings, plurals, ordinals, and which columns can be asked what.

Knows nothing of programs.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources

from leopard.curation.synthesis.facts import Table, View
from leopard.curation.synthesis.values import Locale, Value

ORDINALS = ("first", "second", "third", "fourth")


_NOT_ADDITIVE_WORDS = (
    "age rating score average mean temp price rate year no. number share rank growth margin",
    "efficiency temperature elevation altitude high low min max limit per each stars change",
    "density value test quiz exam final upper lower ref. result position return yield depth",
    "cost reading math ext. seats stock peak power level measured per",
)


NOT_ADDITIVE = frozenset(word for line in _NOT_ADDITIVE_WORDS for word in line.split())
"""Words in column labels whose values make no sense as a sum."""

_UNFIT_WORDS: dict[View, str] = {
    "table": r"\blists?\b",
    "turned": r"\b(rows?|columns?|lists?)\b",
    "list": r"\b(rows?|columns?)\b",
    "chart": r"\b(rows?|columns?|lists?)\b",
    "mixed": r"\b(rows?|columns?|tables?)\b",
}
"""Words that a question about a table does not use, by how pages draw it (but `List the ...`)."""
NOUNS: dict[View, str] = {
    "table": "table", "turned": "table", "list": "list", "chart": "chart", "mixed": "part",
}  # fmt: skip
"""What people call a table as pages draw it."""
_AGREEMENT = re.compile(
    r"which is the \w+ \{[ck]\}|(?:\b(?:is|does|did|was|has)(?: the)?|'s the|\ba|\bits) \{[ck]\}"
    r"|(?<!many )\{[ck]\} (?:is|was|does|has|goes|belongs|exceeds|differs)\b"
    r"|\bis \{r\}'s \{c\}|\b(?:a different|the stated) \{[ck]\}"
    r"|\bthe \{[ck]\} \{v\}|\{[ck]\} of \{[ar]\} is\b",
    re.IGNORECASE,
)
"""Where a phrasing takes its label for one thing."""
_COUNTED = re.compile(r"\{n\} \{c\}|[Hh]ow many \{c\}")
"""Where a phrasing takes its label for things that are counted: `more than 20 students`."""
_PLURALS_LIKE_SINGULARS = frozenset(
    ["address", "basis", "class", "diagnosis", "gas", "gps", "headquarters", "ids", "iris", "news",
     "series", "sms", "species", "status", "tennis"]
)  # fmt: skip
_PLURALS_WITHOUT_S = frozenset(["children", "men", "people", "staff", "women"])
_LIKE_CONSONANTS = re.compile(r"(?:uni|use|usa|usu|uti|eu|one\b|once)", re.IGNORECASE)
_AMOUNTS = frozenset(
    ["assets", "borrowings", "charges", "costs", "deductions", "earnings", "ects", "emissions",
     "expenses", "exports", "fees", "imports", "liabilities", "losses", "profits", "revenues",
     "sales", "savings", "stars", "takings", "taxes", "wages"]
)  # fmt: skip
_SIZES = (
    "highest|largest|greatest|biggest|maximum|peak|top|lowest|smallest|minimum"
    "|higher|larger|greater|lower|smaller|mean|average|total|combined|joint|overall|decreasing"
)
"""Words for sizes: things that are counted have a number of such a size."""
_PARTICLES = frozenset(
    ["as", "at", "by", "for", "from", "in", "of", "on", "since", "to", "until", "with"]
)
_VERBS = frozenset(["doors", "pay", "please", "visit"])
"""First words of labels that are whole clauses: `Please pay`, `Doors open`."""
_NO_NOUNS = frozenset(
    ["actual", "arrives", "begin", "begins", "call", "card ending", "departs", "done", "drawn",
     "due", "each", "ends", "expires", "for", "in operation since", "in stock", "lost", "paid",
     "paid out", "per 100 g", "per serving", "re", "sold", "spent", "spent so far", "starts",
     "when", "where", "won"]
)  # fmt: skip
_AFTER_PLURALS = re.compile(r" (?:absent|enrolled|left|missed|off|played|sold|worked)$")
_NOUNS_LIKE_PARTICIPLES = frozenset(["bed", "breed", "feed", "need", "seed", "shed", "speed"])


@cache
def phrasings() -> Mapping[str, tuple[str, ...]]:
    """All phrasings by list."""
    path = resources.files("leopard.curation").joinpath("data/phrasings.toml")
    return {name: tuple(v) for name, v in tomllib.loads(path.read_text("utf-8")).items()}


@cache
def fitting(
    name: str,
    view: View = "table",
    *,
    is_many: bool = False,
    is_counted: bool = False,
    is_told: bool = False,
) -> tuple[tuple[int, str], ...]:
    """Phrasings of a list with their numbers, in words for what the page shows.

    Args:
        name: The list.
        view: How pages draw the table that is asked about.
        is_many: Whether the label in the slots `c` or `k` is a plural.
        is_counted: Whether it names things that are counted.
        is_told: Whether a sentence states what is asked for, without a label beside it.
    """
    unfit = re.compile(_UNFIT_WORDS[view])
    found = []
    for index, text in enumerate(phrasings()[name]):
        words = re.sub(r"\{[^}]*\}", "{}", text)
        has_place = re.search(r"next to|under|entered|listed|belongs|\bfor \{k\}", text)
        if unfit.search(words) or (is_many and _AGREEMENT.search(text)):
            continue
        if _COUNTED.search(text) and not is_counted:
            continue
        if not (is_told and has_place):
            found.append((index, re.sub(r"\btable\b", NOUNS[view], text)))
    return tuple(found)


def filled(text: str, **slots: str) -> str:
    """A phrasing with its slots filled, as the words in them want: a sentence."""
    text = worded(text, **slots)
    return text[0].upper() + text[1:]


def worded(text: str, **slots: str) -> str:
    """A phrasing with its slots filled, `a` or `an` as the word behind it wants."""
    for name, word in slots.items():
        if name in ("c", "k"):
            text = _as_counted(text, name) if is_counted(word) else _as_amount(text, name, word)
        if name in ("c", "k") and is_many(word) and not word.lower().endswith("staff"):
            text = text.replace("that of {", "those of {")
        if word.endswith("s"):
            text = text.replace(f"{{{name}}}'s", f"{{{name}}}'")
        if _takes_an(word):
            text = re.sub(rf"\b([Aa]) (?=\{{{name}\}})", r"\1n ", text)
    return text.format(**slots)


def _as_counted(text: str, name: str) -> str:
    """The words around a slot for things that are counted: not "the highest students"."""
    slot = rf"(?=\{{{name}\}})"
    text = re.sub(rf"(?i)\b({_SIZES}|in|by) {slot}", r"\1 number of ", text)
    text = re.sub(r"(?i)\b(in|by) number of", r"\1 the number of", text)
    text = re.sub(rf"\b(trend|course|direction) of (?:the )?{slot}", r"\1 of the number of ", text)
    text = re.sub(rf"\bless {slot}", "fewer ", text)
    text = re.sub(rf"\bleast {slot}", "fewest ", text)
    text = re.sub(rf"\b([Hh])ow much {slot}", r"\1ow many ", text)
    text = re.sub(rf"\bWhat {slot}(?=\S+ do\b)", "How many ", text)
    text = re.sub(rf"\bwhat {slot}(?=\S+ do\b)", "how many ", text)
    return text.replace(f"{{{name}}} {{v}}", f"{{v}} {{{name}}}")


def _as_amount(text: str, name: str, word: str) -> str:
    """The words around a slot for an amount: not "the most altitude"."""
    slot, an = rf"(?=\{{{name}\}})", "" if is_many(word) else "a "
    for more, size in (("more", f"{an}higher"), ("less", f"{an}lower")):
        text = re.sub(rf"\b{more} {slot}", f"{size} ", text)
    return re.sub(rf"\bleast {slot}", "lowest ", re.sub(rf"\bmost {slot}", "highest ", text))


def _takes_an(word: str) -> bool:
    word = word.lstrip('"')
    if re.match(r"[A-Z]{2,}\b", word):  # spelt out: an MVP, a URL
        return word[0] in "AEFHILMNORSX"
    return word[:1].lower() in tuple("aeiou") and not _LIKE_CONSONANTS.match(word)


def one_stop(text: str) -> str:
    """The text with a single full stop where an abbreviation ends a sentence."""
    return re.sub(r"(?<!\.)\.\.(?=\s|$)", ".", text)


def is_many(label: str) -> bool:
    """Whether a label is a plural: `Students`, `Nights`, not `Status`."""
    head = re.split(r"\s*\(|\s+(?:of|per|in|for|to|by)\s+", label.lower())[0]
    words = _AFTER_PLURALS.sub("", head).split()
    last = words[-1] if words else ""
    return last in _PLURALS_WITHOUT_S or (
        last.endswith("s")
        and len(last) > 3
        and not last.endswith(("ss", "us"))
        and last not in _PLURALS_LIKE_SINGULARS
    )


def is_counted(label: str) -> bool:
    """Whether a label names things that are counted, not an amount that can itself be high."""
    words = label.lower().split()
    return is_many(label) and words[-1] not in _AMOUNTS and "per" not in words


def plural(noun: str) -> str:
    """English plural of the nouns in the domain files."""
    last = noun.split()[-1]
    irregular = {"person": "people", "species": "species", "country": "countries"}
    if last in irregular:
        return noun[: -len(last)] + irregular[last]
    if last.endswith("y") and last[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if last.endswith(("s", "sh", "ch", "x")) else "s")


def ordinal(number: int | None) -> str:
    """The ordinal word of a small number."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    return words[(number or 1) - 1] if (number or 1) <= len(words) else f"{number}th"


def is_noun(label: str) -> bool:
    """Whether a label names a thing: not `Issued`, `Paid by`, `To` or `Please pay`."""
    words = label.lower().split()
    is_clause = len(words) > 1 and words[0] in _VERBS
    if words[-1] in _PARTICLES or is_clause or label.lower() in _NO_NOUNS:
        return False
    return len(words) > 1 or not words[0].endswith("ed") or words[0] in _NOUNS_LIKE_PARTICIPLES


def names_a_number(label: str) -> bool:
    """Whether the numbers under a label are names, as on shirts: no amounts to compare."""
    return "no." in label.lower() and "no. of" not in label.lower()


def decimals_text(count: int) -> str:
    """How a question names a number of decimals."""
    return "one decimal" if count == 1 else f"{count} decimals"


def is_measure(value: Value) -> bool:
    """Whether a value can be compared and computed with."""
    return value.kind in ("number", "money", "percent") and value.number is not None


def is_additive(table: Table, column: int) -> bool:
    """Whether the sum of a column means something."""
    words = set(table.columns[column].label.lower().replace("(", " ").split())
    kinds = {cells[column].kind for cells in table.cells}
    return not words & NOT_ADDITIVE and kinds <= {"number", "money"}


def round_number(value: Value, rng: random.Random) -> Decimal:
    """A round number near a value."""
    number = value.number or Decimal(0)
    if abs(number) < 10:
        return number.quantize(Decimal(1))
    size = number.adjusted() - rng.choice((0, 1))
    step = Decimal(1).scaleb(max(size, 0))
    return (number / step).quantize(Decimal(1)) * step


def print_like(value: Value, bound: Decimal, locale: Locale) -> str:
    """A bound printed like the values it is compared with."""
    plain = bound.quantize(Decimal(1))
    if value.kind == "money":
        return locale.money(plain, 0)
    text = locale.number(plain, 0)
    return text + ("%" if value.kind == "percent" else f" {value.unit}" if value.unit else "")
