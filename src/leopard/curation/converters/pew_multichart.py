"""Pew_MultiChart: charts of one Pew Research report, questions by GPT-4o.

Layout: folder `pew_chart` of the published set, see `published_set`.
"""

from __future__ import annotations

from leopard.curation.converters.published_set import part_of_the_set

CONVERTER = part_of_the_set(
    "pew_multichart",
    folder="pew_chart",
    title="Pew_MultiChart",
    domain="chart",
    paper_samples=20_000,
)
