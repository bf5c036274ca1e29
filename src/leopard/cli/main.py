"""The `leopard` command: puts the commands together and turns errors into exit codes.

Exit codes: 0 done; 2 for bad input or wrong usage, with one line on stderr; 130 after Ctrl-C.
Heavy libraries load inside commands, so that help is quick.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import leopard
import leopard.cli
from leopard.errors import LeopardError

BAD_INPUT = 2
INTERRUPTED = 130

FIRST = ("ask", "inspect", "models", "convert")
"""Commands that help shows first, in this order; the others follow by name."""


class LeopardGroup(TyperGroup):
    """A group of commands whose users see one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors of the user end with exit code 2."""
        try:
            return super().invoke(ctx)
        except LeopardError as error:
            typer.echo(f"leopard: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from error

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands in the order of the help text."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: (name not in FIRST, _rank(name), name))


def _rank(name: str) -> int:
    return FIRST.index(name) if name in FIRST else 0


def build_app() -> typer.Typer:
    """The application with every command module of this package that has `register`."""
    app = typer.Typer(
        name="leopard",
        cls=LeopardGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Answers questions over many text-rich images at once: documents, slides, charts.",
    )
    app.callback()(_options)
    for module in sorted(pkgutil.iter_modules(leopard.cli.__path__), key=lambda found: found.name):
        if module.name == "main" or module.name.startswith("_"):
            continue
        register = getattr(import_module(f"leopard.cli.{module.name}"), "register", None)
        if register is not None:
            register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leopard {leopard.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Answers questions over many text-rich images at once: documents, slides, charts."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        args: Arguments without the program's name; those of the process by default.
    """
    # What these libraries say is for developers; users set the variables to see it.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        build_app()(None if args is None else list(args), prog_name="leopard")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
