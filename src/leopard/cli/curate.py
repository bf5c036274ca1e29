"""`leopard curate`: make, check and look at instruction data.

Only wires parts together; the work is done in `leopard.curation`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Make instruction data: documents from facts, questions with proven answers.",
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the shards.")]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Settings that ship with leopard: nano, smoke.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings of your own.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override one setting: --set max_pages=2")
]


def register(parent: typer.Typer) -> None:
    """Add the `curate` commands to the command line."""
    parent.add_typer(app, name="curate")


@app.command()
def synth(
    out: Out,
    preset: PresetName = None,
    config: ConfigFile = None,
    samples: Annotated[int, typer.Option(help="Number of samples.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Another seed, other samples.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    shard_size: Annotated[int, typer.Option(help="Samples per shard.")] = 500,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    overrides: Overrides = None,
) -> None:
    """Make synthetic documents with proven questions, as vector shards.

    Runs again where it stopped: finished shards are kept, the others are made anew.

    Example: leopard curate synth --preset nano --out data/nano --samples 20000 --workers 2
    """
    from leopard.cli.curate_parts import progress, settings_of, split_of
    from leopard.curation.executors.local import LocalExecutor
    from leopard.curation.plan import Plan, save_plan
    from leopard.curation.work import make_shard

    plan = Plan(
        settings=settings_of(preset, config, overrides or [], seed),
        num_samples=samples,
        shard_size=shard_size,
        split=split_of(split),
    )
    save_plan(plan, out)
    done = set(plan.finished(out))
    todo = [unit for unit in plan.units if unit not in done]
    with progress("samples", plan.num_samples) as advance:
        advance(sum(unit.stop - unit.start for unit in done))
        for _, rows in LocalExecutor(workers).map(partial(make_shard, plan, folder=out), todo):
            advance(rows)
    typer.echo(f"{plan.num_samples} samples in {len(plan.units)} shards: {out}")
