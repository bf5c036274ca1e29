"""`leopard evaluate suite`: everything that a file names, made, asked and written up.

Puts data engine, models and evaluation together; holds no logic of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.cli.evaluate_parts import Choice, make_subject
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.evaluation.report.gallery import Entry
    from leopard.evaluation.runner import RunCounts, RunSettings, Subject
    from leopard.evaluation.suite.settings import ModelSettings, SetSettings, SuiteSettings

GALLERY_PAGES = 3
"""Most pages of a sample in the gallery, so that the file stays small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """One worker's share of one run."""

    run: str
    task: str
    data: Path
    choice: Choice
    settings: RunSettings
    runs: Path
    """Folder of all runs."""


def suite(
    config: Annotated[Path, typer.Argument(help="TOML file; see configs/eval.toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pages.")],
    work: Annotated[Path, typer.Option(help="Folder for sets and runs.")] = Path("runs/suite"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your copies; sets that it lacks are left out.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Instead of the shipped model.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of each set, for trials.")
    ] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    card: Annotated[
        Path | None, typer.Option(help="Model card to write the scores into, between its marks.")
    ] = None,
) -> None:
    """Run everything that a file names, and write one set of pages about it.

    What is done is kept in --work: the same command goes on where it stopped, and a run is made
    again only if its model, data or settings have changed.

    Example: leopard evaluate suite configs/eval.toml --out docs/results --data data --workers 2
    """
    from leopard.config import load
    from leopard.evaluation.suite.pages import fill_card
    from leopard.evaluation.suite.results import collect
    from leopard.evaluation.suite.settings import SuiteSettings
    from leopard.schema.files import write_text_atomically

    settings = load(SuiteSettings, config)
    text = _read_card(card) if card else ""
    places, left_out = _make_sets(settings, work, data, share)
    choices = {
        name: _choice(entry, work / "models" / name, settings.batch_size, model)
        for name, entry in settings.models.items()
    }
    jobs = _jobs(settings, places, choices, work.resolve(), share)
    folders = _run_all(jobs, workers)
    results = collect(settings, folders, left_out, share)
    files = _write(settings, results, folders, places, out)
    if card:
        write_text_atomically(card, fill_card(text, results))
        files.append(card)
    for file in files:
        typer.echo(str(file))


def _read_card(card: Path) -> str:
    """A model card's text; refused before hours of work if scores have no place in it."""
    from leopard.evaluation.suite.pages import card_parts

    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--card {card}: cannot be read ({error}); give a text file with lines for scores"
        ) from error
    card_parts(text)
    return text


def _make_sets(
    suite: SuiteSettings, work: Path, data: Path | None, share: float
) -> tuple[dict[str, Path], dict[str, str]]:
    """Where each set lies, and why others do not."""
    places: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    for name, entry in suite.sets.items():
        if entry.synth is not None:
            places[name] = _synthesise(entry, work / "sets" / name, share)
        elif data is not None and (data / entry.data).exists():
            places[name] = data / entry.data
        else:
            left_out[entry.title] = f"no {entry.data} in {data or 'a folder named by --data'}"
    return places, left_out


def _synthesise(entry: SetSettings, folder: Path, share: float) -> Path:
    from leopard.cli.curate_parts import settings_of, split_of
    from leopard.curation.plan import Plan, save_plan
    from leopard.curation.work import make_shard
    from leopard.evaluation.suite.settings import part_of

    wanted = entry.synth
    assert wanted is not None
    plan = Plan(
        settings=settings_of(wanted.preset, None, wanted.change, wanted.seed),
        num_samples=part_of(wanted.samples, share),
        shard_size=wanted.samples,
        split=split_of(wanted.split),
    )
    # Another plan is another folder, so that a changed file never meets old samples.
    digest = hashlib.sha256(json.dumps(plan.to_dict(), sort_keys=True).encode()).hexdigest()[:12]
    folder = folder / digest
    save_plan(plan, folder)
    done = set(plan.finished(folder))
    for unit in plan.units:
        if unit not in done:
            typer.echo(f"making {entry.title}: {plan.num_samples} documents", err=True)
            make_shard(plan, unit, folder=folder.resolve())
    return folder


def _choice(entry: ModelSettings, folder: Path, batch_size: int, model: str | None) -> Choice:
    if entry.baseline is not None:
        return Choice(baseline=entry.baseline, batch_size=batch_size)
    if entry.untrained_twin_of is not None:
        from leopard.inference.twin import write_untrained_twin

        write_untrained_twin(model or entry.untrained_twin_of, folder, seed=entry.seed)
        return Choice(model=str(folder.resolve()), batch_size=batch_size)
    return Choice(model=model or entry.model, batch_size=batch_size)


def _jobs(
    suite: SuiteSettings,
    places: Mapping[str, Path],
    choices: Mapping[str, Choice],
    work: Path,
    share: float,
) -> list[_Job]:
    from leopard.evaluation.runner import RunSettings
    from leopard.evaluation.suite.settings import part_of

    made = []
    for name, entry in suite.runs.items():
        if entry.data not in places:
            continue
        chosen = suite.sets[entry.data]
        limit = min((n for n in (entry.limit, chosen.limit) if n is not None), default=None)
        if limit is not None:
            limit = part_of(limit, share)
        made.append(
            _Job(
                run=name,
                task=chosen.task,
                data=places[entry.data].resolve(),
                choice=replace(
                    choices[entry.model], policy=entry.policy, max_tiles=entry.max_tiles
                ),
                settings=RunSettings(
                    view=entry.view,
                    max_new_tokens=suite.max_new_tokens,
                    batch_size=suite.batch_size,
                    limit=limit,
                ),
                runs=work / "runs",
            )
        )
    return made


def _run_all(jobs: list[_Job], workers: int) -> dict[str, Path]:
    """Folder of each run, all of them finished."""
    from leopard.cli._progress import progress
    from leopard.executors.local import LocalExecutor

    units = [
        replace(job, settings=replace(job.settings, rank=rank, world=workers))
        for job in jobs
        for rank in range(workers)
    ]
    folders: dict[str, Path] = {}
    with progress("runs", len(units)) as advance:
        for unit, (folder, counts) in LocalExecutor(workers).map(_do, units):
            folders[unit.run] = folder
            advance(1)
            typer.echo(
                f"{unit.run}, part {unit.settings.rank + 1} of {workers}: {counts.asked} asked, "
                f"{counts.done_before} done before, {counts.failed} failed, {counts.broken} "
                "not built",
                err=True,
            )
    return folders


def _do(job: _Job) -> tuple[Path, RunCounts]:
    from leopard.evaluation.runner import manifest, run
    from leopard.evaluation.tasks import get_task

    task = get_task(job.task)
    subject = _subject(job.choice, job.task, job.data)
    identity = manifest(task, job.data, subject, job.settings, 0)["identity"]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
    folder = job.runs / f"{job.run}-{digest[:12]}"
    return folder, run(task, job.data, subject, folder, job.settings)


@lru_cache(maxsize=1)
def _subject(choice: Choice, task: str, data: Path) -> Subject:
    # Models do not look at task and data; rules draw from them.
    return make_subject(choice, task, data) if choice.baseline else _model_subject(choice)


@lru_cache(maxsize=1)
def _model_subject(choice: Choice) -> Subject:
    return make_subject(choice, "", Path())


def _write(
    suite: SuiteSettings,
    results: dict[str, Any],
    folders: Mapping[str, Path],
    places: Mapping[str, Path],
    out: Path,
) -> list[Path]:
    from leopard.evaluation.suite.pages import html, markdown, table
    from leopard.schema.files import write_text_atomically

    out.mkdir(parents=True, exist_ok=True)
    pages = {
        "results.json": json.dumps(results, indent=1, ensure_ascii=False) + "\n",
        "results.csv": table(results),
        "README.md": markdown(results),
        "report.html": html(results, _gallery(suite, folders, places)),
    }
    for name, text in pages.items():
        write_text_atomically(out / name, text)
    return [out / name for name in pages]


def _gallery(
    suite: SuiteSettings, folders: Mapping[str, Path], places: Mapping[str, Path]
) -> list[Entry]:
    from leopard.evaluation.report.gallery import entries
    from leopard.evaluation.report.pages import load_run

    found: list[Entry] = []
    for name, folder in folders.items():
        entry = suite.runs[name]
        if not entry.gallery or not suite.sets[entry.data].in_gallery:
            continue
        run = load_run(folder)
        shown = partial(entries, run.task, run.records, places[entry.data], entry.view)
        label = f"{suite.models[entry.model].title}, {entry.title}"
        found += [replace(e, label=label) for e in shown(entry.gallery, max_pages=GALLERY_PAGES)]
    return found
