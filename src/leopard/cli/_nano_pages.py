"""What the small model learns from: pages and documents of the data engine, as lessons want them.

Lives where commands are put together, because training does not know curation.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from leopard.schema.geometry import ImageSize
from leopard.schema.samples import NO
from leopard.training.nano.lessons import Asked, DocumentDraft, PageDraft

if TYPE_CHECKING:
    from leopard.curation.synthesis.samples import SampleMaker
    from leopard.schema.samples import QuestionAnswer, Split

POINTS_PER_INCH = 72
RECEIPTS = 0.15
"""Share of documents that are receipts."""


@dataclass(frozen=True, slots=True)
class ReadingPages:
    """A `PageSource` over the data engine; fonts that this computer lacks are left out.

    Args:
        held_out: Take only the fonts that training never sees.
    """

    held_out: bool = False

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        """The page of a seed; None where the typesetter warns."""
        from leopard.curation.reading_pages import PageWriter
        from leopard.curation.synthesis.printer import printer

        to_points = POINTS_PER_INCH / dpi
        written = PageWriter(seed, fonts=self._fonts()).write(
            size.width * to_points, size.height * to_points, text_px * to_points
        )
        pdf, warnings = printer().pdf(written.source)
        if warnings:
            return None
        asked = list(written.qa)
        random.Random(seed).shuffle(asked)
        return PageDraft(pdf, tuple(asked))

    def document(self, seed: int) -> DocumentDraft | None:
        """A document of the preset for the small model, or receipts; None where none is made."""
        if random.Random(f"document:{seed}").random() < RECEIPTS:
            return self._receipts(seed)
        made = _maker("test" if self.held_out else "train").make(seed)
        pages: list[list[tuple[str, str, str]]] = [[] for _ in made.sample.images]
        for turn in made.sample.qa:
            shown = {evidence.image for evidence in turn.evidence}
            page = shown.pop() if len(shown) == 1 else 0
            pages[page].append((turn.question, _printed_answer(turn), turn.family))
        asked: list[Asked] = [tuple(turns) for turns in pages]
        return DocumentDraft(made.pdf, tuple(asked))

    def _fonts(self) -> tuple[str, ...]:
        from leopard.curation.reading_fonts import READING_FONTS
        from leopard.curation.reading_pages import HELD_OUT_FONTS, TRAIN_FONTS
        from leopard.curation.synthesis.printer import printer

        wanted = HELD_OUT_FONTS if self.held_out else TRAIN_FONTS + READING_FONTS
        return printer().available(wanted)

    def _receipts(self, seed: int) -> DocumentDraft | None:
        from leopard.curation.receipts import write_receipts
        from leopard.curation.synthesis.printer import printer

        written = write_receipts(seed, self._fonts())
        pdf, warnings = printer().pdf(
            "\n#pagebreak(weak: true)\n".join(one.source for one in written)
        )
        return None if warnings else DocumentDraft(pdf, tuple(one.qa for one in written))


def _printed_answer(turn: QuestionAnswer) -> str:
    """The answer; in place of Yes the value that was asked after, as the program has it."""
    if turn.family != "exists" or turn.answer == NO or turn.program is None:
        return turn.answer
    return str(turn.program["rows"]["where"][0]["value"])


@cache
def _maker(split: Split) -> SampleMaker:
    """The maker of documents in this process: few pages, printed without a browser."""
    from leopard.curation.reading_fonts import READING_FONTS
    from leopard.curation.synthesis.samples import SampleMaker
    from leopard.curation.synthesis.settings import load_preset

    preset = load_preset("nano")
    settings = preset.model_copy(
        update={
            "max_pages": 8,
            "fonts": preset.fonts + READING_FONTS,
            "section_weights": (0.4, 0.22, 0.13, 0.09, 0.05, 0.05, 0.03, 0.03),
            "families": {**preset.families, "unanswerable": 20.0, "exists": 8.0},
            "web_renderer": "typst",
            "min_turns": 24,
            "max_turns": 40,
        }
    )
    return SampleMaker(settings, split)
