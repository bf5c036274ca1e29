"""Names in questions: a table is called by its title only where the page prints that title."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from leopard.curation.programs.interpreter import Interpreter, VoidQuestionError
from leopard.curation.randomness import stream
from leopard.curation.synthesis.documents import PrintedDocument, RejectedError, make_document
from leopard.curation.synthesis.facts import Table
from leopard.curation.synthesis.proving import Draft
from leopard.curation.synthesis.questions import QuestionDrawer
from leopard.curation.synthesis.settings import load_preset

pytest.importorskip("typst")
NOUN = "(?:table|chart|list|part)"
NAMED = re.compile(rf"In the {NOUN} (.+?): |\({NOUN} (.+?)\)[.?]")


def documents(count: int) -> Iterator[PrintedDocument]:
    """Documents whose parts have several tables, some of them cut."""
    update = {"web_renderer": "typst", "copy_share": 0.3, "split_share": 0.3}
    settings = load_preset("leopard-instruct").model_copy(update=update)
    for number in range(10 * count):
        try:
            document = make_document(
                stream("asking", number), settings, held_out=False, shrink=0.7, page_kind="sheet"
            )
        except RejectedError:
            continue
        if any(len(section.tables) > 1 for section in document.facts.sections):
            yield document


@pytest.fixture(scope="module")
def printed_documents() -> list[PrintedDocument]:
    found = list(islice(documents(14), 14))
    assert len(found) == 14
    return found


def drafts(document: PrintedDocument, families: tuple[str, ...]) -> Iterator[Draft]:
    drawer = QuestionDrawer(document.facts, document.printed, random.Random(3))
    for family in families:
        yield from islice(drawer.families[family](), 12)


def page_texts(document: PrintedDocument) -> dict[int, str]:
    return {
        number: "".join(page.text.split()).casefold()
        for number, page in enumerate(document.pages, 1)
    }


def test_titles_in_questions_are_printed_on_every_page_of_the_evidence(
    printed_documents: list[PrintedDocument],
) -> None:
    checked = 0
    for document in printed_documents:
        pages, texts = document.printed.pages, page_texts(document)
        interpreter = Interpreter(document.facts, pages)
        for draft in drafts(document, ("cell", "reverse", "count", "extreme", "sum", "split")):
            headings = {section.title for section in document.facts.sections}  # `In the part X:`
            named = [one or two for one, two in NAMED.findall(draft.question)]
            title = next((name for name in named if name not in headings), None)
            if title is None:
                continue
            try:
                run = interpreter.run(draft.program)
            except VoidQuestionError:
                continue
            wanted = "".join(title.split()).casefold()
            for page in {pages[element] for element in run.evidence}:
                assert wanted in texts[page], (draft.question, page)
                checked += 1
    assert checked > 50


def test_two_prints_of_a_table_are_set_against_each_other_by_printed_titles(
    printed_documents: list[PrintedDocument],
) -> None:
    checked = 0
    for document in printed_documents:
        drawer = QuestionDrawer(document.facts, document.printed, random.Random(5))
        for left, right in drawer.pairs:
            both = drawer.is_named(left) and drawer.is_named(right)
            assert bool(list(drawer.disagreements())) == both or len(drawer.pairs) > 1
            checked += 1
    assert checked


def tables_asked_for(document: PrintedDocument) -> set[str]:
    drawer = QuestionDrawer(document.facts, document.printed, random.Random(3))
    return {table.id for table, _, _ in drawer.all_cells()}


def without_title(document: PrintedDocument, table: Table) -> PrintedDocument:
    """The document as if the title of a table were not printed."""
    pages = tuple(
        replace(page, marks={e: p for e, p in page.marks.items() if e != table.title_id})
        for page in document.pages
    )
    return replace(document, pages=pages)


def test_of_several_tables_one_without_a_printed_title_is_not_asked_for(
    printed_documents: list[PrintedDocument],
) -> None:
    checked = 0
    for document in printed_documents:
        before = tables_asked_for(document)
        for section in document.facts.sections:
            for table in section.tables:
                if table.id not in before:
                    continue
                after = tables_asked_for(without_title(document, table))
                is_alone = not QuestionDrawer(
                    document.facts, document.printed, random.Random(3)
                ).others(table)
                assert after == (before if is_alone else before - {table.id})
                checked += not is_alone
    assert checked >= 10
