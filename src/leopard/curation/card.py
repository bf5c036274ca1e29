"""The card of a set: what is in it, how it was checked, what is known to be wrong.

Counts only; every figure comes from the shards and their sidecars. Knows nothing of how samples
are made.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leopard.curation.gallery import gallery as draw_gallery
from leopard.curation.quality import blind_baselines
from leopard.schema.samples import Sample
from leopard.schema.shards import iter_samples, read_info, shard_paths

AUDIT_FILE = "audit.json"
VERIFY_FILE = "verify.json"
_BAR = 24


@dataclass(slots=True)
class Statistics:
    """Counts over the samples of a set."""

    num_samples: int = 0
    num_questions: int = 0
    num_images: int = 0
    multi_image: int = 0
    counters: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, name: str, value: object, times: int = 1) -> None:
        """Count one value of one property."""
        self.counters.setdefault(name, Counter())[str(value)] += times

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self.num_samples += 1
        self.num_images += len(sample.images)
        self.multi_image += len(sample.images) > 1
        self.count("Domain", sample.domain)
        self.count("Split", sample.split)
        self.count("Licence", sample.licence)
        self.count("Images per sample", len(sample.images))
        for name, key in (("Facts", "facts"), ("View", "view"), ("Font", "font"),
                          ("Page format", "format"), ("Renderer", "renderer")):  # fmt: skip
            if key in sample.provenance:
                self.count(name, sample.provenance[key])
        for style in sample.provenance.get("styles", ()):
            self.count("Block style", style)
        for image in sample.images:
            self.count("Aspect ratio (width / height)", _bucket(image.width / image.height))
        for qa in sample.qa:
            self.num_questions += 1
            self.count("Question family", qa.family)
            self.count("Answer type", qa.answer_type)
            self.count("Pages needed", qa.pages_needed)
            for page in {evidence.image + 1 for evidence in qa.evidence}:
                self.count("Evidence on page", page)


def _bucket(ratio: float) -> str:
    edges = (0.5, 0.8, 1.25, 2.0)
    names = ("below 0.5", "0.5 to 0.8", "0.8 to 1.25", "1.25 to 2", "above 2")
    return names[sum(ratio >= edge for edge in edges)]


def wilson(errors: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of an error rate (Wilson 1927)."""
    if total == 0:
        return 0.0, 1.0
    rate, scale = errors / total, 1 + z * z / total
    middle = (rate + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def write_card(folder: Path, target: Path, *, gallery: int = 30) -> Statistics:
    """Write `card.md`, `card.json` and `gallery.png` for a folder of shards.

    Args:
        folder: The shards.
        target: Folder to write into.
        gallery: Samples of which a page and a question are shown.
    """
    target.mkdir(parents=True, exist_ok=True)
    statistics, rejects, size = Statistics(), Counter[str](), 0
    for shard in shard_paths(folder):
        info = read_info(shard)
        rejects.update(info.rejects)
        size += sum(file.stat().st_size for file in shard.parent.glob(f"{shard.stem}*"))
        for sample in iter_samples(shard):
            statistics.add(sample)
    blind = blind_baselines(iter_samples(folder))
    drops = Counter(_stage_counts(folder))
    facts = {
        "samples": statistics.num_samples,
        "multi_image_samples": statistics.multi_image,
        "images": statistics.num_images,
        "questions": statistics.num_questions,
        "bytes": size,
        "majority_baseline": round(blind.majority, 4),
        "question_only_baseline": round(blind.question_only, 4),
        "baseline_questions": blind.num_questions,
        "dropped": dict(drops),
        "rejected": dict(rejects.most_common()),
        "counts": {name: dict(c.most_common()) for name, c in statistics.counters.items()},
    }
    (target / "card.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    text = _markdown(facts, [_verify_line(folder), "", *_audit_lines(folder)])
    (target / "card.md").write_text(text, encoding="utf-8")
    if gallery:
        draw_gallery(folder, gallery).save(target / "gallery.png", optimize=True)
    return statistics


def _stage_counts(folder: Path) -> dict[str, int]:
    found = {}
    for path in sorted(folder.glob("drop-*.json")):
        found[path.stem.removeprefix("drop-")] = len(json.loads(path.read_text("utf-8")))
    return found


def _verify_line(folder: Path) -> str:
    path = folder / VERIFY_FILE
    if not path.exists():
        return "**Proven again:** not yet (`leopard curate verify`)."
    record = json.loads(path.read_text(encoding="utf-8"))
    line = (
        f"**Proven again** from the stored PDFs and programs alone: {record['questions']:,} "
        f"questions of {record['samples']:,} samples, {record['wrong']:,} wrong"
    )
    unproven = record["without_program"]
    return f"{line}, {unproven:,} without a program." if unproven else f"{line}."


def _audit_lines(folder: Path) -> list[str]:
    path = folder / AUDIT_FILE
    if not path.exists():
        return ["**Looked at:** no sample yet (`leopard curate audit`)."]
    record = json.loads(path.read_text(encoding="utf-8"))
    low, high = wilson(record["errors"], record["looked_at"])
    return [
        f"**Looked at** page by page: {record['looked_at']} random samples, {record['errors']} "
        f"with an error (95 % interval {low:.1%} to {high:.1%}).",
        "",
        *(f"- {note}" for note in record.get("notes", ())),
    ]


def _markdown(facts: Mapping[str, object], checks: Sequence[str]) -> str:
    get: Callable[[str], object] = facts.__getitem__
    samples, questions = int(str(get("samples"))), int(str(get("questions")))
    multi = int(str(get("multi_image_samples")))
    lines = [
        "# Data card",
        "",
        "| | |",
        "|---|---|",
        f"| samples | {samples:,} |",
        f"| of them with several images | {multi:,} ({multi / max(1, samples):.1%}) |",
        f"| images | {int(str(get('images'))):,} |",
        f"| questions | {questions:,} |",
        f"| size | {int(str(get('bytes'))) / 1e6:,.1f} MB |",
        f"| majority baseline | {float(str(get('majority_baseline'))):.1%} |",
        f"| question-only baseline | {float(str(get('question_only_baseline'))):.1%} "
        f"(of {get('baseline_questions')} questions) |",
        "",
        *checks,
        "",
    ]
    counts = facts["counts"]
    assert isinstance(counts, dict)
    for name, values in counts.items():
        lines += _table(name, values)
    rejected, dropped = facts["rejected"], facts["dropped"]
    assert isinstance(rejected, dict)
    assert isinstance(dropped, dict)
    lines += _table("Rejected while making (nothing is dropped silently)", rejected)
    lines += _table("Dropped afterwards", dropped)
    return "\n".join(lines)


def _table(name: str, values: Mapping[str, int]) -> list[str]:
    values = {key: count for key, count in values.items() if count}
    if not values:
        return []
    total, top = sum(values.values()), max(values.values())
    rows = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:40]
    lines = [f"## {name}", "", "| | count | share | |", "|---|---:|---:|---|"]
    for key, count in rows:
        bar = "#" * max(1, round(_BAR * count / top))
        lines.append(f"| {key} | {count:,} | {count / total:.1%} | `{bar}` |")
    return [*lines, ""]
