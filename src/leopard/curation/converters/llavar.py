"""LLaVAR: text-rich pictures with conversations by GPT-4.

Layout (SALT-NLP/LLaVAR): `chat_llavar.json`, a list of `{id, image, conversations: [{from,
value}]}` in the LLaVA shape, pictures of the finetuning archive.
"""

from __future__ import annotations

from collections.abc import Iterator

from leopard.curation.converters.conversations import conversation_draft
from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.fields import text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading


def records(reading: Reading) -> Iterator[Record]:
    """Conversations; there is no split but train."""
    if reading.split == "train":
        name = reading.copy.find("chat_llavar.json", "*llavar_16k*.json", "*llavar*.json")
        yield from reading.copy.json(name)


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One conversation about one picture."""
    yield conversation_draft(
        text(record, "id"), record["conversations"], text(record, "image"), reading, "chat"
    )


CONVERTER = Converter(
    name="llavar",
    title="LLaVAR",
    domain="mixed",
    records=records,
    drafts=drafts,
    licence="CC-BY-NC-4.0",
    terms="Answers by GPT-4; pictures are of LAION and belong to their authors.",
    citation="Zhang et al., LLaVAR: Enhanced Visual Instruction Tuning for Text-Rich Image "
    "Understanding, 2023",
    where="llavar.github.io or huggingface.co/datasets/SALT-NLP/LLaVAR.",
    expects="chat_llavar.json and its pictures",
    paper_samples=15_000,
    verified=False,
)
