"""SlideShare: decks collected by the paper, questions written by GPT-4o.

Layout: folder `slideshare` of the published set, see `published_set`.
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
    name="slideshare",
    title="SlideShare",
    domain="slide",
    records=records_of("slideshare"),
    drafts=drafts,
    licence=LICENCE,
    terms=TERMS,
    citation=CITATION,
    where=f"{WHERE}, folder slideshare.",
    expects="slideshare/*.parquet",
    paper_samples=3_000,
    verified=False,
)
