"""`leopard train`: train a model, count what it would take, or write a recipe for a cluster.

Only wires parts together; the work is done in `leopard.training`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leopard.training.estimate import Estimate, Load, Machine
    from leopard.training.settings import TrainSettings

GIB = 2**30


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("train", no_args_is_help=True)(train)


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="TOML file, or a preset: leopard-llava, leopard-llava-stage1, leopard-idefics2, "
            "lora, tiny."
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Shards, or a .jsonl list of files with questions. Repeat."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model to start from; sets model.start.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override: --set optimizer.lr=1e-4")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the earlier run in the folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count weights, memory and FLOPs, and stop.")
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(help="With --dry-run: count leopard-llava or leopard-idefics2."),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="With --dry-run: devices.")] = 1,
    tflops: Annotated[
        float, typer.Option(min=0, help="With --dry-run: peak of a device; A100: 312.")
    ] = 312.0,
    recipe: Annotated[
        Path | None, typer.Option(help="Write a SLURM/torchrun recipe here, and stop.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="With --recipe: machines.")] = 8,
    gpus_per_node: Annotated[int, typer.Option(help="With --recipe: GPUs of each.")] = 8,
    time: Annotated[str, typer.Option(help="With --recipe: time limit.")] = "24:00:00",
) -> None:
    """Train a model. The same command goes on with a run that was stopped.

    Under torchrun the model is sharded over all processes.

    Example: leopard train lora --data my-files.jsonl --out runs/mine
    """
    settings = _settings(config, data or [], (model, out), overrides or [])
    if recipe is not None:
        from leopard.training.recipe import Cluster, write_recipe

        cluster = Cluster(nodes=nodes, gpus_per_node=gpus_per_node, time=time)
        for path in write_recipe(recipe, settings, cluster):
            typer.echo(str(path))
        return
    if dry_run:
        from leopard.training.estimate import Machine

        _count(settings, size, Machine(devices=devices, tflops=tflops))
        return
    _train(settings, restart)


def _settings(
    config: str, data: list[Path], named: tuple[str | None, Path | None], overrides: list[str]
) -> TrainSettings:
    from leopard.training.settings import read_settings

    model, out = named
    first = []
    if data:
        sources = ", ".join(f"{{path={json.dumps(str(path))}}}" for path in data)
        first.append(f"data.sources=[{sources}]")
    if model is not None:
        first.append(f"model.start={json.dumps(model)}")
    if out is not None:
        first.append(f"out={json.dumps(str(out))}")
    return read_settings(config, [*first, *overrides])


def _train(settings: TrainSettings, restart: bool) -> None:
    from leopard.curation.pixels import draw
    from leopard.training.trainer import train as run

    result = run(settings, draw=draw, restart=restart)
    if os.environ.get("RANK", "0") != "0":
        return
    loss = "" if result.loss is None else f", last loss {result.loss:.4f}"
    typer.echo(f"{result.steps} of {result.total} steps done{loss}")
    for reason, count in result.left_out.items():
        typer.echo(f"{count} samples: {reason}")
    if result.model is None:
        typer.echo("stopped; the same command goes on")
        return
    typer.echo(f"model: {result.model}")
    typer.echo(f'ask it: leopard ask --model {result.model} FILE "QUESTION"')


def _count(settings: TrainSettings, size: str | None, machine: Machine) -> None:
    from leopard.training.estimate import estimate, read_start_config

    load, steps = _load(settings, measured=size is None)
    config = read_start_config(settings, size)
    _print(estimate(settings, config, machine, load, steps), machine)


def _load(settings: TrainSettings, *, measured: bool) -> tuple[Load, int]:
    """What samples take and how many steps there are; without data, the most there may be."""
    from leopard.curation.pixels import draw
    from leopard.errors import ConfigError
    from leopard.training.estimate import fullest_load, measure_load
    from leopard.training.feed import StepPlanner
    from leopard.training.trainer import open_encoder, open_sources

    if measured and settings.data.sources:
        encoder = open_encoder(settings)
        planner = StepPlanner(open_sources(settings, encoder, draw), encoder, settings)
        return measure_load(planner), planner.total_steps
    if settings.steps is None:
        raise ConfigError(
            "the number of steps is not known without data; give it: --set steps=10000"
        )
    return fullest_load(settings), settings.steps


def _print(found: Estimate, machine: Machine) -> None:
    typer.echo("weights            number      trained")
    for part, count in found.weights.items():
        typer.echo(f"  {part:15} {count:>13,} {found.trained[part]:>13,}")
    total, trained = sum(found.weights.values()), sum(found.trained.values())
    typer.echo(f"  {'all':15} {total:>13,} {trained:>13,}")
    typer.echo(f"memory of each of {machine.devices} devices at the fullest pass, GiB")
    for use, size in found.memory.items():
        typer.echo(f"  {use:17} {size / GIB:8.2f}")
    typer.echo(f"  {'all':17} {found.total_memory / GIB:8.2f}   without kernels' workspace")
    load = found.load
    origin = f"mean of {load.measured}" if load.measured else "the most that settings allow"
    typer.echo(
        f"a sample: {load.tokens_per_sample:,.0f} tokens, {load.crops_per_sample:,.1f} crops "
        f"({origin})"
    )
    typer.echo(
        f"{found.steps:,} steps of {found.flops_per_step:.3g} FLOPs: {found.hours:,.1f} hours, "
        f"{found.device_hours:,.0f} device hours at {machine.tflops:g} TFLOP/s x "
        f"{machine.utilisation:.0%}"
    )
