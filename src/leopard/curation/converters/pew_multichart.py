"""Pew_MultiChart: charts of one Pew Research report, questions by GPT-4o.

Layout: folder `pew_chart` of the published set, see `published_set`.
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
    name="pew_multichart",
    title="Pew_MultiChart",
    domain="chart",
    records=records_of("pew_chart"),
    drafts=drafts,
    licence=LICENCE,
    terms=TERMS,
    citation=CITATION,
    where=f"{WHERE}, folder pew_chart.",
    expects="pew_chart/*.parquet",
    paper_samples=20_000,
    verified=False,
)
