"""Our own held-out sets: shards of samples made by this package. Knows no other benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, png_bytes
from leopard.evaluation.metrics import anls
from leopard.evaluation.samples import LETTERS, EvalSample, ImageSource
from leopard.evaluation.scorers import (
    anls_rrc,
    by_type,
    choice,
    exact,
    leopard_accuracy,
    options_text,
)
from leopard.evaluation.task import Outcome, Task
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample, VectorPage
from leopard.schema.shards import PdfTable, iter_samples, shard_paths

_SAYS_NONE = ("unanswerable", "not answerable", "not given", "none", "n/a", "not stated")
_TABLES: dict[Path, PdfTable] = {}


def records(data: DataFolder) -> Iterator[Record]:
    """One record for each question of every sample."""
    for shard in shard_paths(data.path):
        for item in iter_samples(shard):
            for index, question in enumerate(item.qa):
                yield {
                    "id": f"{item.id}-q{index}",
                    "item": item,
                    "qa": question,
                    "shard": shard,
                    "_source": question.family,
                }


def _image(image: PixelImage | VectorPage, shard: Path, label: str) -> ImageSource:
    if isinstance(image, PixelImage):
        content = image.data
        return ImageSource(label, lambda: content)
    page = image
    if page.augment_seed is not None:
        raise EvaluationError("scan simulation is not drawn here; make the held-out set as pixels")
    return ImageSource(label, lambda: _draw(page, shard))


def _draw(page: VectorPage, shard: Path) -> bytes:
    import pypdfium2

    table = _TABLES.setdefault(shard, PdfTable(shard))
    document = pypdfium2.PdfDocument(table.read(page.pdf_ref))
    try:
        drawn = document[page.page - 1].render(scale=page.dpi / 72).to_pil().convert("RGB")
        return png_bytes(drawn)
    finally:
        document.close()


def sample(record: Record, data: DataFolder) -> EvalSample:  # noqa: ARG001 - the shard is enough
    """All images of the sample, then one of its questions."""
    item: Sample = record["item"]
    qa: QuestionAnswer = record["qa"]
    shard: Path = record["shard"]
    options = qa.choices
    answers = (qa.answer, *qa.aliases)
    question = qa.question
    if options:
        question += options_text(options)
        answers = (LETTERS[options.index(qa.answer)],) if qa.answer in options else answers
    return EvalSample(
        id=record["id"],
        doc_id=item.doc_id,
        question=question,
        images=tuple(
            _image(image, shard, f"{item.id}, image {index + 1}")
            for index, image in enumerate(item.images)
        ),
        answers=answers,
        question_type="multiple-choice" if options else "open-ended",
        options=options,
        answer_type=qa.answer_type,
        source=qa.family,
        evidence=tuple(sorted({place.image for place in qa.evidence})) or None,
        gold={"domain": item.domain, "pages_needed": qa.pages_needed},
    )


def _anls(sample: EvalSample, answer: Answer) -> Outcome:
    if sample.answer_type != "unanswerable":
        return anls_rrc(sample, answer)
    text = answer.text.lower().strip().rstrip(".")
    said = text in _SAYS_NONE or bool(text and anls.anls_rrc(sample.answers, text, 0.8))
    return Outcome(float(said), unparsed=not text)


TASK = Task(
    name="synthetic",
    title="Synthetic held-out documents",
    records=records,
    sample=sample,
    scorers={
        "anls": by_type(choice(), _anls),
        "exact": by_type(choice(), exact),
        "leopard": leopard_accuracy,
    },
    where="Make it with `leopard curate`; Apache-2.0.",
    expects="shards (NAME.parquet) made by this package",
)
