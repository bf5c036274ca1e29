"""Web pages printed by a browser: exact marks, the same bytes, and proven questions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from leopard.curation.randomness import stream
from leopard.curation.synthesis import browser as browsers
from leopard.curation.synthesis import samples
from leopard.curation.synthesis.browser import (
    Browser,
    WebDocument,
    browser,
    needed_browser,
    with_renderer,
)
from leopard.curation.synthesis.charts import CHART_KINDS
from leopard.curation.synthesis.documents import (
    RejectedError,
    check_document,
    draw_blueprint,
    print_web,
)
from leopard.curation.synthesis.markup import html_marked
from leopard.curation.synthesis.printed import read_pdf
from leopard.curation.synthesis.samples import SampleMaker
from leopard.curation.synthesis.settings import SynthSettings, load_preset
from leopard.curation.synthesis.web_views import FIELDS, HELD_OUT_WEB_STYLES, TABLES
from leopard.curation.verify import Verdict, verify_sample
from leopard.errors import ConfigError
from tests.curation.synthesis.test_samples import changed

pytest.importorskip("typst")
needs_browser = pytest.mark.skipif(
    browser() is None,
    reason="web pages are not tested here: no chromium, and none named in LEOPARD_BROWSER",
)
NASTY = ("<b>&amp;</b>", 'say "no"', "-5", "A--17.x", "50 % & more", "über Köln", "x" * 60)


def settings(**changes: object) -> SynthSettings:
    values = load_preset("smoke").model_dump()
    values |= {"web_renderer": "chromium", "pages": {"small": 1, "sheet": 0, "slide": 0}}
    values["pages"]["screen"] = 1
    return SynthSettings.model_validate(values | changes)


def document(number: int, words: tuple[str, ...] = ("one", "two words")) -> WebDocument:
    parts = tuple(
        "".join(f"<p>{html_marked(f'f{number}.{i}', word)}</p>" for i, word in enumerate(words))
        for _ in range(1 + number % 3)
    )
    return WebDocument(f"section {{width: {300 + 40 * number}pt; font: 12pt Lato}}", parts)


@needs_browser
def test_marked_texts_are_printed_as_they_are() -> None:
    (pdf,) = needed_browser().print([document(0, NASTY)])
    (page,) = read_pdf(pdf)
    for index, text in enumerate(NASTY):
        assert page.marks[f"f0.{index}"].text == text
    assert page.num_clashes == 0


@needs_browser
@pytest.mark.parametrize("family", ["Lato", "Caladea", "Hanken Grotesk", "Manrope"])
def test_pages_are_set_in_the_fonts_of_the_other_typesetter(family: str) -> None:
    style = f"section {{width: 300pt; font: 12pt '{family}'}}"
    (pdf,) = needed_browser().print([WebDocument(style, ("<p>words</p>",))])
    name = family.replace(" ", "").encode()
    assert re.findall(rb"/FontName/(?:[A-Z]{6}\+)?([A-Za-z]+)", pdf) == [name]


@needs_browser
def test_each_document_is_a_pdf_of_its_own_as_large_as_its_content() -> None:
    documents = [document(number) for number in range(5)]
    files = needed_browser().print(documents)
    for number, (source, pdf) in enumerate(zip(documents, files, strict=True)):
        pages = read_pdf(pdf)
        assert len(pages) == len(source.parts)
        assert {mark.split(".")[0] for page in pages for mark in page.marks} == {f"f{number}"}
        assert all(abs(page.width - 300 - 40 * number) < 1.5 for page in pages)
    assert files == needed_browser().print(documents)


@needs_browser
def test_a_document_that_runs_over_does_not_shift_the_others() -> None:
    wild = WebDocument(
        "section {width: 300pt} p {break-after: page}", ("<p>one</p><p>two</p><p>three</p>",)
    )
    files = needed_browser().print([document(0), wild, document(1)])
    assert [len(read_pdf(pdf)) for pdf in files] == [1, 3, 2]


@needs_browser
def test_nothing_is_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text("<svg xmlns='http://www.w3.org/2000/svg'><text y='20'>secret</text></svg>")
    sources = (f"file://{secret}", "http://example.org/a.png")
    body = "".join(f'<img src="{source}" alt="">' for source in sources)
    (pdf,) = needed_browser().print([WebDocument("section {width: 300pt}", (f"{body}<p>x</p>",))])
    assert "secret" not in read_pdf(pdf)[0].text


@needs_browser
def test_pages_are_legible_and_show_exactly_the_facts() -> None:
    wanted = settings(chart_share=0.5, section_weights=(0.5, 0.5))
    styles: set[str] = set()
    blueprints = []
    for index in range(40):
        rng = stream("web test", index)
        only = settings(
            chart_share=0.5,
            section_weights=(0.5, 0.5),
            pages={"small": 0, "sheet": 0, "slide": 0, "screen": 1},
        )
        blueprints.append(draw_blueprint(rng, only, held_out=index % 4 == 3, renderer="chromium"))
    bad = 0
    for blueprint, printed in zip(blueprints, print_web(blueprints), strict=True):
        styles |= set(printed.styles)
        if not blueprint.held_out:
            assert not set(printed.styles) & HELD_OUT_WEB_STYLES
        try:
            check_document(printed, blueprint.facts, wanted)
        except RejectedError:
            bad += 1
    assert bad <= 6
    assert len({style for style in styles if style.startswith("fields:")}) >= len(FIELDS) - 1
    assert len({style for style in styles if style.startswith("table:")}) >= len(TABLES) - 2
    kinds = {style.removeprefix("chart:") for style in styles if style.startswith("chart:")}
    assert len(kinds) >= 5
    assert kinds <= set(CHART_KINDS)


@needs_browser
def test_one_changed_value_is_always_caught() -> None:
    only = settings(pages={"small": 0, "sheet": 0, "slide": 0, "screen": 1}, chart_share=0.5)
    blueprints = [
        draw_blueprint(stream("web mutation", n), only, held_out=False, renderer="chromium")
        for n in range(24)
    ]
    sound = []
    for blueprint, printed in zip(blueprints, print_web(blueprints), strict=True):
        try:
            check_document(printed, blueprint.facts, only)
        except RejectedError:
            continue
        values = [e for e in printed.places if not e.startswith("s") and ".h." not in e]
        sound.append((blueprint, stream("web element", len(sound)).choice(values)))
    assert len(sound) >= 18
    forged = [replace(b, facts=changed(b.facts, element)) for b, element in sound]
    for (blueprint, _), mutant in zip(sound, print_web(forged), strict=True):
        with pytest.raises(RejectedError, match="differs"):
            check_document(mutant, blueprint.facts, only)


@needs_browser
def test_samples_hang_on_their_index_alone_and_are_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "WEB_BATCH", 8)
    first, later = SampleMaker(settings()), SampleMaker(settings())
    made = [first.make(index) for index in range(12)]
    for index in (11, 3, 9):
        again = later.make(index)
        assert again.sample == made[index].sample
        assert again.pdf == made[index].pdf
    by_browser = [m for m in made if m.sample.provenance["renderer"] == "chromium"]
    assert 2 <= len(by_browser) < 12
    for item in by_browser:
        assert item.sample.domain == "web"
        assert item.sample.provenance["renderer_version"].startswith("Chrom")
        verdict = Verdict()
        verify_sample(item.sample, {item.sample.images[0].pdf_ref: item.pdf}, verdict)
        assert verdict.num_questions == len(item.sample.qa) > 0
        assert not verdict.errors


def test_the_core_works_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "browser", lambda: None)
    plain = with_renderer(settings(web_renderer="auto"))
    assert plain.web_renderer == "typst"
    renderers = {SampleMaker(plain).make(i).sample.provenance["renderer"] for i in range(4)}
    assert renderers == {"typst"}
    with pytest.raises(ConfigError, match="set web_renderer=typst"):
        SampleMaker(settings(pages={"small": 0, "sheet": 0, "slide": 0, "screen": 1})).make(0)


@needs_browser
def test_auto_is_decided_once() -> None:
    assert with_renderer(settings(web_renderer="auto")).web_renderer == "chromium"
    nano = load_preset("nano").model_copy(update={"web_renderer": "auto"})
    assert with_renderer(nano).web_renderer == "typst"


@pytest.mark.parametrize("program", ["exit 3", "sleep 9"])
def test_a_browser_that_fails_or_hangs_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    fake = tmp_path / "browser"
    fake.write_text(f"#!/bin/sh\necho cannot start >&2\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(browsers, "TIMEOUT", 0.5)
    with pytest.raises(ConfigError, match=r"cannot start|took over 0 seconds"):
        Browser(fake).print([document(0)])
