"""`leopard assemble`: a vision encoder and a language model become a model for stage 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("assemble", no_args_is_help=True)(assemble)


def assemble(
    vision: Annotated[str, typer.Argument(help="Vision encoder: folder or hub name.")],
    language: Annotated[str, typer.Argument(help="Language model: folder or hub name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    image_token: Annotated[
        str, typer.Option(help="Spare token of the tokenizer that stands for a visual token.")
    ] = "<|reserved_special_token_195|>",
    seed: Annotated[int, typer.Option(help="Seed of the connector.")] = 0,
) -> None:
    """Put a vision encoder and a language model together, to begin `leopard train` with.

    The connector between them knows nothing yet; stage 1 trains it.
    """
    from leopard.training.assembly import assemble_start

    model = assemble_start(vision, language, out, image_token=image_token, seed=seed)
    typer.echo(f"{out}: {model.num_parameters():,} weights, connector untrained")
