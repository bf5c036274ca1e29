"""ChartGemma: charts of many sites with instructions and reasoned answers.

Layout (huggingface.co/datasets/ahmed-masry/ChartGemma): parquet with `image` (bytes of the file),
`input`, `output`. Put together to 1 to 4 images.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.drafts import Draft, content_name, embedded, whole
from leopard.curation.converters.fields import plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading


def records(reading: Reading) -> Iterator[Record]:
    """Rows with their number; there is no split but train."""
    if reading.split == "train":
        for number, row in enumerate(reading.copy.parquet("train*.parquet", "*.parquet")):
            yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:  # noqa: ARG001 - all in the row
    """One instruction about one chart."""
    name = content_name(record["image"])
    yield Draft(
        id=f"{record['_number']:06d}",
        doc_id=name,
        pictures=(embedded(record["image"], f"{name}.png"),),
        qa=(
            plain_qa(
                text(record, "input"),
                [text(record, "output")],
                family="chart",
                evidence=(whole(0),),
            ),
        ),
    )


CONVERTER = Converter(
    name="chartgemma",
    title="ChartGemma",
    domain="chart",
    records=records,
    drafts=drafts,
    licence="LicenseRef-ChartGemma",
    terms="See the card; charts belong to their sites.",
    citation="Masry et al., ChartGemma: Visual Instruction-tuning for Chart Reasoning in the "
    "Wild, COLING 2025",
    where="huggingface.co/datasets/ahmed-masry/ChartGemma.",
    expects="train*.parquet",
    paper_samples=65_000,
    assemble=(1, 4),
)
