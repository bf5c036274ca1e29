"""Parts of wyu1/Leopard-Instruct: for sources that exist nowhere else.

Layout (huggingface.co/datasets/wyu1/Leopard-Instruct): one folder per source with parquet files,
images embedded, a column of turns. Column names vary, so the tolerant importer reads the rows.
Knows nothing of any one source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leopard.curation.converters.drafts import Draft
from leopard.curation.converters.fields import plain_qa
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.curation.imports import BadRecordError, import_samples
from leopard.schema.messages import Message, TextPart
from leopard.schema.samples import Domain, PixelImage, Sample

WHERE = "huggingface.co/datasets/wyu1/Leopard-Instruct"


def part_of_the_set(
    name: str, *, folder: str, title: str, domain: Domain, paper_samples: int
) -> Converter:
    """The converter of one folder of the set.

    Args:
        name: Name of the source.
        folder: Name of the folder.
        title: Name for people.
        domain: Kind of pictures.
        paper_samples: Samples in the paper's Table 8.
    """
    return Converter(
        name=name,
        title=title,
        domain=domain,
        records=records_of(folder),
        drafts=drafts,
        licence="Apache-2.0",
        terms="Tag of the published set; pictures belong to their authors.",
        citation="Jia et al., Leopard: A VLM for Text-Rich Multi-Image Tasks, TMLR 2025",
        where=f"{WHERE}, folder {folder}.",
        expects=f"{folder}/*.parquet",
        paper_samples=paper_samples,
        verified=False,
    )


def records_of(folder: str) -> Callable[[Reading], Iterator[Record]]:
    """A reader of one folder of the set, given the set or that folder alone."""

    def records(reading: Reading) -> Iterator[Record]:
        if reading.split != "train":
            return
        copy = reading.copy
        alone = [name for name in copy.names if name.endswith(".parquet") and "/" not in name]
        files = copy.matching(f"{folder}/*.parquet") or alone or [copy.find(f"{folder}/*.parquet")]
        for file in files:
            samples = import_samples(copy.path_of(file), "leopard", reading.rejects, reading.source)
            for number, sample in enumerate(samples):
                yield {"number": f"{file.rpartition('/')[2]}-{number:06d}", "sample": sample}

    return records


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """One row: all images first, then its turns."""
    sample: Sample = record["sample"]
    texts = [(m.role, _said(m)) for m in sample.messages if m.role != "system"]
    roles = [role for role, _ in texts]
    if not texts or roles != ["user", "assistant"] * (len(texts) // 2):
        raise BadRecordError("turns do not alternate")
    said = [words for _, words in texts]
    pairs = zip(said[::2], said[1::2], strict=True)
    images = tuple(image for image in sample.images if isinstance(image, PixelImage))
    identity = f"{record['number']}-{sample.id}"
    yield Draft(
        id=identity,
        doc_id=identity,
        pictures=images,
        qa=tuple(plain_qa(q, [a], family=reading.source) for q, a in pairs),
        note={"row": str(sample.provenance.get("imported_from", ""))},
    )


def _said(message: Message) -> str:
    return "\n".join(p.text for p in message.parts if isinstance(p, TextPart)).strip()
