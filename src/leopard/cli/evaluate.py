"""`leopard evaluate`: score a model on a benchmark, score again, compare, report.

Puts tasks, generators and reports together; holds no logic of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leopard.cli import _options as options
from leopard.cli._workers import NAMES, executor_of
from leopard.cli.evaluate_parts import BASELINES, Choice, make_subject
from leopard.cli.evaluate_suite import suite
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.evaluation.runner import RunCounts, RunSettings
    from leopard.executors.local import LocalExecutor
    from leopard.executors.ray import RayExecutor


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Score a model on benchmarks; compare and report runs."
    )
    group.command("run")(run)
    group.command("suite")(suite)
    group.command("list")(list_tasks)
    group.command("rescore")(rescore)
    group.command("compare")(compare)
    group.command("report")(report)
    group.command("leaderboard")(leaderboard)
    app.add_typer(group, name="evaluate")


def run(
    task: Annotated[str, typer.Argument(help="Task; see `leopard evaluate list`.")],
    data: Annotated[Path, typer.Argument(help="Your copy of the data: a folder or a zip.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    model: options.Model = None,
    policy: options.Policy = None,
    max_crops: options.MaxCrops = None,
    max_tiles: Annotated[
        int | None, typer.Option(min=1, help="Most tiles of a page; 1 leaves thumbnails only.")
    ] = None,
    on_too_many: options.OnTooMany = None,
    server: options.Server = None,
    server_model: Annotated[str | None, typer.Option(help="Name of the server's model.")] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 8,
    replay: Annotated[
        Path | None, typer.Option(help="Answers from the log of an earlier run.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help=f"Instead of a model: {', '.join(BASELINES)}.")
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            help="What is shown: full, blind, question-only, first-page, shuffled, oracle."
        ),
    ] = "full",
    preset: Annotated[str, typer.Option(help="Instruction: direct, cot or none.")] = "direct",
    resolution: Annotated[
        str,
        typer.Option(help="Pages without pixels are drawn as the model wants, or as the data say."),
    ] = "model",
    ask_pages: Annotated[
        bool, typer.Option("--ask-pages", help="Ask for the evidence pages too.")
    ] = False,
    max_new_tokens: options.MaxNewTokens = 128,
    batch_size: options.BatchSize = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    rank: Annotated[int, typer.Option(help="Number of this worker, from 0.")] = 0,
    world: Annotated[int, typer.Option(help="Number of workers that share the samples.")] = 1,
    executor: Annotated[
        str, typer.Option(help="Who asks: local (processes), ray, or rank (a job array).")
    ] = "local",
    workers: options.Workers = 1,
    address: options.Address = None,
    gpus: options.Gpus = 0,
    cache: Annotated[Path | None, typer.Option(help="Folder of answers to use again.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Score a model on a task. A run that was interrupted goes on with the same command.

    Scores depend on the answers alone: not on executor, workers, batch size or order.

    Example: leopard evaluate run mpdocvqa data/mpdocvqa --out runs/mp --workers 4

    SLURM: --executor rank --rank $SLURM_ARRAY_TASK_ID --world $SLURM_ARRAY_TASK_COUNT
    """
    from leopard.evaluation.runner import RunSettings

    settings = RunSettings(
        preset=preset,
        view=view,
        resolution=resolution,
        ask_pages=ask_pages,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        limit=limit,
        rank=rank,
        world=world,
    )
    choice = Choice(
        model=model,
        policy=policy,
        max_crops=max_crops,
        max_tiles=max_tiles,
        on_too_many=on_too_many,
        server=server,
        server_model=server_model,
        api_key_env=api_key_env,
        concurrency=concurrency,
        replay=replay,
        baseline=baseline,
        batch_size=batch_size,
    )
    if executor == "local" and workers == 1:
        counts = _run(task, data, out, choice, settings, cache, quiet)
    else:
        work = partial(_run_quietly, task, data.resolve(), out.resolve(), choice, cache=cache)
        runner = executor_of(executor, workers, address, gpus, (*NAMES, "rank"))
        counts = _run_shared(work, runner, settings, workers, quiet)
    typer.echo(
        f"{counts.asked} samples asked, {counts.done_before} done before, {counts.failed} failed, "
        f"{counts.broken} could not be built",
        err=True,
    )
    if rank == 0 or world == 1:
        _print_scores(out)


def _run(
    name: str,
    data: Path,
    out: Path,
    choice: Choice,
    settings: RunSettings,
    cache: Path | None,
    quiet: bool,
) -> RunCounts:
    from leopard.evaluation.cache import AnswerCache
    from leopard.evaluation.runner import run as run_task
    from leopard.evaluation.tasks import get_task

    task = get_task(name)
    answers = AnswerCache(cache) if cache else None
    subject = make_subject(choice, name, data, answers)
    if quiet:
        return run_task(task, data, subject, out, settings)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(task.title, total=None)
        show: Callable[[int, int], None] = lambda done, total: bar.update(  # noqa: E731
            row, completed=done, total=total
        )
        return run_task(task, data, subject, out, settings, show)


def _run_quietly(
    name: str,
    data: Path,
    out: Path,
    choice: Choice,
    settings: RunSettings,
    cache: Path | None,
) -> RunCounts:
    return _run(name, data, out, choice, settings, cache, True)


def _run_shared(
    work: Callable[..., RunCounts],
    executor: LocalExecutor | RayExecutor,
    settings: RunSettings,
    workers: int,
    quiet: bool,
) -> RunCounts:
    """Share this rank's samples among workers; what each did, summed."""
    from leopard.cli._progress import progress
    from leopard.evaluation.runner import RunCounts

    units = [
        replace(settings, rank=settings.rank * workers + n, world=settings.world * workers)
        for n in range(workers)
    ]
    counts: list[RunCounts] = []
    with nullcontext(lambda _: None) if quiet else progress("workers", len(units)) as advance:
        for _, done in executor.map(partial(_with_settings, work), units):
            counts.append(done)
            advance(1)
    return RunCounts(
        done_before=min(one.done_before for one in counts),
        asked=sum(one.asked for one in counts),
        failed=sum(one.failed for one in counts),
        broken=sum(one.broken for one in counts),
    )


def _with_settings(work: Callable[..., RunCounts], settings: RunSettings) -> RunCounts:
    return work(settings=settings)


def _print_scores(folder: Path) -> None:
    from leopard.evaluation.report.pages import load_run, markdown

    typer.echo(markdown([load_run(folder)]))


def list_tasks() -> None:
    """Tasks, their scorers, and where to get their data."""
    from rich.console import Console
    from rich.table import Table

    from leopard.evaluation.tasks import TASK_NAMES, get_task

    table = Table("task", "benchmark", "scorers", "files and source", show_lines=True)
    for name in TASK_NAMES:
        task = get_task(name)
        files = f"{task.expects}. {task.where}"
        table.add_row(name, f"{task.title} ({task.split})", ", ".join(task.scorers), files)
    Console().print(table)


def rescore(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Make all scores of a run again from the recorded responses; needs neither model nor data."""
    from leopard.evaluation.records import read_manifest, read_records, write_merged
    from leopard.evaluation.scoring import rescored
    from leopard.evaluation.tasks import get_task

    task = get_task(str(read_manifest(run_folder)["task"]))
    records = read_records(run_folder)
    fresh = rescored(task, records)
    changed = sum(a["scores"] != b["scores"] for a, b in zip(records, fresh, strict=True))
    write_merged(run_folder, fresh)
    typer.echo(f"{changed} of {len(fresh)} samples score differently now", err=True)
    _print_scores(run_folder)


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of run A.")],
    second: Annotated[Path, typer.Argument(help="Folder of run B.")],
) -> None:
    """Compare two runs on the same samples: difference, interval over documents, sign test."""
    from leopard.evaluation.report.pages import load_run
    from leopard.evaluation.statistics import compare as compare_records

    ours, theirs = load_run(first), load_run(second)
    if ours.task.name != theirs.task.name:
        raise ConfigError(
            f"the runs are of {ours.task.name} and {theirs.task.name}; compare runs of one task"
        )
    typer.echo(f"A: {ours.manifest['model']} ({first})\nB: {theirs.manifest['model']} ({second})\n")
    typer.echo("| scorer | A | B | B - A | 95 % interval | better | worse | p |")
    typer.echo("|---|--:|--:|--:|---|--:|--:|--:|")
    other_images = 0
    for name in ours.task.scorers:
        found = compare_records(ours.task, ours.records, theirs.records, name)
        gap = found.difference
        other_images = found.other_images
        typer.echo(
            f"| {name} | {100 * found.first:.2f} | {100 * found.second:.2f} | "
            f"{100 * gap.value:+.2f} | {100 * gap.low:+.2f} to {100 * gap.high:+.2f} | "
            f"{found.better} | {found.worse} | {found.p_value:.3f} |"
        )
    if other_images:
        typer.echo(f"\n{other_images} samples were shown other images in the two runs.")


def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    data: Annotated[Path | None, typer.Option(help="Your copy, if it has moved.")] = None,
    gallery: Annotated[int, typer.Option(min=0, help="Most samples in the gallery.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: RUN.")] = None,
) -> None:
    """Write report.html (tables, plots, gallery of errors), report.md and records.csv."""
    from leopard.evaluation.report.pages import write_report

    for file in write_report(run_folder, data=data, gallery=gallery, out=out):
        typer.echo(str(file))


def leaderboard(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of runs to add.")] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("leaderboard.html"),
) -> None:
    """Write one page with the paper's scores, today's records, and your runs beside them."""
    from leopard.evaluation.report.pages import write_leaderboard

    typer.echo(str(write_leaderboard(runs or [], out)))
