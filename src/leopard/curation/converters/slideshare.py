"""SlideShare: decks collected by the paper, questions written by GPT-4o.

Layout: folder `slideshare` of the published set, see `published_set`.
"""

from __future__ import annotations

from leopard.curation.converters.published_set import part_of_the_set

CONVERTER = part_of_the_set(
    "slideshare",
    folder="slideshare",
    title="SlideShare",
    domain="slide",
    paper_samples=3_000,
)
