"""`leopard index`: reads documents once, so that later questions about them start at once."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.cli import _options as options
from leopard.cli._reading import look_at, looking, make_console, read_pages, waiting

if TYPE_CHECKING:
    from rich.console import Console

    from leopard.inference.leopard import Leopard
    from leopard.schema.pages import Page

BAD_INPUT = 2


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("index", no_args_is_help=True)(index)


def index(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Documents that are asked about together."),
    ],
    model: options.Model = None,
    pages: options.Pages = "",
    password: options.Password = None,
    policy: options.Policy = None,
    max_crops: options.MaxCrops = None,
    on_too_many: options.OnTooMany = None,
    folder: Annotated[
        Path | None,
        typer.Option("--index", help="Where to write. Default: LEOPARD_INDEX or the user's cache."),
    ] = None,
    device: options.Device = None,
    weights: options.Weights = None,
    engine: options.LocalEngine = None,
    max_pages: options.MaxPages = None,
    max_megapixels: options.MaxMegapixels = None,
    max_megabytes: options.MaxMegabytes = None,
    max_seconds: options.MaxSeconds = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Read documents into an index on disk. `leopard ask` about the same files then starts at once.

    The index belongs to the weights, the settings and the order of the files: ask with the same.
    """
    from leopard.inference.disk_store import default_folder
    from leopard.inference.engine import EngineOptions
    from leopard.inference.leopard import Leopard

    console = make_console(quiet or as_json)
    with waiting(console, "Loading the model"):
        leopard = Leopard.from_pretrained(
            model,
            device=device,
            weights=weights,
            engine=engine,
            options=EngineOptions(index=folder or default_folder(), index_writes=True),
            processor_settings=options.processor_settings(policy, max_crops, on_too_many),
        )
    limits = options.limits(max_pages, max_megapixels, max_megabytes, max_seconds)
    how = leopard.load_options(pages=pages, password=password, limits=limits)
    read, record = look_at(
        read_pages(files, how, console), lambda read: _remember(leopard, read.pages, console)
    )
    record["skipped"] = dict(read.skipped)
    record["failures"] = [str(failure) for failure in read.failures]
    typer.echo(json.dumps(record, indent=2) if as_json else _sentence(record))
    for failure in read.failures:
        typer.echo(f"leopard: {failure}", err=True)
    if read.failures:
        raise typer.Exit(BAD_INPUT)


def _remember(leopard: Leopard, pages: list[Page], console: Console) -> dict[str, Any]:
    begin = time.perf_counter()
    session = leopard.open_pages(pages)
    with looking(console, len(pages), session.num_chunks) as watch:
        positions = leopard.generator.remember(session.request("?"), watch=watch)
    store = leopard.generator.index
    assert store is not None
    return {
        "index": str(store.folder),
        "pages": len(pages),
        "prompt_positions": positions,
        "seconds": round(time.perf_counter() - begin, 2),
        "bytes": store.num_bytes(),
        "entries": asdict(store.stats),
    }


def _sentence(record: dict[str, Any]) -> str:
    entries = record["entries"]
    lines = [
        f"{record['pages']} pages, {record['prompt_positions']} prompt positions, "
        f"{record['seconds']} s",
        f"Entries: {entries['written']} written, {entries['read']} were there",
        f"Index: {record['index']}, {record['bytes'] / 2**20:.1f} MiB",
    ]
    if entries["damaged"]:
        lines.append(f"Damaged: {entries['damaged']} entries, made again")
    if entries["dropped"]:
        lines.append(f"Dropped: {entries['dropped']} entries used longest ago, the index was full")
    lines += [f"Skipped: {number} ({reason})" for reason, number in record["skipped"].items()]
    return "\n".join(lines)
