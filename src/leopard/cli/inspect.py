"""`leopard inspect`: how pages become crops, as a table, as JSON or as a picture. Runs no model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.cli import _options as options
from leopard.cli._reading import make_console, waiting
from leopard.errors import ConfigError, DocumentError, LeopardError
from leopard.schema.geometry import ImageSize

if TYPE_CHECKING:
    from PIL.Image import Image

    from leopard.documents import Limits
    from leopard.processor.crops import CropPlan
    from leopard.processor.settings import ProcessorSettings

BAD_INPUT = 2


@dataclass(frozen=True, kw_only=True)
class _Pages:
    """What is inspected, before and after a choice among too many."""

    labels: list[str]
    sizes: list[ImageSize]
    images: list[Image] | None
    failures: list[DocumentError]
    skipped: dict[str, int]
    dropped: list[str]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("inspect", no_args_is_help=True)(inspect)


def inspect(
    files: Annotated[
        list[str] | None, typer.Argument(help="Documents, images, folders or globs.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option("--size", help="Size instead of a file, such as 1700x2200; may be repeated."),
    ] = None,
    policy: options.Policy = None,
    max_crops: options.MaxCrops = None,
    pages: options.Pages = "",
    password: options.Password = None,
    on_too_many: options.OnTooMany = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model whose settings count and whose memory is predicted, such as leopard-nano. "
            "Default: the published model's settings."
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Number type that memory is predicted for. Default: what suits."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw pages, thumbnails and tiles into this image file.")
    ] = None,
    max_pages: options.MaxPages = None,
    max_megapixels: options.MaxMegapixels = None,
    max_megabytes: options.MaxMegabytes = None,
    max_seconds: options.MaxSeconds = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how pages become crops: size, grid, tiles, visual tokens, share of the budget."""
    settings = _settings(model, options.processor_settings(policy, max_crops, on_too_many))
    limits = options.limits(max_pages, max_megapixels, max_megabytes, max_seconds)
    with waiting(make_console(as_json), "Reading files"):
        found = _find_pages(files or [], size or [], (pages, password, limits), settings, picture)
    found = _choose(found, settings)
    plan = _plan(found, settings)
    memory = None if model is None else _memory(model, dtype, plan)
    if picture is not None:
        _save_picture(plan, found, picture)
    if as_json:
        typer.echo(json.dumps({**_record(plan, found), "memory_bytes": memory}, indent=2))
    else:
        _print_table(plan, found)
        if memory is not None:
            _print_memory(memory)
        if picture is not None:
            typer.echo(f"Picture: {picture}", err=True)
    for failure in found.failures:
        typer.echo(f"leopard: {failure}", err=True)
    if found.failures:
        raise typer.Exit(BAD_INPUT)


def _settings(model: str | None, changes: dict[str, Any]) -> ProcessorSettings:
    from leopard.config import build
    from leopard.processor.settings import ProcessorSettings

    values: dict[str, Any] = {}
    if model is not None:
        from leopard.inference.loading import load_processor, resolve_model

        processor = load_processor(resolve_model(model))
        settings = getattr(processor, "settings", None)
        if not isinstance(settings, ProcessorSettings):
            raise ConfigError(
                f"{model}: Leopard-Idefics2 shows every page whole, as {processor.image_seq_len} "
                "visual tokens; there are no crops to inspect"
            )
        values = settings.model_dump()
    given = {name: value for name, value in changes.items() if value is not None}
    return build(ProcessorSettings, {**values, **given}, origin="inspect")


def _find_pages(
    files: list[str],
    sizes: list[str],
    reading: tuple[str, str | None, Limits],
    settings: ProcessorSettings,
    picture: Path | None,
) -> _Pages:
    if bool(files) == bool(sizes):
        raise ConfigError("give either files or sizes, such as: leopard inspect --size 1700x2200")
    if sizes:
        parsed = [_parse_size(text) for text in sizes]
        labels = [f"image {number}" for number in range(1, len(parsed) + 1)]
        return _Pages(labels=labels, sizes=parsed, images=None, failures=[], skipped={}, dropped=[])
    from leopard.documents import LoadOptions, load_pages, page_sizes

    how = LoadOptions(
        pages=reading[0],
        password=reading[1],
        limits=reading[2],
        max_crops=settings.max_crops,
        max_tiles_per_page=settings.max_tiles_per_image,
        reading_dpi=settings.reading_dpi,
        crop_size=settings.crop_size,
    )
    images: list[Image] | None = None
    if picture is None:
        measured = page_sizes(files, options=how, on_error="collect", prove=True)
        labels, page_px = [page.label for page in measured.pages], measured.sizes
        failures, skipped = measured.failures, measured.skipped
    else:
        loaded = load_pages(files, options=how, on_error="collect")
        labels, page_px = [p.label for p in loaded.pages], [p.size for p in loaded.pages]
        images = [page.image for page in loaded.pages]
        failures, skipped = loaded.failures, loaded.skipped
    if not labels:
        # One line for each file that gave nothing.
        raise LeopardError(
            "\nleopard: ".join(map(str, failures)) or "no page found; give other files"
        )
    return _Pages(
        labels=labels,
        sizes=page_px,
        images=images,
        failures=failures,
        skipped=skipped,
        dropped=[],
    )


def _parse_size(text: str) -> ImageSize:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"size {text!r} is not understood; write width x height as in 1700x2200")
    return ImageSize(int(width), int(height))


def _choose(found: _Pages, settings: ProcessorSettings) -> _Pages:
    from leopard.processor.limits import kept_images

    kept = kept_images(len(found.sizes), settings)
    return replace(
        found,
        labels=[found.labels[index] for index in kept],
        sizes=[found.sizes[index] for index in kept],
        images=found.images and [found.images[index] for index in kept],
        dropped=[label for i, label in enumerate(found.labels) if i not in set(kept)],
    )


def _plan(found: _Pages, settings: ProcessorSettings) -> CropPlan:
    from leopard.processor.crops import plan_crops

    return plan_crops(
        found.sizes,
        geometry=settings.geometry,
        max_crops=settings.max_crops,
        policy=settings.policy,
        max_tiles_per_image=settings.max_tiles_per_image,
    )


def _memory(model: str, dtype: str | None, plan: CropPlan) -> dict[str, int] | None:
    """Bytes that an answer about these pages will take; None for models without crops."""
    from leopard.inference.loading import predict_memory

    return predict_memory(model, plan, dtype=dtype)


def _print_memory(memory: dict[str, int]) -> None:
    parts = ", ".join(
        f"{name.replace('_', ' ')} {count / 2**20:.0f}"
        for name, count in memory.items()
        if name != "total"
    )
    typer.echo(f"Memory of an answer: {memory['total'] / 2**20:.0f} MiB and about 400 for Python")
    typer.echo(f"MiB by part: {parts}")


def _save_picture(plan: CropPlan, found: _Pages, picture: Path) -> None:
    from leopard.processor.contact_sheet import draw_contact_sheet

    sheet = draw_contact_sheet(plan, found.images, found.labels)
    try:
        sheet.save(picture)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{picture}: the picture cannot be written ({error}); give a path such as out.png"
        ) from error


def _record(plan: CropPlan, found: _Pages) -> dict[str, Any]:
    tokens = plan.visual_tokens_per_image
    return {
        "policy": plan.policy,
        "crop_size": plan.geometry.crop_size,
        "max_crops": plan.max_crops,
        "tile_budget": plan.tile_budget,
        "num_tiles": plan.num_tiles,
        "num_crops": plan.num_crops,
        "unused_crops": plan.max_crops - plan.num_crops,
        "visual_tokens": plan.visual_tokens,
        "pages": [
            {
                "label": label,
                "width": image.size.width,
                "height": image.size.height,
                "rows": image.grid.rows if image.grid else None,
                "cols": image.grid.cols if image.grid else None,
                "num_tiles": image.num_tiles,
                "num_crops": image.num_crops,
                "visual_tokens": count,
                "share_of_budget": round(image.num_crops / plan.max_crops, 4),
            }
            for label, image, count in zip(found.labels, plan.images, tokens, strict=True)
        ],
        "dropped_pages": found.dropped,
        "skipped": found.skipped,
        "failures": [str(failure) for failure in found.failures],
    }


def _print_table(plan: CropPlan, found: _Pages) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_footer=True, header_style="bold", footer_style="bold")
    share = plan.num_crops / plan.max_crops
    table.add_column("Page", f"{len(plan.images)} in all", overflow="fold")
    table.add_column("Size", "", justify="right")
    table.add_column("Grid", "", justify="right")
    table.add_column("Tiles", f"{plan.num_tiles} of {plan.tile_budget}", justify="right")
    table.add_column("Visual tokens", str(plan.visual_tokens), justify="right")
    table.add_column("Share of budget", f"{share:6.1%} of {plan.max_crops} crops")
    tokens = plan.visual_tokens_per_image
    for label, image, count in zip(found.labels, plan.images, tokens, strict=True):
        part = image.num_crops / plan.max_crops
        table.add_row(
            escape(label),
            str(image.size),
            str(image.grid or "-"),
            str(image.num_tiles),
            str(count),
            f"{part:6.1%} {'█' * max(1, round(12 * part))}",
        )
    console = Console()
    console.print(table)
    console.print(f"Policy {plan.policy}, {plan.max_crops - plan.num_crops} crops unused.")
    for reason, number in found.skipped.items():
        console.print(escape(f"Skipped: {number} ({reason})."))
    if found.dropped:
        console.print(escape(f"Left out: {len(found.dropped)} pages ({_some(found.dropped)})."))
    if found.failures:
        console.print(f"Failed: {len(found.failures)}, see below.")


def _some(labels: list[str]) -> str:
    shown = ", ".join(labels[:3])
    return shown if len(labels) <= 3 else f"{shown}, ..."
