"""Every source of the paper's Table 8: what a local copy in its own layout becomes."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import PIL.Image
import pytest

from leopard.curation.converters import SOURCES, get_converter
from leopard.curation.converters.local_copy import LocalCopy
from leopard.curation.converters.running import ConvertSettings, convert_into, convert_samples
from leopard.curation.converters.source import Converter
from leopard.errors import ConfigError, DataError
from leopard.schema.messages import ImagePart, TextPart
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample
from tests.curation.converters.fixtures import BUILDERS

pytest.importorskip("typst")
ALL = pytest.mark.parametrize("name", SOURCES)

ASSEMBLED = {
    "arxivqa": (1, 3),
    "tatdqa": (2, 5),
    "chartgemma": (1, 4),
    "dvqa": (1, 3),
    "figureqa": (1, 2),
    "chartqa": (2, 2),
    "screenqa": (1, 4),
    "monkey": (1, 3),
    "mapqa": (1, 2),
}
"""Sources that Table 8 marks as reformed, with their images per sample."""


@dataclass(frozen=True)
class Expected:
    """What the fixture of a source becomes without putting images together."""

    images: list[int]
    """Images of each sample."""
    turn: tuple[str, str]
    """One question and its answer, word for word."""
    published: int | None
    """Questions in the fixture; a row of the published Leopard set that is lost counts once.

    None where the source has no questions of its own.
    """
    rejects: dict[str, int] = field(default_factory=dict)
    evidence: set[int] | None = None
    """Images that hold the evidence of that question."""
    rationale: str = ""
    aliases: tuple[str, ...] = ()
    kind: str = "text"


EXPECTED = {
    "arxivqa": Expected(
        [1] * 6,
        (
            "What trend does the figure show?\nA. Linear\nB. Exponential\nC. None",
            "B. Exponential",
        ),
        8,
        {"the answer is none of the options": 1, "a line is not JSON": 1},
        {0},
        "The curve bends upwards.",
        ("B", "Exponential"),
        "choice",
    ),
    "dude": Expected(
        [3, 3, 3],
        ("Which towns are named?", "Rome, Oslo"),
        4,
        {"the pages of a document are missing": 1},
        {1, 2},
        kind="list",
    ),
    "mpdocvqa": Expected(
        [3],
        ("What is the actual value per 1000?", "0.28"),
        2,
        {"the answer page is none of the pages": 1},
        {1},
        kind="number",
    ),
    "docvqa": Expected(
        [1, 1, 1],
        ("What is number 2?", "2.5"),
        5,
        {"a file is missing": 1, "answer is missing": 1},
        {0},
        aliases=("2.50",),
        kind="number",
    ),
    "tatdqa": Expected(
        [2, 1],
        ("What was the change in revenue?", "94 million"),
        9,
        {"answer is missing": 2, "the pages of a document are missing": 3},
        set(),
        "Compute 5829 - 5735.",
        ("94",),
    ),
    "slidesgeneration": Expected(
        [3], ("How many are there?", "3"), 3, {"an image cannot be read": 1}, set(), kind="number"
    ),
    "slidevqa": Expected(
        [20],
        ("What is the sum of both shares?", "80%"),
        2,
        {"a deck has not slides 1 to 20": 1},
        {2, 17},
        "Compute 30% + 50%.",
        kind="number",
    ),
    "slideshare": Expected(
        [3], ("Which slide names the price?", "The second."), 3, {"an image cannot be read": 1}
    ),
    "multihiertt": Expected(
        [5],
        ("How much did revenue grow?", "2"),
        3,
        {"no table": 1, "a record lacks 'qa'": 1},
        {0},
        kind="number",
    ),
    "multitabqa": Expected(
        [2, 2, 2],
        ("Who heads what?", "| name | dept |\n|---|---|\n| Ann | Sales |\n| Bo | Law |"),
        5,
        {"the answer table is empty": 1, "a literal cannot be read": 1},
        set(),
        kind="list",
    ),
    "tablegpt": Expected(
        [2, 2],
        (
            "Row A:\n[The table is shown in image 1.]\n\n"
            "Row B:\n[The table is shown in image 2.]\n\nMatch?",
            '{"answer": "No"}',
        ),
        3,
        {"no Markdown tables": 1},
        {0, 1},
        "The towns differ.",
    ),
    "tabmwp": Expected(
        [1, 1],
        ("How much do two pens cost? (Unit: $)", "6.20"),
        3,
        {"the answer is none of the options": 1},
        {0},
        "Two pens cost 2 x 3.10 = 6.20.",
        kind="number",
    ),
    "chartgemma": Expected(
        [1] * 8, ("Question 5?", "Because. 5"), 9, {"an image cannot be read": 1}, {0}
    ),
    "dvqa": Expected(
        [1] * 5,
        ("What is the value of bar 1?", "2"),
        20,
        {"a question over 10 about one image": 2},
        {0},
        kind="number",
    ),
    "figureqa": Expected(
        [1] * 4,
        ("Is Red the maximum?", "No"),
        9,
        {"answer is neither 0 nor 1": 1},
        {0},
        kind="boolean",
    ),
    "chartqa": Expected(
        [1] * 4, ("When was it?", "2019"), 6, {"query is missing": 1}, {0}, kind="number"
    ),
    "pew_multichart": Expected(
        [3], ("How many are there?", "3"), 3, {"an image cannot be read": 1}, set(), kind="number"
    ),
    "mind2web": Expected(
        [4],
        (
            "The images show one web page from top to bottom.\nTask: Book a table for two\n"
            "Actions so far:\n- [link] Tables -> CLICK\nWhat is the next action?",
            "[button] Book -> CLICK",
        ),
        2,
        {"no screenshot": 1},
        {2},
    ),
    "website_screenshots": Expected(
        [1],
        ('What is the number of elements of the kind "button" in the screenshot?', "2"),
        None,
        {"a kind of element with a box outside its picture": 1},
        {0},
        kind="number",
    ),
    "omniact": Expected(
        [1],
        (
            "Task: Open the basket\nWrite the PyAutoGUI script that does it.",
            "pyautogui.click(12.5,30.0)",
        ),
        2,
        {"a task file has no task and script": 1},
        {0},
    ),
    "screenqa": Expected(
        [1] * 5,
        ("What is the name?", "Ann"),
        7,
        {"a file is missing": 1},
        {0},
        aliases=("Ann Lee",),
    ),
    "webvision": Expected(
        [1],
        ("Describe what this web page shows.", "A page that sells pens."),
        1,
        {},
        {0},
    ),
    "webui": Expected(
        [1],
        ('In which part of the page is the link "Prices"?', "top left"),
        None,
        {"a file of a record is not JSON": 1},
        {0},
    ),
    "llavar": Expected([1], ("When?", "In 1999."), None, {"a question has no answer": 1}, {0}),
    "mathv360k": Expected(
        [1],
        ("Hint: give a number.\nQuestion: How long is AB?", "The answer is 5"),
        2,
        {"a file is missing": 1},
        {0},
    ),
    "monkey": Expected([1] * 5, ("What does the sign say?", "stop 2"), 5, {}, {0}),
    "docreason": Expected(
        [1],
        ("What is the date?", "The letter is dated 5 May."),
        2,
        {"a file is missing": 1},
        {0},
    ),
    "iconqa": Expected(
        [4, 1, 1],
        (
            "Which is next? (The problem is in the first image, the options follow.)\n"
            "A. image 2\nB. image 3\nC. image 4",
            "C. image 4",
        ),
        4,
        {"the answer is none of the options": 1},
        set(),
        aliases=("C", "image 4"),
        kind="choice",
    ),
    "infographicvqa": Expected([1], ("How many people use it?", "3 million"), 1, {}, {0}),
    "mapqa": Expected(
        [1] * 4,
        ("Which states have the highest value?", "Ohio, Iowa"),
        5,
        {"answer is missing": 1},
        {0},
        kind="list",
    ),
}


def converted(
    name: str, root: Path, *, assemble: bool, **settings: object
) -> tuple[list[Sample], Counter[str]]:
    rejects = Counter[str]()
    chosen = ConvertSettings(assemble=assemble, **settings)
    found = convert_samples(get_converter(name), LocalCopy(root), chosen, rejects)
    return list(found), rejects


@pytest.fixture
def local(tmp_path: Path, name: str) -> Path:
    BUILDERS[name](tmp_path / name)
    return tmp_path / name


def find_turn(samples: list[Sample], turn: tuple[str, str]) -> tuple[Sample, QuestionAnswer]:
    found = [(s, qa) for s in samples for qa in s.qa if (qa.question, qa.answer) == turn]
    assert found, [(qa.question, qa.answer) for s in samples for qa in s.qa]
    return found[0]


def test_the_sources_are_those_of_the_paper() -> None:
    assert set(BUILDERS) == set(EXPECTED) == set(SOURCES)
    converters = [get_converter(name) for name in SOURCES]
    assert sum(converter.paper_samples for converter in converters) == 925_000
    by_domain = Counter[str]()
    for converter in converters:
        by_domain[converter.domain] += converter.paper_samples
    assert by_domain == {
        "document": 192_000,
        "slide": 16_000,
        "table": 48_000,
        "chart": 353_000,
        "web": 55_000,
        "mixed": 261_000,
    }
    assert {c.name: c.assemble for c in converters if c.assemble} == ASSEMBLED


@ALL
def test_a_source_says_where_it_comes_from_and_how_it_may_be_used(name: str) -> None:
    converter = get_converter(name)
    assert isinstance(converter, Converter)
    assert converter.name == name
    assert converter.licence
    assert converter.terms or not converter.licence.startswith("LicenseRef-")
    assert any(f" {year}" in converter.citation for year in range(2015, 2027)), converter.citation
    assert converter.where
    assert converter.expects


@ALL
def test_records_become_these_samples(name: str, local: Path) -> None:
    expected = EXPECTED[name]
    samples, rejects = converted(name, local, assemble=False)
    assert [len(sample.images) for sample in samples] == expected.images
    assert dict(rejects) == expected.rejects
    _, turn = find_turn(samples, expected.turn)
    assert turn.answer_type == expected.kind
    assert turn.rationale == expected.rationale
    assert turn.aliases == expected.aliases
    if expected.evidence is not None:
        assert {item.image for item in turn.evidence} == expected.evidence


@ALL
def test_the_conversation_shows_the_images_then_asks_and_answers(name: str, local: Path) -> None:
    expected = EXPECTED[name]
    samples, _ = converted(name, local, assemble=False)
    sample, turn = find_turn(samples, expected.turn)
    first = sample.messages[0].parts
    count = len(sample.images)
    assert all(isinstance(part, ImagePart) for part in first[:count])
    assert [m.role for m in sample.messages] == ["user", "assistant"] * len(sample.qa)
    said = [
        "".join(part.text for part in message.parts if isinstance(part, TextPart))
        for message in sample.messages
    ]
    place = 2 * sample.qa.index(turn)
    assert said[place].strip() == turn.question
    assert said[place + 1].endswith(turn.answer)
    if turn.rationale:
        assert turn.rationale in said[place + 1]
        plain, _ = converted(name, local, assemble=False, rationales=False)
        alone = next(found for found in plain if found.id == sample.id).messages[place + 1]
        assert alone.parts == (TextPart(turn.answer),)


@pytest.mark.parametrize("name", [n for n in SOURCES if EXPECTED[n].published is not None])
def test_every_published_question_is_a_turn_or_counted(name: str, local: Path) -> None:
    published = EXPECTED[name].published
    samples, rejects = converted(name, local, assemble=False)
    turns = sum(len(sample.qa) for sample in samples)
    assert turns + sum(rejects.values()) == published


@ALL
def test_samples_are_sound_and_say_where_they_come_from(name: str, local: Path) -> None:
    converter = get_converter(name)
    for assemble in (False, True):
        samples, _ = converted(name, local, assemble=assemble, seed=3)
        assert len({sample.id for sample in samples}) == len(samples)
        for sample in samples:
            assert sample.id.startswith(f"{name}-")
            assert "." not in sample.id
            assert sample.domain == converter.domain
            assert sample.licence == converter.licence
            assert sample.split == "train"
            assert sample.provenance["citation"] == converter.citation
            assert sample.provenance["generator"] == f"convert:{name}"
            for image in sample.images:
                assert isinstance(image, PixelImage)
                with PIL.Image.open(io.BytesIO(image.data)) as opened:
                    assert opened.size == (image.width, image.height)
            for turn in sample.qa:
                for item in turn.evidence:
                    left, top, right, bottom = item.box
                    assert 0 <= left < right <= 1
                    assert 0 <= top < bottom <= 1
                    assert item.image < len(sample.images)


@pytest.mark.parametrize("name", sorted(ASSEMBLED))
def test_single_images_are_put_together_as_in_the_paper(name: str, local: Path) -> None:
    least, most = ASSEMBLED[name]
    alone, reasons = converted(name, local, assemble=False)
    together, same_reasons = converted(name, local, assemble=True)
    assert reasons == same_reasons
    count = Counter(turn.answer for sample in alone for turn in sample.qa)
    assert Counter(turn.answer for sample in together for turn in sample.qa) == count
    assert sum(len(s.images) for s in together) == sum(len(s.images) for s in alone)
    assert all(len(sample.images) <= most for sample in together)
    assert sum(len(sample.images) < least for sample in together) <= 1
    many = [sample for sample in together if len(sample.provenance.get("parents", ())) > 1]
    assert many
    for sample in many:
        assert all(" image" in turn.question for turn in sample.qa)


@ALL
def test_the_same_seed_gives_the_same_samples(name: str, local: Path) -> None:
    first, _ = converted(name, local, assemble=True, seed=7)
    second, _ = converted(name, local, assemble=True, seed=7)
    assert first == second


@ALL
def test_a_copy_without_the_files_says_what_to_fetch(name: str, tmp_path: Path) -> None:
    converter = get_converter(name)
    with pytest.raises(DataError) as caught:
        convert_into(converter, tmp_path, tmp_path / "out", ConvertSettings())
    assert converter.expects in str(caught.value)
    assert not list((tmp_path / "out").glob("*.parquet"))


@ALL
def test_a_record_of_another_form_is_counted_and_breaks_nothing(name: str, local: Path) -> None:
    converter = get_converter(name)
    rejects = Counter[str]()
    odd: list[object] = [{}, {"questions": [{}, {}]}, [], None, 5, {"image": 5, "question": []}]
    broken = replace(converter, records=lambda _: odd)
    samples = list(convert_samples(broken, LocalCopy(local), ConvertSettings(), rejects))
    assert samples == []
    assert sum(rejects.values()) >= len(odd)


def test_an_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'chartq' is unknown; use one of arxivqa, "):
        get_converter("chartq")


@pytest.mark.parametrize("name", ["docvqa"])
def test_a_link_out_of_the_folder_is_not_followed(local: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    picture = local / "documents" / "xn1_1.png"
    shutil.move(picture, outside)
    picture.symlink_to(outside)
    samples, rejects = converted("docvqa", local, assemble=False)
    assert rejects["a file lies outside the folder"] == 1
    assert [sample.id for sample in samples] == ["docvqa-337", "docvqa-339"]
