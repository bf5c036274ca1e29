"""MathV360K: mathematics in pictures of 24 sources.

Layout (huggingface.co/datasets/Zhiqiang007/MathV360K): `train_samples_all_tuning.json`, a list of
`{id, image, conversations: [{from, value}]}` in the LLaVA shape, pictures under `data_images/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.conversations import conversation_draft
from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.fields import text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading


def records(reading: Reading) -> Iterator[Record]:
    """Conversations with their number, as ids repeat over sources; there is no split but train."""
    if reading.split == "train":
        name = reading.copy.find("train_samples_all_tuning.json", "train_samples*.json")
        for number, row in enumerate(reading.copy.json(name)):
            yield {**row, "_number": number}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One problem about one picture."""
    yield conversation_draft(
        f"{record['_number']:06d}",
        record["conversations"],
        text(record, "image"),
        reading,
        "mathematics",
    )


CONVERTER = Converter(
    name="mathv360k",
    title="MathV360K",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="Apache-2.0",
    terms="Tag of the set; its 24 sources keep their own licences.",
    citation="Shi et al., Math-LLaVA: Bootstrapping Mathematical Reasoning for Multimodal LLMs, "
    "Findings of EMNLP 2024",
    where="huggingface.co/datasets/Zhiqiang007/MathV360K.",
    expects="train_samples_all_tuning.json and data_images/**",
    paper_samples=38_000,
)
