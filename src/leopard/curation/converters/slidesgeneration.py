"""SlidesGeneration: decks of up to 20 slides, repurposed by the paper.

Layout: folder `slidesgeneration` of the published set, see `published_set`.
"""

from __future__ import annotations

from leopard.curation.converters.published_set import (
    CITATION,
    LICENCE,
    TERMS,
    WHERE,
    drafts,
    records_of,
)
from leopard.curation.converters.source import Converter

CONVERTER = Converter(
    name="slidesgeneration",
    title="SlidesGeneration",
    domain="slide",
    records=records_of("slidesgeneration"),
    drafts=drafts,
    licence=LICENCE,
    terms=TERMS,
    citation=CITATION,
    where=f"{WHERE}, folder slidesgeneration.",
    expects="slidesgeneration/*.parquet",
    paper_samples=3_000,
    verified=False,
)
