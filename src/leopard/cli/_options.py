"""Options that several commands share: name, type and help of each, in one place."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leopard.documents.limits import Limits

_MEBI = 2**20
_MEGA = 10**6
_USUAL = Limits()

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Model folder, hub name or shipped model. Default: the shipped one."
    ),
]
Pages = Annotated[str, typer.Option(help="Pages of each document, such as 1-3,7.")]
Password = Annotated[str | None, typer.Option(help="Password of encrypted PDF files.")]
Policy = Annotated[
    str | None, typer.Option(help="How the tile budget is shared: published or fill.")
]
MaxCrops = Annotated[int | None, typer.Option(min=1, help="Most crops, thumbnails and tiles.")]
OnTooMany = Annotated[
    str | None, typer.Option(help="With more pages than crops: error, first or uniform.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps.")]
Weights = Annotated[str | None, typer.Option(help="int8 or int4: quantised weights on a CPU.")]
LocalEngine = Annotated[
    str | None,
    typer.Option(help="torch, or onnx on a CPU. Default: onnx with --weights, otherwise torch."),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="torch, onnx on a CPU, or vllm (see docs/vllm.md). Default: onnx with --weights, "
        "otherwise torch."
    ),
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")]
Server = Annotated[
    str | None,
    typer.Option(help="Ask this OpenAI-compatible server, such as http://host:8000/v1."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Most questions asked at once.")]
Workers = Annotated[
    int, typer.Option(min=1, help="Workers that share the work, each with its own model.")
]
Address = Annotated[str | None, typer.Option(help="With --executor ray: address of the cluster.")]
Gpus = Annotated[float, typer.Option(min=0, help="With --executor ray: GPUs of each worker.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]
MaxPages = Annotated[
    int | None, typer.Option(help=f"Most pages of all documents. [{_USUAL.max_pages}]")
]
MaxMegapixels = Annotated[
    float | None,
    typer.Option(help=f"Most millions of pixels of a page. [{_USUAL.max_pixels / _MEGA:g}]"),
]
MaxMegabytes = Annotated[
    float | None,
    typer.Option(help=f"Most MiB of a file or a download. [{_USUAL.max_bytes / _MEBI:g}]"),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(help=f"Most seconds of work on a document. [{_USUAL.max_seconds:g}]"),
]


def limits(
    max_pages: int | None,
    max_megapixels: float | None,
    max_megabytes: float | None,
    max_seconds: float | None,
) -> Limits:
    """The limits that the options name; the usual ones where they name none.

    Raises:
        ConfigError: If a limit is not above 0.
    """
    given: dict[str, Any] = {
        "max_pages": max_pages,
        "max_pixels": _times(max_megapixels, _MEGA),
        "max_bytes": _times(max_megabytes, _MEBI),
        "max_seconds": max_seconds,
    }
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _times(value: float | None, unit: int) -> int | None:
    return None if value is None else round(value * unit)


def processor_settings(
    policy: str | None, max_crops: int | None, on_too_many: str | None
) -> dict[str, Any]:
    """What the options say of the processor; None means as saved with the model."""
    return {"policy": policy, "max_crops": max_crops, "on_too_many_images": on_too_many}
