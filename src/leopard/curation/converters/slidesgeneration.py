"""SlidesGeneration: decks of up to 20 slides, repurposed by the paper.

Layout: folder `slidesgeneration` of the published set, see `published_set`.
"""

from __future__ import annotations

from leopard.curation.converters.published_set import part_of_the_set

CONVERTER = part_of_the_set(
    "slidesgeneration",
    folder="slidesgeneration",
    title="SlidesGeneration",
    domain="slide",
    paper_samples=3_000,
)
