"""Several records in one sample: references, order, and nothing lost or doubled."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from leopard.curation.converters.assembly import POOL, assembled, join, refer, reference
from leopard.curation.converters.drafts import Draft, Picture, whole
from leopard.curation.converters.fields import plain_qa
from leopard.schema.samples import Split

REFERENCES = {
    0: {"image 1", "the first image"},
    1: {"image 2", "the second image"},
    2: {"image 3", "the third image", "the last image"},
}


def draft(number: int, pages: int = 1, doc: str = "", split: Split = "train") -> Draft:
    pictures = tuple(Picture(name=f"{number}-{p}.png", load=bytes) for p in range(pages))
    qa = (plain_qa(f"What is number {number}?", [str(number)], family="f", evidence=(whole(0),)),)
    return Draft(id=f"r{number}", doc_id=doc or f"d{number}", pictures=pictures, qa=qa, split=split)


def test_each_turn_says_which_image_it_means_and_its_evidence_moves_there() -> None:
    for seed in range(20):
        joined = join([draft(n) for n in range(3)], Random(seed))
        assert [picture.name for picture in joined.pictures] == ["0-0.png", "1-0.png", "2-0.png"]
        for number, turn in enumerate(joined.qa):
            names = {f"In {name}, what is number {number}?" for name in REFERENCES[number]}
            assert turn.question in names
            assert [item.image for item in turn.evidence] == [number]
            assert turn.answer == str(number)
        assert joined.note["parents"] == ["r0", "r1", "r2"]


def test_two_images_lie_left_and_right() -> None:
    said = {reference((0, 0), 2, Random(seed)) for seed in range(60)}
    assert said == {"image 1", "the first image", "the image on the left-hand side"}
    said = {reference((1, 1), 2, Random(seed)) for seed in range(60)}
    assert "the image on the right-hand side" in said
    assert "the last image" in said


def test_documents_of_several_pages_are_a_run_of_images() -> None:
    assert reference((1, 2), 5, Random(0)) == "images 2 and 3"
    assert reference((1, 3), 5, Random(0)) == "images 2 to 4"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is it?", "In the first image, what is it?"),
        ("Is it red?", "In the first image, is it red?"),
        ("What's the sum?", "Look at the first image. What's the sum?"),
        ("WHO is it?", "Look at the first image. WHO is it?"),
        ("Ohio has the most?", "Look at the first image. Ohio has the most?"),
        ("Calculate 3 + 4.", "Look at the first image. Calculate 3 + 4."),
    ],
)
def test_the_reference_fits_the_question(question: str, said: str) -> None:
    assert refer(question, "the first image") == said


def test_every_record_is_in_exactly_one_sample() -> None:
    drafts = [draft(n) for n in range(3 * POOL + 7)]
    made = list(assembled(drafts, (2, 4), ("a", 1)))
    used = Counter(picture.name for item in made for picture in item.pictures)
    assert used == Counter(picture.name for item in drafts for picture in item.pictures)
    assert sum(len(item.qa) for item in made) == len(drafts)
    assert all(len(item.pictures) <= 4 for item in made)
    assert {len(item.pictures) for item in made} >= {2, 3, 4}
    assert made == list(assembled(drafts, (2, 4), ("a", 1)))
    assert made != list(assembled(drafts, (2, 4), ("a", 2)))


def test_records_of_one_picture_or_of_two_splits_are_kept_apart() -> None:
    same = [draft(n, doc="one") for n in range(10)]
    assert all(len(item.pictures) == 1 for item in assembled(same, (2, 4), ("a", 1)))
    mixed = [draft(n, split="train" if n % 2 else "val") for n in range(20)]
    for item in assembled(mixed, (2, 4), ("a", 1)):
        numbers = {int(picture.name.split("-")[0]) % 2 for picture in item.pictures}
        assert numbers == {1 if item.split == "train" else 0}


def test_long_documents_do_not_go_over_the_limit() -> None:
    drafts = [draft(n, pages=1 + n % 3) for n in range(40)]
    made = list(assembled(drafts, (2, 5), ("a", 1)))
    assert all(len(item.pictures) <= 5 for item in made)
    assert any(" to " in turn.question for item in made for turn in item.qa)


def test_a_lone_record_is_left_as_it_was() -> None:
    (made,) = assembled([draft(1)], (2, 4), ("a", 1))
    assert made == draft(1)
