"""Our own held-out sets: shards of samples made by this package. Knows no other benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

from leopard.documents.resolution import POINTS_PER_INCH, PageExtent
from leopard.errors import EvaluationError
from leopard.evaluation.answers import Answer
from leopard.evaluation.data import DataFolder, Record, draw_pdf_page
from leopard.evaluation.metrics import anls
from leopard.evaluation.samples import LETTERS, DrawnPage, EvalSample, ImageSource
from leopard.evaluation.scorers import (
    anls_rrc,
    by_type,
    choice,
    exact,
    leopard_accuracy,
    options_text,
)
from leopard.evaluation.task import Outcome, Scored, Task
from leopard.schema.geometry import ImageSize
from leopard.schema.samples import NOT_ANSWERABLE, PixelImage, QuestionAnswer, Sample, VectorPage
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
    to_points = POINTS_PER_INCH / page.dpi
    drawn = DrawnPage(
        PageExtent(page.width * to_points, page.height * to_points, is_vector=True),
        partial(_draw, shard, page.pdf_ref, page.page - 1),
    )
    size = ImageSize(page.width, page.height)
    return ImageSource(label, partial(drawn.draw, size), drawn)


@lru_cache(maxsize=64)
def _draw(shard: Path, pdf_ref: str, index: int, size: ImageSize) -> bytes:
    table = _TABLES.setdefault(shard, PdfTable(shard))
    return draw_pdf_page(table.read(pdf_ref), index, size)


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


def says_none(text: str, sample_answers: Sequence[str] = (NOT_ANSWERABLE,)) -> bool:
    """Whether an answer says that the pages do not hold one."""
    bare = text.lower().strip().rstrip(".")
    return bare in _SAYS_NONE or bool(bare and anls.anls_rrc(sample_answers, bare, 0.8))


def _anls(sample: EvalSample, answer: Answer) -> Outcome:
    if sample.answer_type != "unanswerable":
        return anls_rrc(sample, answer)
    said = says_none(answer.text, sample.answers)
    return Outcome(float(said), unparsed=not answer.text.strip())


def _tries(records: Sequence[Scored]) -> float:
    """Share of the answerable questions that are not answered by "there is no answer"."""
    asked = [record for record in records if record["answer_type"] != "unanswerable"]
    tried = sum(not says_none(str(record["parsed"])) for record in asked)
    return tried / len(asked) if asked else 1.0


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
    extras={"answerable not called unanswerable": _tries},
    where="Make it with `leopard curate`; Apache-2.0.",
    expects="shards (NAME.parquet) made by this package",
)
