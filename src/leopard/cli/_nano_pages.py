"""Pages that the small model learns from: reading pages of the data engine, as lessons want them.

Lives where commands are put together, because training does not know curation.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from leopard.schema.geometry import ImageSize
from leopard.training.nano.lessons import PageDraft

POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class ReadingPages:
    """A `PageSource` over the data engine; fonts that this computer lacks are left out.

    Args:
        held_out: Take only the fonts that training never sees.
    """

    held_out: bool = False

    def page(self, seed: int, size: ImageSize, text_px: float, dpi: float) -> PageDraft | None:
        """The page of a seed; None where the typesetter warns."""
        from leopard.curation.reading_pages import HELD_OUT_FONTS, TRAIN_FONTS, PageWriter
        from leopard.curation.synthesis.printer import printer

        press = printer()
        fonts = press.available(HELD_OUT_FONTS if self.held_out else TRAIN_FONTS)
        to_points = POINTS_PER_INCH / dpi
        written = PageWriter(seed, fonts=fonts).write(
            size.width * to_points, size.height * to_points, text_px * to_points
        )
        pdf, warnings = press.pdf(written.source)
        if warnings:
            return None
        asked = list(written.qa)
        random.Random(seed).shuffle(asked)
        return PageDraft(pdf, tuple(asked))
