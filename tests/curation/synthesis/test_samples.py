"""Samples: the same from any process, and borne out by the printed page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leopard.curation.programs.evaluator import UnprovenError, evaluate
from leopard.curation.randomness import stream
from leopard.curation.synthesis.documents import (
    RejectedError,
    check_document,
    draw_blueprint,
    print_blueprint,
)
from leopard.curation.synthesis.facts import FactBase
from leopard.curation.synthesis.printed import read_pdf
from leopard.curation.synthesis.printer import font_files_hash
from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.settings import SynthSettings, load_preset, preset_names
from leopard.curation.synthesis.theme import HELD_OUT_FONTS
from leopard.curation.synthesis.values import Value, ValueMaker, draw_locale
from leopard.curation.verify import Verdict, verify_sample
from leopard.errors import ConfigError
from leopard.schema.rows import sample_to_row
from leopard.schema.samples import NOT_ANSWERABLE

pytest.importorskip("typst")


@pytest.fixture(scope="module")
def made() -> list:  # type: ignore[type-arg]
    maker = SampleMaker(load_preset("smoke"))
    return [maker.make(index) for index in range(16)]


def test_a_sample_hangs_on_its_index_alone(made: list) -> None:  # type: ignore[type-arg]
    again = SampleMaker(load_preset("smoke"))
    for index in (11, 3):
        other = again.make(index)
        assert sample_to_row(other.sample) == sample_to_row(made[index].sample)
        assert other.pdf == made[index].pdf


def test_evidence_boxes_hold_the_answer(made: list) -> None:  # type: ignore[type-arg]
    checked = 0
    for item in made:
        pages = read_pdf(item.pdf)
        for qa in item.sample.qa:
            if qa.program is None or qa.program["op"] != "read" or qa.choices:
                continue
            (evidence,) = qa.evidence
            place = pages[evidence.image].marks[evidence.element]
            short = qa.aliases[0] if qa.answer_type == "sentence" else qa.answer
            assert "".join(place.text.split()) == "".join(short.split())
            left, top, right, bottom = evidence.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            checked += 1
    assert checked >= 5


def test_unanswerable_questions_say_so(made: list) -> None:  # type: ignore[type-arg]
    absent = [qa for item in made for qa in item.sample.qa if qa.family == "unanswerable"]
    assert absent
    assert {qa.answer for qa in absent} == {NOT_ANSWERABLE}


def test_rationales_end_in_the_answer(made: list) -> None:  # type: ignore[type-arg]
    item = made[0].sample
    texts = [m.parts[-1].text for m in item.messages if m.role == "assistant"]
    assert all(
        text.endswith(f"Answer: {qa.answer}") for text, qa in zip(texts, item.qa, strict=True)
    )


def test_provenance_says_what_printed_a_sample(made: list) -> None:  # type: ignore[type-arg]
    for item in made:
        found = item.sample.provenance
        assert found["renderer"] == "typst"
        assert found["renderer_version"].startswith("typst ")
        assert "pypdfium2 " in found["renderer_version"]
        assert found["font_files"] == font_files_hash(found["font"])
    assert len({item.sample.provenance["font_files"] for item in made}) > 1


def test_test_documents_use_held_out_fonts() -> None:
    maker = SampleMaker(load_preset("smoke"), "test")
    assert maker.make(0).sample.provenance["font"] in HELD_OUT_FONTS


def changed(facts: FactBase, element: str) -> FactBase:
    """The facts with one printed value changed."""

    def forge(value: Value, name: str) -> Value:
        if name != element:
            return value
        digit = next((c for c in value.text if c.isdigit()), None)
        other = str((int(digit) + 7) % 10) if digit else ""
        text = value.text.replace(digit, other, 1) if digit else value.text + " x"
        return replace(value, text=text)

    sections = []
    for section in facts.sections:
        fields = tuple(replace(f, value=forge(f.value, f.id)) for f in section.fields)
        tables = tuple(
            replace(
                t,
                keys=tuple(forge(k, t.key_id(r)) for r, k in enumerate(t.keys)),
                cells=tuple(
                    tuple(forge(v, t.cell_id(r, c)) for c, v in enumerate(row))
                    for r, row in enumerate(t.cells)
                ),
            )
            for t in section.tables
        )
        sections.append(replace(section, fields=fields, tables=tables))
    return replace(facts, sections=tuple(sections))


def test_one_changed_evidence_cell_is_always_caught_before_a_question_is_kept() -> None:
    """The page is printed with one evidence value changed; it must never pass as the facts."""
    settings = load_preset("smoke")
    total = 0
    for index in range(25):
        rng = stream("mutation", index)
        blueprint = draw_blueprint(rng, settings, held_out=False)
        document = print_blueprint(blueprint)
        try:
            check_document(document, blueprint.facts, settings)
        except RejectedError:
            continue
        values = [e for e in document.places if not e.startswith("s") and ".h." not in e]
        element = rng.choice(values)
        forged = replace(blueprint, facts=changed(blueprint.facts, element))
        mutant = print_blueprint(forged)
        with pytest.raises(RejectedError):
            check_document(mutant, blueprint.facts, settings)
        total += 1
    assert total >= 15


def test_verification_reads_answers_from_the_pdf_alone(made: list) -> None:  # type: ignore[type-arg]
    verdict = Verdict()
    for item in made:
        pdfs = {item.sample.images[0].pdf_ref: item.pdf}
        verify_sample(item.sample, pdfs, verdict)
    assert not verdict.errors
    assert verdict.num_questions > 40
    sample = made[0].sample
    lies = tuple(replace(qa, answer=f"{qa.answer}1") for qa in sample.qa)
    liar = replace(sample, qa=lies)
    verify_sample(liar, {sample.images[0].pdf_ref: made[0].pdf}, verdict)
    assert sum(verdict.errors.values()) == len(lies)


def test_a_missing_element_is_unproven() -> None:
    rng = stream("missing", 1)
    document = print_blueprint(draw_blueprint(rng, load_preset("smoke"), held_out=False))
    with pytest.raises(UnprovenError, match="not printed"):
        evaluate({"op": "read", "element": "f999"}, document.printed)


def test_settings_that_differ_have_another_hash() -> None:
    settings = load_preset("nano")
    assert settings.content_hash != settings.model_copy(update={"seed": 1}).content_hash
    assert {"nano", "smoke"} <= set(preset_names())
    with pytest.raises(ConfigError, match="preset 'huge' is unknown"):
        load_preset("huge")


def test_altered_copies_and_choices_are_made_and_proven() -> None:
    settings = load_preset("smoke").model_copy(
        update={
            "copy_share": 1.0,
            "choice_share": 1.0,
            "chart_share": 0.7,
            "section_weights": (0.3, 0.7),
            "families": {"disagree": 2.0, "order": 1.0, "lookup": 2.0, "cell": 2.0, "compare": 2.0},
        }
    )
    maker, verdict = SampleMaker(settings), Verdict()
    families, letters, compared = set(), set(), 0
    for index in range(40):
        item = maker.make(index)
        verify_sample(item.sample, {item.sample.images[0].pdf_ref: item.pdf}, verdict)
        for qa in item.sample.qa:
            families.add(qa.family)
            if qa.choices:
                assert qa.answer in "ABCD"
                assert len(set(qa.choices)) == 4
                named = {v for k, v in (qa.program or {}).items() if k.endswith("_name")}
                assert named <= set(qa.choices)
                compared += bool(named)
                letters.add(qa.answer)
    assert not verdict.errors
    assert {"disagree", "order"} <= families
    assert len(letters) >= 3
    assert compared >= 3


def test_page_formats_are_as_frequent_as_the_settings_say() -> None:
    wanted = load_preset("smoke").model_dump()
    wanted["pages"] = {"small": 0, "sheet": 0, "slide": 1, "screen": 0, "figure": 1}
    maker = SampleMaker(SynthSettings.model_validate(wanted))
    made = [maker.make(index).sample for index in range(24)]
    formats = [sample.provenance["format"] for sample in made]
    assert set(formats) == {"slide", "figure"}
    assert 6 <= formats.count("slide") <= 18
    figures = {s.domain for s in made if s.provenance["format"] == "figure"}
    assert figures <= {"chart", "table", "mixed"}
    assert len(figures) >= 2


def test_names_say_what_they_are_of() -> None:
    maker = ValueMaker(stream("names"), draw_locale(stream("names"), ascii_only=True))
    names = {maker.make("named Hotel|Guest House").text for _ in range(40)}
    assert {name.split(" ", 1)[1].removeprefix("Guest ") for name in names} >= {"Hotel", "House"}
    assert len(names) > 30
