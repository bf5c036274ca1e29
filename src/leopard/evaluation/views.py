"""Views of a sample: what of its images the model gets to see.

Baselines that show whether a benchmark needs its images, and a ceiling that shows what finding the
right page is worth. Pure and repeatable: a shuffle depends on the sample's id alone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from leopard.errors import EvaluationError
from leopard.evaluation.samples import DrawnPage, EvalSample, ImageSource, open_image
from leopard.processor.prompt import IMAGE_TAG
from leopard.schema.geometry import ImageSize
from leopard.schema.pixels import png_bytes


def stable_seed(text: str) -> int:
    """A number that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _keep(sample: EvalSample, order: Sequence[int]) -> EvalSample:
    """The images with these indices, in this order; tags and evidence follow."""
    place = {old: new for new, old in enumerate(order)}
    chunks = sample.question.split(IMAGE_TAG)
    tags = IMAGE_TAG.join(chunks[: len(order) + 1]) + "".join(chunks[len(order) + 1 :])
    evidence = sample.evidence
    if evidence is not None:
        evidence = tuple(sorted(place[page] for page in evidence if page in place)) or None
    return replace(
        sample,
        images=tuple(sample.images[index] for index in order),
        question=tags.strip() if not order else tags,
        evidence=evidence,
    )


def full(sample: EvalSample) -> EvalSample:
    """All images, as they are."""
    return sample


def question_only(sample: EvalSample) -> EvalSample:
    """No image and no place for one."""
    return _keep(sample, ())


def first_page(sample: EvalSample) -> EvalSample:
    """The first image only."""
    return _keep(sample, range(min(1, len(sample.images))))


def shuffled(sample: EvalSample) -> EvalSample:
    """All images in another order; of two or more images at least one moves."""
    order = list(range(len(sample.images)))
    random.Random(stable_seed(sample.id)).shuffle(order)
    if order == sorted(order):
        order = order[1:] + order[:1]
    return _keep(sample, order)


def oracle(sample: EvalSample) -> EvalSample:
    """Only the images that hold the answer; all of them where the benchmark does not say."""
    return sample if sample.evidence is None else _keep(sample, sample.evidence)


def blind(sample: EvalSample) -> EvalSample:
    """White images of the same sizes: the same prompt, nothing to read."""
    return replace(sample, images=tuple(_white(image) for image in sample.images))


def _white(image: ImageSource) -> ImageSource:
    def read() -> bytes:
        picture = open_image(image.read(), image.label)
        return _white_png(ImageSize(picture.width, picture.height))

    page = image.page and DrawnPage(image.page.extent, _white_png)
    return ImageSource(f"{image.label} (blank)", read, page)


@lru_cache(maxsize=64)
def _white_png(size: ImageSize) -> bytes:
    import PIL.Image

    return png_bytes(PIL.Image.new("RGB", (size.width, size.height), "white"))


VIEWS: dict[str, Callable[[EvalSample], EvalSample]] = {
    "full": full,
    "blind": blind,
    "question-only": question_only,
    "first-page": first_page,
    "shuffled": shuffled,
    "oracle": oracle,
}
"""Views by name."""


def view(name: str, sample: EvalSample) -> EvalSample:
    """A sample as a view shows it; one with a problem stays as it is.

    Raises:
        EvaluationError: If the view is unknown.
    """
    if name not in VIEWS:
        raise EvaluationError(f"view {name!r} is unknown; use one of {', '.join(VIEWS)}")
    return sample if sample.problem else VIEWS[name](sample)
