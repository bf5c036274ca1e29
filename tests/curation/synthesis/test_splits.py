"""Tables that go on over several pages: nothing lost, nothing doubled, questions need all pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leopard.curation.randomness import stream
from leopard.curation.synthesis.browser import browser
from leopard.curation.synthesis.documents import (
    PrintedDocument,
    RejectedError,
    check_document,
    draw_blueprint,
    print_blueprint,
    print_web,
)
from leopard.curation.synthesis.facts import Column, Table
from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.settings import SynthSettings, load_preset
from leopard.curation.synthesis.values import Value
from leopard.curation.verify import Verdict, verify_sample
from tests.curation.synthesis.test_samples import changed

pytest.importorskip("typst")


def settings(**changes: object) -> SynthSettings:
    values = load_preset("smoke").model_dump() | {"split_share": 1.0, "max_pages": 12}
    return SynthSettings.model_validate(values | changes)


def table(rows: int, columns: int) -> Table:
    cells = tuple(tuple(Value("text", f"{r}.{c}") for c in range(columns)) for r in range(rows))
    keys = tuple(Value("text", f"key {r}") for r in range(rows))
    names = tuple(Column(f"column {c}") for c in range(columns))
    return Table("t3", "T", "row", "Name", keys, names, cells)


@pytest.mark.parametrize(
    "whole",
    [
        replace(table(9, 3), row_cuts=(3, 7)),
        replace(table(4, 5), column_cut=2),
        table(3, 2),
    ],
)
def test_parts_show_every_cell_once_under_the_ids_of_the_whole(whole: Table) -> None:
    shown: dict[str, str] = {}
    for part in whole.parts:
        for r in range(len(part.keys)):
            for c in range(len(part.columns)):
                assert part.cell_id(r, c) not in shown
                shown[part.cell_id(r, c)] = part.cells[r][c].text
            assert whole.keys[r + part.first_row] == part.keys[r]
            assert part.key_id(r) == whole.key_id(r + part.first_row)
        for c, column in enumerate(part.columns):
            assert part.header_id(c) == whole.header_id(c + part.first_column)
            assert column == whole.columns[c + part.first_column]
    assert shown == {
        whole.cell_id(r, c): cell.text
        for r, row in enumerate(whole.cells)
        for c, cell in enumerate(row)
    }


def drawn(count: int, renderer: str = "typst", **changes: object) -> list[PrintedDocument]:
    only = settings(**changes)
    blueprints = [
        draw_blueprint(stream("split", n), only, held_out=False, renderer=renderer)
        for n in range(count)
    ]
    made = print_web(blueprints) if renderer == "chromium" else map(print_blueprint, blueprints)
    sound = []
    for document in made:
        try:
            check_document(document, document.facts, only)
        except RejectedError:
            continue
        sound.append(document)
    return sound


def spread(document: PrintedDocument) -> int:
    """Cut tables of a document, after a check that they stand on as many pages as parts."""
    cut = [t for t in document.facts.tables.values() if t.is_cut]
    shown = 0
    for item in cut:
        places = [document.places.get(item.cell_id(r, c)) for r in range(len(item.keys))
                  for c in range(len(item.columns))]  # fmt: skip
        if all(places):
            pages = {place.page for place in places if place}
            assert len(pages) == len(item.parts)
            shown += 1
    return shown


def test_cut_tables_stand_on_several_pages() -> None:
    assert sum(spread(document) for document in drawn(70)) >= 15


@pytest.mark.skipif(browser() is None, reason="no browser on this computer")
def test_cut_tables_stand_on_several_web_pages() -> None:
    screens = {"small": 0, "sheet": 0, "slide": 0, "screen": 1}
    documents = drawn(40, "chromium", pages=screens, web_renderer="chromium")
    assert sum(spread(document) for document in documents) >= 8


def test_split_questions_need_several_pages_and_are_proven() -> None:
    maker = SampleMaker(settings(families={"split": 5.0, "lookup": 1.0}))
    verdict, found, frames = Verdict(), 0, 0
    for index in range(40):
        item = maker.make(index)
        verify_sample(item.sample, {item.sample.images[0].pdf_ref: item.pdf}, verdict)
        for turn in item.sample.qa:
            if turn.family == "split":
                found += 1
                assert turn.pages_needed > 1
                assert len({evidence.image for evidence in turn.evidence}) > 1
        frames += sum("+split." in surface for surface in item.sample.provenance["surfaces"])
    assert not verdict.errors
    assert found >= 25
    assert 0 < frames < found


def test_one_changed_cell_of_a_cut_table_is_always_caught() -> None:
    caught = 0
    for document in drawn(70):
        tables = [t for t in document.facts.tables.values() if t.is_cut]
        cells = [e for t in tables for e in document.places if e.startswith(f"{t.id}.")]
        cells = [e for e in cells if ".h." not in e]
        if not cells:
            continue
        element = stream("split element", caught).choice(cells)
        blueprint = document.blueprint
        mutant = print_blueprint(replace(blueprint, facts=changed(blueprint.facts, element)))
        with pytest.raises(RejectedError):
            check_document(mutant, blueprint.facts, settings())
        caught += 1
    assert caught >= 12
