"""Writes reports: HTML of a run and of the leaderboard, Markdown and CSV.

Knows nothing of models.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from leopard.evaluation.records import Record, read_manifest, read_records
from leopard.evaluation.report.charts import Bar, bars
from leopard.evaluation.report.gallery import Entry, entries
from leopard.evaluation.report.leaderboard import Row, board, own_rows, published
from leopard.evaluation.statistics import BREAKDOWNS, Estimate, Summary, breakdown, summarise
from leopard.evaluation.task import Task
from leopard.evaluation.tasks import get_task
from leopard.schema.files import write_text_atomically

_CSV_FIELDS = (
    "id",
    "doc_id",
    "source",
    "answer_type",
    "num_images",
    "question",
    "answers",
    "parsed",
    "raw",
    "unparsed",
    "error",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells of one line, and how it is marked."""

    cells: Sequence[str]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with a plot and a table."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[TableRow] = field(default_factory=list)
    plot: str = ""
    text: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it lies on disk, with its numbers."""

    folder: Path
    manifest: Record
    task: Task
    records: list[Record]
    summary: Summary


def load_run(folder: Path) -> Run:
    """Read a run and count it up.

    Raises:
        EvaluationError: If the folder is no run, or holds no record.
    """
    manifest = read_manifest(folder)
    task = get_task(str(manifest["task"]))
    records = read_records(folder)
    return Run(
        folder, manifest, task, records, summarise(task, records, int(manifest["num_samples"]))
    )


def write_report(
    folder: Path, *, data: Path | None = None, gallery: int = 60, out: Path | None = None
) -> list[Path]:
    """Write `report.html`, `report.md` and `records.csv` of a run.

    Args:
        folder: Folder of the run.
        data: The user's copy of the data, for the pages of the gallery; by default where it was.
        gallery: Most samples in the gallery.
        out: Folder to write to; by default that of the run.

    Returns:
        The files written.
    """
    run = load_run(folder)
    target = out or folder
    target.mkdir(parents=True, exist_ok=True)
    made = {
        "report.html": _html(run, data or Path(str(run.manifest["data_path"])), gallery),
        "report.md": markdown([run]),
        "records.csv": records_csv(run.records),
    }
    for name, text in made.items():
        write_text_atomically(target / name, text)
    return [target / name for name in made]


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _warnings(run: Run) -> list[str]:
    summary, limit = run.summary, run.manifest["identity"].get("limit")
    said = []
    if summary.count < summary.expected:
        said.append(
            f"Unfinished: {summary.count} of {summary.expected} samples are scored; the numbers "
            "are of those."
        )
    if limit is not None:
        said.append(f"Only the first {limit} samples were run: no score of the benchmark.")
    if summary.broken:
        said.append(
            f"{summary.broken} samples could not be built from the data and count as wrong."
        )
    if summary.failed:
        said.append(f"{summary.failed} samples failed in the model and count as wrong.")
    if summary.dropped_images:
        said.append(f"{summary.dropped_images} images were left out for want of crops.")
    return said


def _facts(summary: Summary) -> list[tuple[str, str]]:
    facts = [
        ("samples scored", f"{summary.count} of {summary.expected}"),
        ("unparsed answers", f"{100 * summary.unparsed:.1f} %"),
        ("failed / not built", f"{summary.failed} / {summary.broken}"),
        ("cut at the token limit", str(summary.truncated)),
        ("images per sample", f"{summary.images_per_sample:.1f}"),
    ]
    if summary.tokens_per_image:
        facts.append(("visual tokens per image", f"{summary.tokens_per_image:.0f}"))
    if summary.seconds:
        facts.append(("samples per second", f"{summary.count / summary.seconds:.2f}"))
    return facts


def _interval(found: Estimate) -> str:
    if not found.has_interval:
        return "none: one document"
    return f"{_percent(found.low)} to {_percent(found.high)}"


def _score_section(run: Run) -> Section:
    rows, marks = [], []
    for name, found in run.summary.scores.items():
        label = f"{name} (official)" if name == run.task.primary else name
        label = "leopard (as in the paper)" if name == "leopard" else label
        interval = _interval(found)
        rows.append(TableRow([label, _percent(found.value), interval]))
        marks.append(Bar(label, found.value, found.low, found.high))
    rows += [TableRow([name, _percent(v), ""]) for name, v in run.summary.extras.items()]
    return Section(
        "Scores",
        ["scorer", "score", "95 % interval"],
        rows,
        bars(marks, "Scores with intervals"),
        "Intervals: bootstrap over documents.",
    )


def _breakdown_sections(run: Run) -> list[Section]:
    made = []
    for by in BREAKDOWNS:
        groups = breakdown(run.records, by)
        if len(groups) < 2:
            continue
        head = [by, "samples", *run.task.scorers, "unparsed %"]
        rows = [
            TableRow(
                [
                    group.name,
                    str(group.count),
                    *(_percent(group.scores[name]) for name in run.task.scorers),
                    f"{100 * group.unparsed:.1f}",
                ]
            )
            for group in groups
        ]
        marks = [
            Bar(group.name, group.scores[run.task.primary], note=f"(n={group.count})")
            for group in groups
        ]
        made.append(Section(f"By {by}", head, rows, bars(marks, f"{run.task.primary} by {by}")))
    return made


def _evidence_section(run: Run) -> list[Section]:
    found = run.summary.evidence
    if not found.count:
        return []
    row = [str(found.count), *(_percent(v) for v in (found.named, found.exact, found.f1))]
    text = "Pages the model names against the gold pages, where there are several images."
    head = ["samples with gold pages", "names a page", "exactly the gold pages", "page F1"]
    return [Section("Evidence pages", head, [TableRow(row)], text=text)]


def _board_section(task: str, ours: Sequence[Row], title: str) -> Section:
    rows = [
        TableRow([r.model, f"{r.score:.2f}", r.metric, r.pages, r.tokens, r.source], r.kind)
        for r in board(task, ours)
    ]
    head = ["model", "score", "metric", "pages seen", "tokens per page", "source"]
    return Section(title, head, rows, numeric=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What stands above the tables of a page."""

    title: str
    subtitle: str
    notes: Sequence[str] = ()
    """What the numbers rest on."""
    warnings: Sequence[str] = ()
    """What is missing or must not be overlooked."""
    facts: Sequence[tuple[str, str]] = ()
    """Name and value of numbers shown large."""


def render(head: Head, sections: Sequence[Section], entries: Sequence[Entry] = ()) -> str:
    """One static HTML page.

    Args:
        head: What stands above the tables.
        sections: Plots and tables.
        entries: Samples of the gallery; without any there is none.
    """
    import jinja2

    counts = Counter(entry.status for entry in entries)
    source = resources.files("leopard.evaluation.report") / "report.html"
    template = jinja2.Environment(autoescape=True).from_string(source.read_text("utf-8"))
    kinds = [("all", len(entries)), *counts.items()]
    return template.render(head=head, sections=sections, entries=entries, kinds=kinds)


def _html(run: Run, data: Path | None, gallery: int) -> str:
    identity = run.manifest["identity"]
    found = entries(run.task, run.records, data, str(identity["view"]), gallery)
    ours = own_rows(run.task, run.manifest, run.summary)
    sections = [_score_section(run), *_evidence_section(run), *_breakdown_sections(run)]
    if any(row.task == run.task.name for row in published()):
        sections.append(_board_section(run.task.name, ours, "Beside published scores"))
    encoding = identity.get("encoding") or {}
    policy = f", policy {encoding['policy']}" if encoding else ""
    head = Head(
        title=f"{run.task.title}: {run.manifest['model']}",
        subtitle=(
            f"split {run.task.split}, view {identity['view']}, instruction {identity['preset']}"
            f"{policy}, parser {identity['parser']}, started {run.manifest['started']}"
        ),
        warnings=_warnings(run),
        facts=_facts(run.summary),
    )
    return render(head, sections, found)


def write_leaderboard(folders: Sequence[Path], target: Path) -> Path:
    """Write one page with published scores, and those of our runs beside them."""
    runs = [load_run(folder) for folder in folders]
    ours = [row for run in runs for row in own_rows(run.task, run.manifest, run.summary)]
    names = list(dict.fromkeys([*(row.task for row in ours), *(row.task for row in published())]))
    sections = [_board_section(name, ours, get_task(name).title) for name in names]
    head = Head(
        title="Leaderboard",
        subtitle=(
            "Scores in percent. Scores of the paper come from its own, looser rules: compare them "
            "with ours under \u201cas in the paper\u201d only. Green: our runs."
        ),
    )
    html = render(head, sections)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(target, html)
    return target


def markdown(runs: Sequence[Run]) -> str:
    """Scores of runs as one Markdown table each."""
    parts = []
    for run in runs:
        summary = run.summary
        lines = [f"## {run.task.title}: {run.manifest['model']}", ""]
        lines += [f"> {text}" for text in _warnings(run)] + [""]
        lines += ["| scorer | score | 95 % interval |", "|---|--:|---|"]
        for name, found in summary.scores.items():
            interval = _interval(found)
            lines.append(f"| {name} | {_percent(found.value)} | {interval} |")
        lines += [f"| {name} | {_percent(v)} | |" for name, v in summary.extras.items()]
        lines += ["", f"{'; '.join(f'{k}: {v}' for k, v in _facts(summary))}", ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def records_csv(records: Sequence[Record]) -> str:
    """One line for each sample, every score in a column."""
    scorers = list(records[0]["scores"])
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*_CSV_FIELDS, *scorers])
    for record in records:
        plain = {**record, "answers": " | ".join(record["answers"])}
        cells = [_safe(plain[name]) for name in _CSV_FIELDS]
        writer.writerow([*cells, *(record["scores"][name] for name in scorers)])
    return buffer.getvalue()


def _safe(value: Any) -> Any:
    """Texts that a spreadsheet would run as a formula get an apostrophe in front."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
