"""Samples from global indices: sample 17 is the same whoever makes it, in whatever shard.

Knows nothing of files or processes.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

from leopard.curation.pixels import box_on_image
from leopard.curation.programs.interpreter import Interpreter
from leopard.curation.programs.language import to_json
from leopard.curation.randomness import share, stream
from leopard.curation.synthesis.browser import needed_browser, with_renderer
from leopard.curation.synthesis.documents import (
    Blueprint,
    PrintedDocument,
    RejectedError,
    check_document,
    draw_blueprint,
    draw_page_kind,
    make_document,
    print_web,
)
from leopard.curation.synthesis.printed import Place
from leopard.curation.synthesis.printer import font_files_hash
from leopard.curation.synthesis.proving import Draft, Gate, Proven
from leopard.curation.synthesis.questions import QuestionDrawer
from leopard.curation.synthesis.sentences import as_sentence
from leopard.curation.synthesis.settings import GENERATOR_VERSION, SynthSettings
from leopard.errors import DataError
from leopard.schema.samples import (
    NOT_ANSWERABLE,
    Domain,
    Evidence,
    QuestionAnswer,
    Sample,
    Split,
    VectorPage,
    conversation,
)

ATTEMPTS = 40
"""Documents drawn for one sample before giving up; about one in ten is rejected."""
KIND_ATTEMPTS = 20
"""How many of them keep to the page format that was drawn for the sample."""
WEB_BATCH = 256
"""Samples whose web pages are printed together; about one in ten is a web page."""
ONE_IS_ENOUGH = frozenset({"count", "sum", "unanswerable", "list", "exists"})
"""Families of which most documents get at most one question."""


LETTERS = "ABCD"
CHOICE_FAMILIES = frozenset({"lookup", "cell", "reverse", "extreme", "compare", "disagree"})
CHOICE_ENDINGS = (
    "Answer with the letter.",
    "Which option is right? Give its letter.",
    "Reply with A, B, C or D.",
    "Choose one and give its letter only.",
)


@dataclass(frozen=True, slots=True)
class Made:
    """One sample with its PDF."""

    sample: Sample
    pdf: bytes
    rejects: Counter[str]
    """Documents and questions thrown away on the way: reason -> count."""
    document: PrintedDocument
    """The document with its facts."""


class SampleMaker:
    """Makes the samples of one set.

    Args:
        settings: What decides the content.
        split: Make samples of this split only; by default shares decide, by hash of the index.
    """

    def __init__(self, settings: SynthSettings, split: Split | None = None) -> None:
        self.settings, self.split = with_renderer(settings), split
        self._hash = self.settings.content_hash
        self._batch = -1
        self._web: dict[int, PrintedDocument] = {}

    def split_of(self, index: int) -> Split:
        """Split of a sample; stays when the set grows."""
        if self.split is not None:
            return self.split
        shares = self.settings.splits
        point = share("split", self.settings.seed, index) * (
            shares.train + shares.val + shares.test
        )
        if point < shares.test:
            return "test"
        return "val" if point < shares.test + shares.val else "train"

    def make(self, index: int) -> Made:
        """The sample with this global index.

        Raises:
            DataError: If no document passes; the settings leave no room.
        """
        rejects = Counter[str]()
        split = self.split_of(index)
        for attempt in range(ATTEMPTS):
            rng = stream(self._hash, "synth", split, index, attempt)
            try:
                if attempt == 0 and self._is_web(index):
                    document = self._web_document(index)
                    check_document(document, document.facts, self.settings)
                else:
                    document = make_document(
                        rng,
                        self.settings,
                        held_out=split == "test",
                        shrink=0.85 ** min(attempt, 10),
                        page_kind=self._page_kind(index) if attempt < KIND_ATTEMPTS else None,
                    )
                proven = self._questions(rng, document, rejects)
            except RejectedError as error:
                rejects[f"document: {error}"] += 1
                continue
            sample = self._sample(index, split, document, proven)
            return Made(sample, document.pdf, rejects, document)
        raise DataError(
            f"sample {index} of {self.settings.name}: {ATTEMPTS} documents were rejected "
            f"({dict(rejects)}); widen the settings, for example max_pages or max_answer"
        )

    def _is_web(self, index: int) -> bool:
        """Whether a browser prints the first document drawn for a sample."""
        if self.settings.web_renderer != "chromium":
            return False
        return self._page_kind(index) == "screen"

    def _page_kind(self, index: int) -> str:
        """The page format of a sample, from a stream of its own.

        Were it drawn with each document, formats that are rejected more often would be rarer than
        the settings say.
        """
        rng = stream(self._hash, "page kind", self.split_of(index), index)
        return draw_page_kind(rng, self.settings)

    def _web_document(self, index: int) -> PrintedDocument:
        """The web page of a sample, printed with all others of its batch.

        A batch is a run of global indices, whatever shard they are in, because the bytes of a PDF
        hang on what is printed along with it.
        """
        batch = index // WEB_BATCH
        if batch != self._batch:
            run = range(batch * WEB_BATCH, (batch + 1) * WEB_BATCH)
            members = [member for member in run if self._is_web(member)]
            printed = print_web([self._web_blueprint(member) for member in members])
            self._batch, self._web = batch, dict(zip(members, printed, strict=True))
        return self._web[index]

    def _web_blueprint(self, index: int) -> Blueprint:
        split = self.split_of(index)
        rng = stream(self._hash, "synth", split, index, 0)
        return draw_blueprint(
            rng,
            self.settings,
            held_out=split == "test",
            page_kind="screen",
            renderer="chromium",
        )

    def _questions(
        self, rng: random.Random, document: PrintedDocument, rejects: Counter[str]
    ) -> list[Proven]:
        wanted = rng.randint(self.settings.min_turns, self.settings.max_turns)
        interpreter = Interpreter(document.facts, document.printed.pages)
        gate = Gate(interpreter, document.printed, self.settings.max_answer)
        drawer = QuestionDrawer(document.facts, document.printed, rng)
        proven = list(_draw(rng, drawer, gate, self.settings.families, wanted))
        rejects.update(gate.rejects)
        if len(proven) < min(self.settings.min_turns, 3):
            raise RejectedError("too few questions")
        return proven

    def _sample(
        self, index: int, split: Split, document: PrintedDocument, proven: list[Proven]
    ) -> Sample:
        name, seed = self.settings.name, self.settings.seed
        sha256 = hashlib.sha256(document.pdf).hexdigest()
        blueprint = document.blueprint
        rng = stream(self._hash, "scan", split, index)
        scans = [
            rng.getrandbits(31) if rng.random() < self.settings.scan_share else None
            for _ in document.pages
        ]
        images = tuple(_pages(document, sha256, scans))
        qa = tuple(question_answer(p, document, images) for p in proven)
        choices = stream(self._hash, "choices", split, index)
        qa = tuple(
            as_choice(choices, turn, document) if choices.random() < self.settings.choice_share
            else turn for turn in qa
        )  # fmt: skip
        words = stream(self._hash, "sentences", split, index)
        qa = tuple(
            as_sentence(words, turn, found.draft.program, document.facts, document.printed)
            if words.random() < self.settings.sentence_share else turn
            for turn, found in zip(qa, proven, strict=True)
        )  # fmt: skip
        suffix = "" if self.split is None else f"-{split}"
        identity = f"{name}-{GENERATOR_VERSION}-{seed}-{index}{suffix}"
        return Sample(
            id=identity,
            doc_id=identity,
            domain=_domain(document),
            task="synth",
            messages=conversation(len(document.pages), qa, rationales=self.settings.has_rationales),
            images=images,
            qa=qa,
            provenance={
                "generator": "synth",
                "generator_version": GENERATOR_VERSION,
                "content_hash": self._hash,
                "seed": seed,
                "index": index,
                "facts": document.facts.domain,
                "kind": document.facts.kind,
                "view": blueprint.view,
                "styles": list(document.styles),
                "font": blueprint.theme.font,
                "format": blueprint.format.name,
                "surfaces": [p.draft.surface for p in proven],
                "locale": document.facts.locale.to_dict(),
                "fact_source": "synthetic",
                "renderer": blueprint.renderer,
                "renderer_version": renderer_version(blueprint.renderer),
                "font_files": font_files_hash(blueprint.theme.font),
            },
            quality={"proven": len(qa), "geometry": "no clash, no clipped text"},
            split=split,
        )


@cache
def renderer_version(name: str) -> str:
    """What printed and what read back: name and version of both."""
    reader = f"pypdfium2 {version('pypdfium2')}"
    if name == "typst":
        return f"typst {version('typst')}, {reader}"
    return f"{needed_browser().version}, {reader}"


def as_choice(rng: random.Random, qa: QuestionAnswer, document: PrintedDocument) -> QuestionAnswer:
    """The question with four options, where the page prints enough other values of its kind.

    Distractors are other printed values, letters are uniform; the program stays the same and
    proves the option behind the letter.
    """
    if qa.answer_type not in ("text", "number", "date") or qa.family not in CHOICE_FAMILIES:
        return qa
    facts = document.facts
    kinds: dict[str, set[str]] = {}
    for element in document.places:
        if not element.startswith("s") and ".h." not in element:
            value = facts.value(element)
            is_key = element.endswith(".k")
            kind = element.split(".")[0] if is_key else f"{value.kind} {value.unit}"
            kinds.setdefault(kind, set()).add(value.text)
    pool = next((texts for texts in kinds.values() if qa.answer in texts), set())
    program = qa.program or {}
    named = {program[side] for side in ("left_name", "right_name") if side in program}
    named -= {qa.answer}  # what the question itself names is an option
    others = sorted(pool - named - {qa.answer})
    if len(others) + len(named) < 3:
        return qa
    options = [qa.answer, *sorted(named), *rng.sample(others, 3 - len(named))]
    rng.shuffle(options)
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=True))
    question = f"{qa.question}\n{listed}\n{rng.choice(CHOICE_ENDINGS)}"
    letter = LETTERS[options.index(qa.answer)]
    rationale = f"{qa.rationale} That is option {letter}.".strip()
    return replace(
        qa,
        question=question,
        answer=letter,
        answer_type="choice",
        choices=tuple(options),
        rationale=rationale,
    )


def _draw(
    rng: random.Random,
    drawer: QuestionDrawer,
    gate: Gate,
    weights: dict[str, float],
    wanted: int,
) -> Iterator[Proven]:
    """Proven questions; families by weight, as far as the document has them."""
    drafts: dict[str, Iterator[Draft]] = {
        family: make() for family, make in drawer.families.items() if weights.get(family, 0) > 0
    }
    asked: set[str] = set()
    while wanted and drafts:
        family = rng.choices([*drafts], [weights[name] for name in drafts])[0]
        found = _next_proven(drafts[family], gate, asked)
        if found is None:
            del drafts[family]
            continue
        if family in ONE_IS_ENOUGH and rng.random() < 0.6:
            del drafts[family]
        asked |= _signs(found.draft)
        wanted -= 1
        yield found


def _next_proven(drafts: Iterator[Draft], gate: Gate, asked: set[str]) -> Proven | None:
    for draft in drafts:
        if asked.isdisjoint(_signs(draft)) and (found := gate.prove(draft)):
            return found
    return None


def _signs(draft: Draft) -> set[str]:
    """What tells a question from others: its words, and what they ask in whatever words."""
    return {draft.question.casefold(), json.dumps(to_json(draft.program), sort_keys=True)}


def _domain(document: PrintedDocument) -> Domain:
    """What kind of images it shows, by view and blocks."""
    by_view: dict[str, Domain] = {"slides": "slide", "web": "web"}
    if document.blueprint.view in by_view:
        return by_view[document.blueprint.view]
    blocks = {style.split(":")[0] for style in document.styles}
    if any(element in document.facts.fields for element in document.places) or not blocks:
        return "document"
    return "mixed" if len(blocks) > 1 else "chart" if blocks == {"chart"} else "table"


def _pages(document: PrintedDocument, sha256: str, scans: list[int | None]) -> Iterator[VectorPage]:
    dpi = document.blueprint.format.dpi
    for number, page in enumerate(document.pages, 1):
        yield VectorPage(
            pdf_ref=sha256,
            page=number,
            dpi=dpi,
            width=max(1, round(page.width * dpi / 72)),
            height=max(1, round(page.height * dpi / 72)),
            augment_seed=scans[number - 1],
        )


def question_answer(
    proven: Proven, document: PrintedDocument, images: tuple[VectorPage, ...]
) -> QuestionAnswer:
    """A proven question with its answer, reasoning, program and evidence boxes.

    Args:
        proven: The question.
        document: The document that it is about.
        images: The pages as they are shown, scans turned.
    """
    run = proven.run
    is_absent = run.kind == "unanswerable"
    answer = NOT_ANSWERABLE if is_absent else run.answer
    places = [(element, document.places[element]) for element in run.evidence]
    evidence = tuple(
        Evidence(image=place.page, element=element, box=_share(place, document, images))
        for element, place in places
    )
    return QuestionAnswer(
        question=proven.draft.question,
        answer=answer,
        answer_type=run.kind,  # type: ignore[arg-type]
        family=proven.draft.family,
        rationale=" ".join(run.steps),
        program=to_json(proven.draft.program),
        evidence=evidence,
        pages_needed=max(1, len({place.page for _, place in places})),
    )


def _share(
    place: Place, document: PrintedDocument, images: tuple[VectorPage, ...]
) -> tuple[float, float, float, float]:
    """The outline of a place as shares of its image, turned with it if it is a scan."""
    page = document.pages[place.page]
    return box_on_image(place.outline, (page.width, page.height), images[place.page])
