"""Shards of small samples: one page, several pages, text alone, vector pages."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from leopard.processor import LeopardProcessor
from leopard.schema.samples import (
    PixelImage,
    QuestionAnswer,
    Sample,
    VectorPage,
    conversation,
)
from leopard.schema.shards import write_shard
from tests.conftest import draw_page

SIZES = ((56, 56), (112, 112), (120, 160), (224, 112))


def pixel_sample(number: int, num_images: int, *, turns: int = 1, answer: str = "") -> Sample:
    images = []
    for index in range(num_images):
        page = draw_page(number * 7 + index, SIZES[(number + index) % len(SIZES)])
        file = io.BytesIO()
        page.save(file, "PNG")
        images.append(PixelImage(data=file.getvalue(), width=page.width, height=page.height))
    qa = tuple(
        QuestionAnswer(question=f"Question {turn}?", answer=answer or f"Answer {number} {turn}.")
        for turn in range(turns)
    )
    return Sample(
        id=f"s-{number}",
        doc_id=f"d-{number}",
        domain="document",
        task="test",
        messages=conversation(num_images, qa),
        images=tuple(images),
        qa=qa,
        split="val" if number % 10 == 9 else "train",
    )


def blank_pdf(width: int, height: int) -> bytes:
    document = pdfium.PdfDocument.new()
    document.new_page(width, height)
    file = io.BytesIO()
    document.save(file)
    document.close()
    return file.getvalue()


def vector_sample(number: int, pdf: bytes, augment_seed: int | None = None) -> Sample:
    sample = pixel_sample(number, 1)
    page = VectorPage(
        pdf_ref=hashlib.sha256(pdf).hexdigest(),
        page=1,
        dpi=72,
        width=100,
        height=140,
        augment_seed=augment_seed,
    )
    from dataclasses import replace

    return replace(sample, images=(page,))


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `pixels` (24 samples of 0 to 3 images) and `vectors` (6 samples)."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "pixels").mkdir()
    (folder / "vectors").mkdir()
    samples = [pixel_sample(number, number % 4, turns=1 + number % 2) for number in range(24)]
    write_shard(folder / "pixels" / "a.parquet", samples[:10])
    write_shard(folder / "pixels" / "b.parquet", samples[10:])
    pdf = blank_pdf(100, 140)
    sha = hashlib.sha256(pdf).hexdigest()
    vectors = [vector_sample(100 + number, pdf) for number in range(6)]
    write_shard(folder / "vectors" / "a.parquet", vectors, pdfs={sha: pdf})
    return folder


@pytest.fixture(scope="session")
def processor(tiny_model_folder: Path) -> LeopardProcessor:
    return LeopardProcessor.from_pretrained(tiny_model_folder)
