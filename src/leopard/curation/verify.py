"""Second proof of finished samples: from the stored PDF and the stored program alone.

Each answer is computed again on the text that the PDF shows today; evidence boxes must lie where
the marks are. Knows nothing of how samples were made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leopard.curation.card import VERIFY_FILE
from leopard.curation.pixels import box_on_image
from leopard.curation.programs.evaluator import PrintedFacts, UnprovenError, agrees, evaluate
from leopard.curation.synthesis.printed import Place, PrintedPage, read_pdf
from leopard.curation.synthesis.sentences import says
from leopard.errors import DataError
from leopard.schema.files import write_text_atomically
from leopard.schema.samples import NOT_ANSWERABLE, QuestionAnswer, Sample, VectorPage
from leopard.schema.shards import (
    PdfTable,
    check_shard,
    iter_samples,
    read_info,
    shard_paths,
)

BOX_TOLERANCE = 1e-3
"""Largest shift of an evidence box, as a share of the page."""


@dataclass(slots=True)
class Verdict:
    """What a verification found."""

    num_samples: int = 0
    num_questions: int = 0
    num_unverifiable: int = 0
    """Questions without a program, such as converted ones."""
    errors: Counter[str] = field(default_factory=Counter)
    """What is wrong -> how often."""
    examples: list[str] = field(default_factory=list)
    """The first errors, one line each."""

    def add(self, sample: Sample, problem: str, detail: str) -> None:
        """Note one error."""
        self.errors[problem] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{sample.id}: {problem}: {detail}")


def verify_folder(folder: Path, advance: Callable[[int], object] = lambda _: None) -> Verdict:
    """Verify every sample of a folder of shards, checksums included; the count goes on the card.

    Args:
        folder: The shards.
        advance: Called with the number of samples after each shard.

    Raises:
        DataError: If a file differs from its checksum.
    """
    verdict = Verdict()
    for shard in shard_paths(folder):
        check_shard(shard)
        pdfs = PdfTable(shard)
        for sample in iter_samples(shard):
            verify_sample(sample, pdfs, verdict)
        advance(read_info(shard).rows)
    record = {
        "samples": verdict.num_samples,
        "questions": verdict.num_questions,
        "wrong": verdict.errors.total(),
        "without_program": verdict.num_unverifiable,
    }
    write_text_atomically(folder / VERIFY_FILE, json.dumps(record) + "\n")
    return verdict


def verify_sample(sample: Sample, pdfs: PdfTable | Mapping[str, bytes], verdict: Verdict) -> None:
    """Verify one sample; what is wrong goes into the verdict."""
    verdict.num_samples += 1
    pages = [image for image in sample.images if isinstance(image, VectorPage)]
    locale = sample.provenance.get("locale")
    if not pages or locale is None:
        verdict.num_questions += len(sample.qa)
        verdict.num_unverifiable += len(sample.qa)
        return
    read = {ref: read_pdf(_pdf(pdfs, ref)) for ref in {page.pdf_ref for page in pages}}
    shown = [read[page.pdf_ref][page.page - 1] for page in pages]
    printed = printed_facts(shown, locale)
    for qa in sample.qa:
        verdict.num_questions += 1
        if qa.program is None:
            verdict.num_unverifiable += 1
            continue
        problem = _judge(qa, printed, shown, pages)
        if problem:
            verdict.add(sample, problem, f"{qa.question} -> {qa.answer}")


def printed_facts(pages: list[PrintedPage], locale: Mapping[str, object]) -> PrintedFacts:
    """What the pages of one sample show, first place of each element."""
    places: dict[str, tuple[int, Place]] = {}
    for number, page in enumerate(pages, 1):
        for element, place in page.marks.items():
            places.setdefault(element, (number, place))
    return PrintedFacts(
        texts={element: place.text for element, (_, place) in places.items()},
        pages={element: number for element, (number, _) in places.items()},
        full_text=" ".join(page.text for page in pages),
        locale=locale,
    )


def _short_answer(qa: QuestionAnswer) -> str | None:
    """What a letter or a sentence stands for; None if for nothing."""
    if qa.choices:
        position = "ABCDEFGHIJ".find(qa.answer)
        return qa.choices[position] if 0 <= position < len(qa.choices) else None
    if qa.answer_type == "sentence":
        return next((short for short in qa.aliases if says(qa.answer, short)), None)
    return "" if qa.answer == NOT_ANSWERABLE else qa.answer


def _pdf(pdfs: PdfTable | Mapping[str, bytes], ref: str) -> bytes:
    return pdfs.read(ref) if isinstance(pdfs, PdfTable) else pdfs[ref]


def _judge(
    qa: QuestionAnswer,
    printed: PrintedFacts,
    pages: list[PrintedPage],
    images: list[VectorPage],
) -> str:
    """What is wrong with one question; empty if nothing."""
    assert qa.program is not None
    try:
        result = evaluate(qa.program, printed)
    except (UnprovenError, DataError) as error:
        return f"not borne out by the page ({type(error).__name__})"
    wanted = _short_answer(qa)
    if wanted is None:
        return "the answer is no option, or its sentence does not say it"
    if not agrees(wanted, result, printed):
        return "the answer is wrong"
    for evidence in qa.evidence:
        place = pages[evidence.image].marks.get(evidence.element)
        if place is None:
            return "evidence is on another page"
        page = pages[evidence.image]
        now = box_on_image(place.outline, (page.width, page.height), images[evidence.image])
        if any(abs(a - b) > BOX_TOLERANCE for a, b in zip(now, evidence.box, strict=True)):
            return "an evidence box has moved"
    return ""
