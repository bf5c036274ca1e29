"""RICO with the questions of ScreenQA: screens of Android apps.

Layout (google-research-datasets/screen_qa): `answers_and_bboxes/train.json`, a list of `{image_id,
question, ground_truth: [{full_answer, ui_elements: [{text, bounds}]}]}`; pictures of RICO
`combined/<image_id>.jpg`. Put together to 1 to 4 images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from leopard.curation.converters.drafts import Draft, picture_size, pixel_box
from leopard.curation.converters.fields import grouped, plain_qa, text
from leopard.curation.converters.local_copy import Record
from leopard.curation.converters.source import Converter, Reading
from leopard.schema.geometry import ImageSize
from leopard.schema.samples import NOT_ANSWERABLE, Evidence, QuestionAnswer

NO_ANSWER = "<no answer>"
"""What raters wrote when the screen does not say."""


def records(reading: Reading) -> Iterator[Record]:
    """Screens with their questions."""
    split = reading.splits(val="validation")
    name = reading.copy.find(f"answers_and_bboxes/{split}.json", f"{split}.json")
    for image, questions in grouped(reading.copy.json(name), "image_id"):
        yield {"image_id": image, "questions": questions}


def drafts(record: Record, reading: Reading) -> Iterator[Draft]:
    """All questions about one screen."""
    image = text(record, "image_id")
    picture = reading.copy.picture(
        f"combined/{image}.jpg", f"unique_uis/{image}.jpg", f"{image}.jpg", f"{image}.png"
    )
    size = picture_size(picture)
    yield reading.about(
        image, [picture], record["questions"], lambda question: _question(question, size)
    )


def _question(record: Record, size: ImageSize) -> QuestionAnswer:
    """Texts of the elements that the first rater marked; other raters' texts are aliases."""
    question = text(record, "question")
    answers, boxes = [], []
    no_answer = 0
    for truth in record["ground_truth"]:
        if str(truth.get("full_answer") or "").strip().lower() == NO_ANSWER:
            no_answer += 1
            continue
        said = [str(element["text"]).strip() for element in truth.get("ui_elements") or []]
        joined = ", ".join(part for part in said if part)
        answers.append(joined or str(truth.get("full_answer") or "").strip())
        boxes.append(truth.get("ui_elements") or [])
    if no_answer > len(answers):
        return QuestionAnswer(
            question=question,
            answer=NOT_ANSWERABLE,
            answer_type="unanswerable",
            family="unanswerable",
        )
    qa = plain_qa(question, answers, family="screen")
    if len(boxes[0]) > 1:
        qa = replace(qa, answer_type="list")
    return replace(qa, evidence=_evidence(boxes[0], size))


def _evidence(elements: list[Record], size: ImageSize) -> tuple[Evidence, ...]:
    """Boxes of the elements; none if one leaves the picture, as then the scale is another."""
    found = []
    for element in elements:
        left, top, right, bottom = (float(side) for side in element["bounds"])
        box = pixel_box(0, (left, top, right, bottom), size, str(element.get("vh_index", -1)))
        if box is None:
            return ()
        found.append(box)
    return tuple(found)


CONVERTER = Converter(
    name="screenqa",
    title="RICO (ScreenQA)",
    domain="web",
    records=records,
    drafts=drafts,
    licence="CC-BY-4.0",
    terms="Questions; the screens of RICO have terms of their own.",
    citation="Hsiao et al., ScreenQA: Large-Scale Question-Answer Pairs over Mobile App "
    "Screenshots, NAACL 2025; Deka et al., Rico, UIST 2017",
    where="github.com/google-research-datasets/screen_qa and interactionmining.org/rico.",
    expects="answers_and_bboxes/train.json and combined/<image_id>.jpg",
    paper_samples=25_000,
    assemble=(1, 4),
)
