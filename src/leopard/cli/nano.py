"""`leopard nano`: train the small model that comes with the package, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leopard.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("nano")(nano)


def nano(
    folder: Annotated[Path, typer.Argument(help="Where checkpoints and the model are kept.")],
    stage: Annotated[
        list[str] | None,
        typer.Option(help="Only these stages; all in order by default. See the help above."),
    ] = None,
    share: Annotated[
        float, typer.Option(help="Share of the steps of each stage, for trials.", min=0.0, max=1.0)
    ] = 1.0,
    start: Annotated[
        Path | None,
        typer.Option(help="Model folder whose encoder, or a part, the stage reader begins with."),
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Cores for learning; pages are made by one more process.", min=1)
    ] = 1,
    pack: Annotated[
        Path | None,
        typer.Option(help="Only write the stages' checkpoints small into this folder."),
    ] = None,
    unpack: Annotated[
        Path | None,
        typer.Option(help="Before training take the checkpoints that --pack wrote there."),
    ] = None,
) -> None:
    """Train the small model from nothing, about 8 hours on two cores, or go on where it stopped.

    Stages: reader, meaning, model. The first two write a checkpoint every few minutes and go on
    from it; they may run at the same time, in two processes, as `make nano` does. The result is
    the folder `model`. --pack and --unpack carry a training to another computer.
    """
    try:
        from leopard.training.nano import recipe
    except ImportError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'leopard[dev]'") from error
    from leopard.cli._nano_pages import ReadingPages

    if start is not None and not (start / "model.safetensors").is_file():
        raise ConfigError(f"--start {start} has no model.safetensors; give a model folder")
    unknown = [name for name in stage or () if name not in recipe.STAGES]
    if unknown:
        raise ConfigError(f"stage {unknown[0]!r} is unknown; use one of {', '.join(recipe.STAGES)}")
    if pack is not None:
        typer.echo(f"packed {', '.join(recipe.pack(folder, pack))}: {pack}")
        return
    if unpack is not None:
        typer.echo(f"unpacked {', '.join(recipe.unpack(unpack, folder))}", err=True)
    import torch

    torch.set_num_threads(threads)
    for name in stage or recipe.STAGES:
        typer.echo(f"stage {name}", err=True)
        recipe.run_stage(name, ReadingPages(), folder, _say, share=share, start=start)
    typer.echo(f"done: {folder}")


def _say(stage: str, figures: dict[str, float]) -> None:
    line = "  ".join(f"{name} {value:g}" for name, value in figures.items())
    typer.echo(f"{stage}: {line}", err=True)
