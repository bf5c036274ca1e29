"""`leopard curate convert`: published sources from local copies into pixel shards.

Only wires parts together; the work is done in `leopard.curation.converters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.errors import ConfigError, LeopardError

if TYPE_CHECKING:
    from leopard.curation.converters.running import ConvertList, ConvertReport, ConvertSettings
    from leopard.curation.converters.source import Converter


def convert(
    source: Annotated[
        str | None, typer.Argument(help="Name of a source; see them with --list.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--input", help="Folder with the unpacked files of the source.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the shards.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file for several sources, in place of SOURCE."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the sources, or one of them.")] = False,
    split: Annotated[str | None, typer.Option(help="train, val or test.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of pairings, cuts and looks.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most samples of a source; all by default.")
    ] = None,
    shard_size: Annotated[int | None, typer.Option(help="Samples per shard; 500.")] = None,
    rationales: Annotated[
        bool | None,
        typer.Option(
            "--rationales/--no-rationales",
            help="State the reasoning of the source before the answer; yes by default.",
        ),
    ] = None,
    assemble: Annotated[
        bool | None,
        typer.Option(
            "--assemble/--no-assemble",
            help="Put single images together as the paper does; yes by default.",
        ),
    ] = None,
) -> None:
    """Convert local copies of published sources; bad records are counted by reason.

    Nothing is downloaded. The same copy and seed give the same shards byte for byte; a conversion
    that was stopped is started again with the same command.

    Example: leopard curate convert chartqa --input ~/ChartQA --out data/chartqa

    Several sources: leopard curate convert --config configs/convert.toml --out data/converted
    """
    if show:
        _list(source)
        return
    given = {
        "split": split,
        "seed": seed,
        "limit": limit,
        "shard_size": shard_size,
        "rationales": rationales,
        "assemble": assemble,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    if out is None or (config is None and (source is None or folder is None)):
        raise ConfigError(
            "give SOURCE, --input and --out, or --config and --out; "
            "`leopard curate convert --list` names the sources"
        )
    if config is None:
        assert source is not None
        assert folder is not None
        _convert_one(source, folder, out, _settings(overrides))
        return
    if source is not None or folder is not None:
        raise ConfigError("give either SOURCE with --input, or --config")
    _convert_list(_read_list(config, overrides), out, config.parent)


def _settings(overrides: dict[str, Any]) -> ConvertSettings:
    from leopard.config import build
    from leopard.curation.converters.running import ConvertSettings

    return build(ConvertSettings, overrides, origin="command line")


def _read_list(config: Path, overrides: dict[str, Any]) -> ConvertList:
    from leopard.config import build, load, merge
    from leopard.curation.converters.running import ConvertList

    values = load(ConvertList, config).model_dump(mode="json")
    return build(ConvertList, merge(values, overrides), origin="command line")


def _convert_list(sources: ConvertList, out: Path, base: Path) -> None:
    """All sources of a list; one that cannot be read does not hold up the others."""
    from leopard.curation.converters import get_converter
    from leopard.curation.converters.running import ConvertSettings

    for name in sources.sources:
        get_converter(name)
    settings = ConvertSettings.model_validate(sources.model_dump(exclude={"sources"}))
    failed: dict[str, LeopardError] = {}
    for name, folder in sources.sources.items():
        try:
            _convert_one(name, base / folder.expanduser(), out / name, settings)
        except LeopardError as error:
            failed[name] = error
            typer.echo(f"{name}: {error}", err=True)
    if failed:
        raise ConfigError(f"not converted: {', '.join(failed)}; the reasons are above")


def _convert_one(name: str, folder: Path, out: Path, settings: ConvertSettings) -> None:
    from leopard.curation.converters import get_converter
    from leopard.curation.converters.running import convert_into

    converter = get_converter(name)
    with _counting(name, settings.limit) as advance:
        report = convert_into(converter, folder, out, settings, advance)
    _tell(report, converter, out)


@contextmanager
def _counting(name: str, limit: int | None) -> Iterator[Callable[[int], None]]:
    """A bar of samples; how many there will be is known only with a limit."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), name, MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    # Rich leaves an empty line where nothing can be drawn over.
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("samples", total=limit)
        yield lambda count: bar.advance(task, count)


def _list(source: str | None) -> None:
    """Print what is read from where; in full for a single source."""
    from leopard.curation.converters import SOURCES, get_converter

    if source is None:
        for converter in map(get_converter, SOURCES):
            typer.echo(f"{converter.name:20} {converter.domain:9} {converter.licence}")
        typer.echo("\nleopard curate convert SOURCE --list says where to get one.")
        return
    converter = get_converter(source)
    low, high = converter.assemble or (0, 0)
    together = f"{low} to {high}" if low != high else str(low)
    typer.echo(f"{converter.title} ({converter.domain})")
    typer.echo(f"  get it:   {converter.where}")
    typer.echo(f"  files:    {converter.expects}")
    typer.echo(f"  licence:  {converter.licence}. {converter.terms}".rstrip())
    typer.echo(f"  cite:     {converter.citation}")
    if converter.assemble:
        typer.echo(f"  together: {together} images in a sample")
    if not converter.verified:
        typer.echo("  The layout could not be checked against the source: try --limit first.")


def _tell(report: ConvertReport, converter: Converter, out: Path) -> None:
    typer.echo(
        f"{report.num_samples} samples ({report.num_multi_image} with several images), "
        f"{report.num_images} images, {report.num_questions} questions: {out}"
    )
    for reason, count in report.rejects.most_common():
        typer.echo(f"{count:8}  left out: {reason}")
    typer.echo(f"Licence: {converter.licence}. {converter.terms}".rstrip())
