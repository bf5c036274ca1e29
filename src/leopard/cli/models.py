"""`leopard models`: which models can be used without network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("models")(models)


def models(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders with models, to be looked through too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List shipped and downloaded models: size, image layout, allocation policy."""
    from leopard.inference.loading import list_models

    found = list_models(tuple(folders or ()))
    if as_json:
        records = [
            {
                "name": info.name,
                "folder": str(info.folder),
                "kind": info.kind,
                "parameters": info.num_parameters,
                "bytes": info.num_bytes,
                "crop_size": info.crop_size,
                "layout": info.layout,
                "policy": info.policy,
            }
            for info in found
        ]
        typer.echo(json.dumps(records, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold")
    for title in ("Model", "Kind", "Weights", "Size", "Crop", "Layout", "Policy"):
        table.add_column(title, overflow="fold")
    for info in found:
        table.add_row(
            escape(info.name),
            info.kind,
            f"{info.num_parameters / 1e6:,.1f} M",
            f"{info.num_bytes / 2**20:,.1f} MB",
            f"{info.crop_size} px",
            info.layout,
            info.policy,
        )
    console = Console()
    console.print(table)
    if not found:
        console.print("No model is here; name one by folder or hub name with --model.")
