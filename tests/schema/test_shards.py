"""Shards: whole or absent, byte-stable, and readable by others."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from leopard.errors import DataError
from leopard.schema.messages import ImagePart, Message
from leopard.schema.samples import (
    Evidence,
    PixelImage,
    QuestionAnswer,
    Sample,
    VectorPage,
    conversation,
)
from leopard.schema.shards import (
    PdfTable,
    check_shard,
    iter_samples,
    pdf_table_path,
    read_info,
    remove_stale,
    write_shard,
)

PDFS = {hashlib.sha256(data).hexdigest(): data for data in (b"%PDF-a", b"%PDF-b")}


def vector_samples(count: int = 3) -> list[Sample]:
    refs = list(PDFS)
    qa = QuestionAnswer(
        question="Total?",
        answer="12,5 €",
        program={"op": "value", "element": "f.1"},
        evidence=(Evidence(image=0, element="f.1", box=(0.1, 0.2, 0.3, 0.4)),),
        choices=("a", "b"),
        rationale="Read it.",
    )
    return [
        Sample(
            id=f"synth-1-{i}",
            doc_id=f"d{i}",
            domain="document",
            task="synth",
            messages=conversation(1, (qa,)),
            images=(VectorPage(pdf_ref=refs[i % 2], page=1, dpi=96.5, width=300, height=400),),
            qa=(qa,),
            provenance={"seed": i, "fonts": ["Lato"]},
        )
        for i in range(count)
    ]


def pixel_samples() -> list[Sample]:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, "PNG")
    image = PixelImage(data=file.getvalue(), width=4, height=3, path="p.png")
    return [
        Sample(
            id="p-0",
            doc_id="p",
            domain="mixed",
            task="t",
            messages=(
                Message.of("user", "before", ImagePart(), "between", ImagePart(), "what?"),
                Message.of("assistant", "red"),
            ),
            images=(image, image),
        )
    ]


def test_vector_samples_come_back_equal(tmp_path: Path) -> None:
    samples = vector_samples(130)
    write_shard(tmp_path / "a.parquet", samples, pdfs=PDFS, config_hash="c", rejects={"clash": 2})
    assert list(iter_samples(tmp_path)) == samples
    info = check_shard(tmp_path / "a.parquet")
    assert (info.rows, info.pdfs, info.config_hash, info.rejects) == (130, 2, "c", {"clash": 2})


def test_pdf_bytes_are_found_by_hash(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", vector_samples(), pdfs=PDFS)
    table = PdfTable(tmp_path)
    assert {sha: table.read(sha) for sha in PDFS} == PDFS
    with pytest.raises(DataError, match="none of the 2 PDFs"):
        table.read("0" * 64)


def test_pixel_samples_come_back_equal(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", pixel_samples())
    assert list(iter_samples(tmp_path / "a.parquet")) == pixel_samples()
    assert not pdf_table_path(tmp_path / "a.parquet").exists()


def test_datasets_reads_pixel_shards_as_pictures(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    write_shard(tmp_path / "a.parquet", pixel_samples())
    rows = datasets.Dataset.from_parquet(
        str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert rows[0]["images"][0].size == (4, 3)
    assert [part["type"] for part in rows[0]["messages"][0]["content"]].count("image") == 2


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / f"{name}.parquet", vector_samples(), pdfs=PDFS)
    assert read_info(tmp_path / "a.parquet") == read_info(tmp_path / "b.parquet")


def test_missing_superfluous_and_wrong_pdfs_are_refused(tmp_path: Path) -> None:
    first, second = PDFS
    with pytest.raises(DataError, match="1 PDFs that samples refer to are missing"):
        write_shard(tmp_path / "a.parquet", vector_samples(), pdfs={first: PDFS[first]})
    with pytest.raises(DataError, match="1 are referred"):
        write_shard(tmp_path / "a.parquet", vector_samples(1), pdfs=PDFS)
    with pytest.raises(DataError, match="another SHA-256"):
        write_shard(tmp_path / "a.parquet", vector_samples(), pdfs={**PDFS, second: b"%PDF-c"})
    assert not list(tmp_path.iterdir())


def test_mixed_kinds_are_refused(tmp_path: Path) -> None:
    mixed = Sample(
        id="m",
        doc_id="m",
        domain="mixed",
        task="t",
        messages=(Message.of("user", ImagePart(), ImagePart()),),
        images=(*pixel_samples()[0].images[:1], *vector_samples(1)[0].images),
    )
    with pytest.raises(DataError, match="mixes 1 pixel images and 1 PDF pages"):
        write_shard(tmp_path / "a.parquet", [mixed], pdfs={next(iter(PDFS)): b"%PDF-a"})


def test_damage_is_named(tmp_path: Path) -> None:
    shard = tmp_path / "a.parquet"
    write_shard(shard, vector_samples(), pdfs=PDFS)
    pdf_table_path(shard).write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.pdfs\.parquet: SHA-256 differs"):
        check_shard(shard)
    shard.write_bytes(b"x")
    with pytest.raises(DataError, match="not a readable parquet"):
        list(iter_samples(shard))


def test_an_empty_folder_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leopard curate synth"):
        list(iter_samples(tmp_path))


def test_only_files_of_dead_writers_are_stale(tmp_path: Path) -> None:
    import os
    import socket

    shard = tmp_path / "a.parquet"
    host = socket.gethostname()
    alive = tmp_path / f"a.parquet.tmp.{host}.{os.getpid()}"
    dead = tmp_path / f"a.pdfs.parquet.tmp.{host}.4194304"
    elsewhere = tmp_path / "a.parquet.tmp.otherhost.1"
    for file in (alive, dead, elsewhere):
        file.write_text("")
    assert remove_stale(shard) == 1
    assert alive.exists()
    assert elsewhere.exists()
