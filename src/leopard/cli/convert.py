"""`leopard convert`: published checkpoint folders into ours, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from leopard.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("convert", no_args_is_help=True)(convert)


def convert(
    source: Annotated[
        Path,
        typer.Argument(help="Checkpoint folder: safetensors or pytorch_model*.bin, any names."),
    ],
    target: Annotated[Path, typer.Argument(help="Folder to make; must not exist.")],
    to: Annotated[
        str, typer.Option(help="leopard for our folders, published for the released names.")
    ] = "leopard",
    image_token: Annotated[
        int | None,
        typer.Option(help="Id of the placeholder, when the files contradict each other."),
    ] = None,
    shard_mb: Annotated[int, typer.Option(min=1, help="Most megabytes in one file.")] = 4096,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
) -> None:
    """Convert a checkpoint folder; everything is checked before anything is written."""
    if to not in ("leopard", "published"):
        raise ConfigError(f"--to is {to!r}; use leopard or published")
    from rich.console import Console
    from rich.progress import Progress

    from leopard.inference.loading import convert_folder

    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    with Progress(
        console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        bar = progress.add_task("Converting", total=None)

        def show(_: str, number: int, total: int) -> None:
            progress.update(bar, completed=number, total=total)

        options: dict[str, Any] = {"max_shard_bytes": shard_mb * 2**20, "progress": show}
        report = convert_folder(
            source,
            target,
            to="published" if to == "published" else "leopard",
            image_token_id=image_token,
            **options,
        )
    console.print(
        f"{target}: {report.model_type}, {report.num_tensors} tensors, "
        f"{report.num_parameters:,} weights, image token {report.image_token_id}, "
        f"tokenizer {report.tokenizer_family}"
    )
    if report.skipped:
        console.print(f"Left out: {len(report.skipped)} tensors that the model does not use.")
