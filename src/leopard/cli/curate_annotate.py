"""`leopard curate annotate`: questions and reasoning by a language model, checked.

Only wires parts together; the work is done in `leopard.curation.annotation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leopard.cli.curate import Overrides, app
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from leopard.curation.annotation.ledger import Ledger
    from leopard.curation.annotation.running import Annotation, Report
    from leopard.curation.annotation.tally import Tally


@app.command()
def annotate(
    folder: Annotated[Path, typer.Argument(help="Folder of shards, or one shard.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the annotated shards.")],
    config: Annotated[Path, typer.Option("--config", help="TOML file: jobs, models, prices.")],
    cap: Annotated[
        float | None,
        typer.Option(min=0, help="Most US dollars to spend in all, runs before included."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="File of paid answers; OUT/annotation-cache.sqlite.")
    ] = None,
    overrides: Overrides = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one feeds many requests.")] = 1,
    executor: Annotated[str, typer.Option(help="local or rank.")] = "local",
    rank: Annotated[int, typer.Option(help="With --executor rank: number of this rank.")] = 0,
    world: Annotated[int, typer.Option(help="With --executor rank: number of ranks.")] = 1,
) -> None:
    """Let a model behind an OpenAI-compatible server add to samples; only what is proven is kept.

    Jobs: paraphrase (another wording, same numbers and names), rationale (reasoning that ends in
    the known answer), questions (new ones with a program that is executed on the facts and on the
    page), judge (a second model's verdict).

    Money is reserved before each request, so the cap holds whatever is in flight. Every paid answer
    is kept in a cache: stopped at any time, also by SIGKILL, the same command goes on and pays for
    no answer twice. Ranks share nothing: each has a cache of its own and its part of the cap.

    Example: leopard curate annotate data/nano --config configs/annotate.toml --out data/nano-llm
    """
    from leopard.config import load
    from leopard.curation.annotation.running import Annotation, prepare
    from leopard.curation.annotation.settings import AnnotateSettings

    extra = [*(overrides or []), *([] if cap is None else [f"cap_usd={cap!r}"])]
    settings = load(AnnotateSettings, config, extra)
    paid = cache or out / "annotation-cache.sqlite"
    if executor == "rank":
        paid = paid.with_name(f"{paid.stem}-{rank}-of-{world}{paid.suffix}")
        settings = settings.model_copy(update={"cap_usd": settings.cap_usd / world})
    elif executor != "local":
        raise ConfigError(
            f"executor {executor!r} is unknown; use local or rank: the cap is held by one file "
            "per computer"
        )
    annotation = Annotation(settings=settings, source=folder, target=out, cache=paid)
    prepare(annotation)
    _run(annotation, workers, (rank, world) if executor == "rank" else (0, 1))


def _run(annotation: Annotation, workers: int, place: tuple[int, int]) -> None:
    from functools import partial

    from leopard.cli._progress import progress
    from leopard.curation.annotation.ledger import Ledger
    from leopard.curation.annotation.running import Report, annotate_shard, stored_tally
    from leopard.executors.local import LocalExecutor
    from leopard.executors.rank import RankExecutor
    from leopard.schema.shards import read_info

    own = RankExecutor(*place)
    names = annotation.shards()
    mine = set(names[own.rank :: own.world])
    todo = [name for name in annotation.unfinished() if name in mine]
    rows = {name: read_info(annotation.read(name)).rows for name in todo}
    total = Report()
    try:
        with progress("samples", sum(rows.values())) as advance:
            tell = advance if workers == 1 else (lambda _: None)
            work = partial(annotate_shard, annotation)
            if workers == 1:
                work = partial(annotate_shard, annotation, on_sample=tell)
            for name, report in LocalExecutor(workers).map(work, todo):
                total.add(report)
                advance(0 if workers == 1 else rows[name])
    finally:
        ledger = Ledger(annotation.cache, annotation.settings.cap_usd)
        _tell(total, stored_tally(annotation.target), ledger)
        ledger.close()
        left = len(annotation.unfinished())
        typer.echo(f"{len(names) - left} of {len(names)} shards in {annotation.target}")


def _tell(report: Report, tally: Tally, ledger: Ledger) -> None:
    """Counts of all finished shards, then what this run sent, then the money."""
    for job, count in sorted(tally.accepted.items()):
        typer.echo(f"{count:8}  accepted {job}")
    for reason, count in tally.rejected.most_common():
        typer.echo(f"{count:8}  rejected {reason}")
    traffic = report.traffic
    typer.echo(f"{traffic.sent} requests sent, {traffic.from_cache} answered from the cache")
    for failure, count in traffic.failures.most_common(8):
        typer.echo(f"{count:8}  {failure}")
    money = ledger.money()
    typer.echo(f"{money.spent_usd:.4f} USD spent in all, the cap is {ledger.cap / 1e9:.2f}")
