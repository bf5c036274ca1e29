"""Duplicates are found over all samples, distinct pages are kept, leaks are named."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import pytest

from leopard.curation import quality
from leopard.curation.quality import (
    EvaluationSet,
    blind_baselines,
    duplicates_in,
    find_duplicates,
    load_evaluation_set,
    read_drops,
    sign,
    skeleton,
    write_drops,
)
from leopard.curation.signatures import (
    NEAR_BITS,
    distance,
    hash_bands,
    minhash,
    page_hash,
    resemblance,
    shingles,
)
from leopard.errors import DataError
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample, conversation
from leopard.schema.shards import write_shard


def page(text: str, size: tuple[int, int] = (300, 400)) -> PIL.Image.Image:
    image = PIL.Image.new("RGB", size, "white")
    draw = PIL.ImageDraw.Draw(image)
    for line in range(12):
        start = line * 7 % max(1, len(text))
        draw.text((10, 10 + 30 * line), text[start : start + 34], fill="black", font_size=18)
    return image


def sample(name: str, text: str, question: str, answer: str) -> Sample:
    file = io.BytesIO()
    page(text).save(file, "PNG")
    qa = (QuestionAnswer(question=question, answer=answer),)
    image = PixelImage(data=file.getvalue(), width=300, height=400)
    return Sample(id=name, doc_id=name, domain="document", task="t",
                  messages=conversation(1, qa), images=(image,), qa=qa)  # fmt: skip


ONE = "The quick brown fox jumps over the lazy dog while seven wizards quietly boil green tea"
TWO = "Quarterly revenue rose to nine million although costs in the northern region went up again"


def test_the_same_page_at_another_size_is_near_and_another_page_is_far() -> None:
    first = page_hash(page(ONE))
    assert distance(first, page_hash(page(ONE).resize((450, 600)))) <= NEAR_BITS
    assert distance(first, page_hash(page(TWO))) > 2 * NEAR_BITS


def test_hashes_within_the_limit_always_share_a_piece() -> None:
    value = page_hash(page(ONE))
    near = value
    for bit in range(NEAR_BITS):
        near ^= 1 << (bit * 21)
    assert distance(value, near) == NEAR_BITS
    assert set(hash_bands(value)) & set(hash_bands(near))


def test_minhash_estimates_resemblance() -> None:
    a = {f"w{i}" for i in range(200)}
    b = {f"w{i}" for i in range(100, 300)}
    assert resemblance(minhash(a), minhash(a)) == 1
    assert resemblance(minhash(a), minhash(b)) == pytest.approx(1 / 3, abs=0.15)


def test_short_texts_are_one_shingle() -> None:
    assert shingles("One two.") == {"one two"}
    assert shingles("") == set()


def test_duplicates_need_the_same_pages_and_the_same_questions() -> None:
    samples = [
        sample("b", ONE, "What is quick?", "the fox"),
        sample("a", ONE, "What is quick?", "the fox"),
        sample("c", ONE, "How many wizards boil tea here?", "seven"),
        sample("d", TWO, "What is quick?", "the fox"),
    ]
    assert find_duplicates([sign(s) for s in samples]) == {"b": "a"}


def test_duplicates_over_shards_are_counted_and_only_pages_that_may_repeat_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sample("a", ONE, "What is quick?", "the fox")
    resaved = io.BytesIO()
    page(ONE).save(resaved, "JPEG", quality=80)
    near = replace(one.images[0], data=resaved.getvalue())
    write_shard(tmp_path / "0.parquet", [one, sample("c", TWO, "What rose to nine?", "revenue")])
    write_shard(
        tmp_path / "1.parquet",
        [replace(one, id="b"), replace(one, id="d", images=(near,)),
         sample("e", TWO, "What is quick?", "the fox")],
    )  # fmt: skip
    drawn = []
    monkeypatch.setattr(quality, "sign", lambda s, real=sign: drawn.append(s.id) or real(s))
    found = duplicates_in(tmp_path)
    assert found.drops == {"b": "a", "d": "a"}
    assert (found.num_samples, found.num_exact) == (5, 1)
    assert sorted(drawn) == ["a", "b", "d", "e"]


def test_leaks_are_named() -> None:
    evaluation = EvaluationSet()
    evaluation.add_page(page(ONE))
    evaluation.add_pair("Which region had costs that went up?", "the northern region")
    assert evaluation.leak(sample("a", ONE, "Q?", "A")) == "page"
    leaked = sample("b", TWO, "Which region had costs that went up?", "the northern region")
    assert evaluation.leak(leaked) == "question and answer"
    assert evaluation.leak(sample("c", TWO, "Q?", "A")) == ""


def test_evaluation_sets_are_read_from_images_and_lines(tmp_path: Path) -> None:
    page(ONE).save(tmp_path / "p.png")
    lines = [{"question": "Q1?", "answers": ["nine million"]}, {"question": "Q2?", "answer": "x"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = load_evaluation_set(tmp_path)
    assert ("q1?", "nine million") in found.pairs
    assert found.leak(sample("a", ONE, "Q?", "A")) == "page"
    with pytest.raises(DataError, match="no images and no"):
        load_evaluation_set(tmp_path / "none")


def test_drop_lists_are_joined(tmp_path: Path) -> None:
    write_drops(tmp_path, "dedup", {"b": "a"})
    write_drops(tmp_path, "decontaminate", {"c": "page"})
    assert read_drops(tmp_path) == {"b": "a", "c": "page"}


def test_a_leaking_template_shows_in_the_question_only_baseline() -> None:
    base = sample("x", ONE, "Is it so?", "Yes")
    leaky = [replace(base, id=f"x{i}", doc_id=f"x{i}") for i in range(40)]
    assert blind_baselines(leaky).question_only == 1.0
    fair = [sample(f"y{i}", ONE, "Which number?", str(i)) for i in range(20)]
    assert blind_baselines(fair).question_only == 0.0


def test_skeletons_mask_names_and_numbers() -> None:
    assert skeleton("What is the Price of Oslo in 2024?") == skeleton(
        "What is the Cost of New York in 1999?"
    )
