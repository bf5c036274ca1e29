"""The card counts what is there; the viewer and the audit show it; rebuilding gives it again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from leopard.config import load
from leopard.curation.audit import record_verdicts, write_audit
from leopard.curation.card import wilson, write_card
from leopard.curation.exports import pixel_samples
from leopard.curation.gallery import CELL
from leopard.curation.mixture import MixSettings, write_mix
from leopard.curation.plan import Plan, save_plan
from leopard.curation.quality import write_drops
from leopard.curation.rebuild import rebuild, write_sample
from leopard.curation.synthesis.settings import load_preset
from leopard.curation.verify import verify_folder
from leopard.curation.viewer import write_page
from leopard.curation.work import make_shard
from leopard.errors import DataError
from leopard.executors.local import LocalExecutor
from leopard.schema.rows import sample_to_row
from leopard.schema.shards import PdfTable, iter_samples, write_shard

pytest.importorskip("typst")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("set")
    plan = Plan(settings=load_preset("smoke"), num_samples=14, shard_size=7)
    save_plan(plan, target)
    for _ in LocalExecutor().map(partial(make_shard, plan, folder=target), plan.units):
        pass
    return target


def test_the_card_counts_what_is_there(folder: Path, tmp_path: Path) -> None:
    write_card(folder, tmp_path, gallery=4)
    facts = json.loads((tmp_path / "card.json").read_text())
    samples = list(iter_samples(folder))
    assert facts["samples"] == len(samples) == 14
    assert facts["questions"] == sum(len(s.qa) for s in samples)
    assert sum(facts["counts"]["Domain"].values()) == 14
    text = (tmp_path / "card.md").read_text()
    assert "question-only baseline" in text
    assert "no sample yet" in text
    assert "not yet" in text
    with PIL.Image.open(tmp_path / "gallery.png") as picture:
        sheet = picture.convert("RGB")
    assert sheet.size == (6 * CELL[0], CELL[1])
    red = np.abs(np.asarray(sheet, dtype=int) - (228, 87, 46)).max(axis=2) < 40
    assert red[:, : 4 * CELL[0]].any()
    assert not red[:, 4 * CELL[0] :].any()


def test_a_whole_folder_is_verified(folder: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    verdict = verify_folder(folder, counted.append)
    assert counted == [7, 7]
    assert verdict.num_samples == 14
    assert not verdict.errors
    write_card(folder, tmp_path, gallery=0)
    line = f"{verdict.num_questions:,} questions of 14 samples, 0 wrong."
    assert line in (tmp_path / "card.md").read_text()
    (folder / "verify.json").unlink()


def test_the_viewer_is_one_file_that_loads_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "view.html"
    assert write_page(pixel_samples(folder), path, "A <set>") == 14
    page = path.read_text()
    assert "A &lt;set&gt;" in page
    plain = re.sub(r"(?<=data:image/jpeg;base64,)[A-Za-z0-9+/=]+", "", page)
    assert "http" not in plain.replace("http://www.w3.org", "")
    assert page.count('class="box"') >= 14


def test_audits_pick_the_same_samples_and_their_verdicts_reach_the_card(
    folder: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.html", tmp_path / "2.html"
    assert write_audit(folder, first, 3) == write_audit(folder, second, 3) == 3
    assert first.read_text() == second.read_text()
    verdicts = tmp_path / "verdicts.jsonl"
    lines = [
        {"id": "a", "verdict": "accept"},
        {"id": "b", "verdict": "reject", "note": "page 2 is cut"},
    ]
    verdicts.write_text("\n".join(map(json.dumps, lines)))
    assert record_verdicts(folder, verdicts).startswith("1 of 2 samples rejected")
    write_card(folder, tmp_path / "card", gallery=0)
    text = (tmp_path / "card" / "card.md").read_text()
    assert "2 random samples, 1 with an error" in text
    assert "- b, reject: page 2 is cut" in text
    (folder / "audit.json").unlink()
    verdicts.write_text("nonsense")
    with pytest.raises(DataError, match="line 1: not a verdict"):
        record_verdicts(folder, verdicts)


def test_wilson_intervals_hold_the_rate() -> None:
    low, high = wilson(2, 100)
    assert low < 0.02 < high
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_sample_is_rebuilt_from_its_id(folder: Path, tmp_path: Path) -> None:
    stored = list(iter_samples(folder))[9]
    made = rebuild(folder, stored.id)
    assert sample_to_row(made.sample) == sample_to_row(stored)
    assert made.pdf == PdfTable(folder).read(stored.images[0].pdf_ref)  # type: ignore[union-attr]
    assert len(list(write_sample(made, tmp_path))) == 2 + len(stored.images)
    with pytest.raises(DataError, match="N below 14"):
        rebuild(folder, stored.id.replace("-9", "-99"))


def test_a_mix_reaches_its_shares_and_reports_what_is_missing(folder: Path, tmp_path: Path) -> None:
    settings = MixSettings(
        sources=(folder,), num_samples=6, domains={"slide": 1, "web": 1}, multi_image_share=None
    )
    report = write_mix(settings, tmp_path / "a")
    assert sum(report.deficits.values()) >= 3
    everything = MixSettings(sources=(folder,), num_samples=14, split="train")
    write_drops(folder, "dedup", {next(iter_samples(folder)).id: "x"})
    report = write_mix(everything, tmp_path / "b")
    (folder / "drop-dedup.json").unlink()
    mixed = list(iter_samples(tmp_path / "b"))
    assert report.num_samples == len(mixed) > 0
    assert {sample.split for sample in mixed} == {"train"}
    assert report.dropped <= 1


def test_a_mix_takes_sources_first_and_fills_up_the_rest(folder: Path, tmp_path: Path) -> None:
    few = [s for s in iter_samples(folder) if s.split == "train"][:3]
    pdfs = PdfTable(folder)
    source = tmp_path / "converted" / "some"
    source.mkdir(parents=True)
    held = {p.pdf_ref: pdfs.read(p.pdf_ref) for s in few for p in s.images}  # type: ignore[union-attr]
    renamed = [replace(s, id=f"published-{i}") for i, s in enumerate(few)]
    write_shard(source / "shard-00000.parquet", renamed, pdfs=held)
    settings = MixSettings(
        sources=(tmp_path / "converted", tmp_path / "elsewhere"), fill=(folder,), num_samples=8
    )
    report = write_mix(settings, tmp_path / "mixed")
    mixed = {sample.id for sample in iter_samples(tmp_path / "mixed")}
    assert {s.id for s in renamed} <= mixed
    assert report.filled == report.num_samples - 3 > 0
    assert report.absent == [tmp_path / "elsewhere"]
    assert not report.to_make
    more = write_mix(settings.model_copy(update={"num_samples": 200}), tmp_path / "more")
    assert more.to_make >= 200 - more.num_samples > 0
    with pytest.raises(DataError, match="nothing to mix"):
        write_mix(MixSettings(sources=(tmp_path / "no",), num_samples=1), tmp_path / "none")


def test_the_papers_mix_has_the_papers_shares() -> None:
    mix = load(MixSettings, Path(__file__).parents[2] / "configs/mix-leopard-instruct.toml")
    assert mix.num_samples == 925_000
    assert sum(mix.domains.values()) == pytest.approx(1, abs=1e-3)
    assert mix.multi_image_share == pytest.approx(739 / 925, abs=1e-3)
    assert mix.fill
