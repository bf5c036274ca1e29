"""`leopard serve`: the OpenAI-compatible server with the page; `leopard serve-key`: its keys."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.cli import _options as options
from leopard.cli._served import ModelChoice, served_model
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leopard.serving.keys import ApiKeys
    from leopard.serving.settings import ServingSettings

KEY_VARIABLE = "LEOPARD_API_KEY"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("serve")(serve)
    app.command("serve-key", no_args_is_help=True)(serve_key)


def serve(
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, hub name or shipped model; 'fake' answers without a model. "
            "Default: the shipped one."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: this machine only.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [8000]")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="API keys, made with leopard serve-key.")
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Let other machines in without a key.")
    ] = False,
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Name that clients call the server by; may be repeated."),
    ] = None,
    fetch_host: Annotated[
        list[str] | None,
        typer.Option(help="Host whose image addresses may be fetched; may be repeated."),
    ] = None,
    office_files: Annotated[
        bool, typer.Option("--office-files", help="Read office and HTML files, too.")
    ] = False,
    log_content: Annotated[
        bool, typer.Option("--log-content", help="Put questions and answers into the log.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings of the server.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting, such as max_queue=10; may be repeated."),
    ] = None,
    batch_size: options.BatchSize = 8,
    policy: options.Policy = None,
    max_crops: options.MaxCrops = None,
    on_too_many: options.OnTooMany = None,
    device: options.Device = None,
    weights: options.Weights = None,
    engine: options.Engine = None,
    tensor_parallel: Annotated[
        int, typer.Option(min=1, help="With vllm: GPUs that the model is spread over.")
    ] = 1,
) -> None:
    """Serve a model over HTTP: the OpenAI interface below /v1, and a page for people at /."""
    _require_extra()
    from leopard.serving.app import build_app
    from leopard.serving.run import serve as run_server

    named = {
        "host": host,
        "port": port,
        "host_names": host_name or None,
        "fetch_hosts": fetch_host or None,
        "office_files": office_files or None,
        "log_content": log_content or None,
    }
    settings = _settings(config, override or [], named)
    keys = _keys(key_file)
    if not settings.is_loopback and not len(keys) and not without_keys:
        raise ConfigError(
            f"{settings.host} can be reached from other machines and there are no API keys; make "
            "one with: leopard serve-key keys.txt NAME, and give --key-file keys.txt, or give "
            "--without-keys if a proxy in front asks for keys"
        )
    served = served_model(
        ModelChoice(
            model=model,
            engine=engine,
            weights=weights,
            device=device,
            batch_size=batch_size,
            tensor_parallel=tensor_parallel,
            processor=options.processor_settings(policy, max_crops, on_too_many),
        )
    )
    name = served.generator.name

    def say(address: str) -> None:
        typer.echo(f"leopard: serving {name} at {address} (Ctrl-C stops it)", err=True)

    with _log_to_stderr():
        run_server(build_app(served, settings, keys), settings, on_ready=say)


def serve_key(
    file: Annotated[Path, typer.Argument(help="Key file to add to; made if there is none.")],
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
) -> None:
    """Make an API key: it is printed once, and only its hash is kept."""
    _require_extra()
    from leopard.serving.keys import add_key

    typer.echo(add_key(file, name))


def _require_extra() -> None:
    from importlib.util import find_spec

    missing = [
        package
        for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
        if find_spec(package) is None
    ]
    if missing:
        raise ConfigError(f"serving needs {', '.join(missing)}; run: pip install 'leopard[serve]'")


def _settings(config: Path | None, overrides: list[str], named: dict[str, Any]) -> ServingSettings:
    from leopard.config import build, load
    from leopard.serving.settings import ServingSettings

    settings = load(ServingSettings, config, overrides)
    given = {name: value for name, value in named.items() if value is not None}
    return build(ServingSettings, {**settings.model_dump(), **given}, origin="serve")


def _keys(path: Path | None) -> ApiKeys:
    from leopard.serving.keys import ApiKeys, hash_key

    if path is not None:
        return ApiKeys.load(path)
    key = os.environ.get(KEY_VARIABLE)
    return ApiKeys({"environment": hash_key(key)} if key else {})


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Show the server's log while it runs; what calls this later finds logging as it was."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("leopard.serving")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
