"""`leopard ask`: one question about files, answered on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leopard.cli import _options as options
from leopard.cli._ask_batch import BatchChoice, WorkersChoice, ask_batch
from leopard.cli._reading import look_at, looking, make_console, read_pages, waiting
from leopard.cli._served import ModelChoice
from leopard.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from leopard.documents import LoadedPages
    from leopard.inference.leopard import Answer, AnswerStream, Leopard
    from leopard.schema.generation import SamplingOptions

    _Pieces = tuple[str, AnswerStream]
    """The first piece of an answer, and the others."""

BAD_INPUT = 2


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("ask", no_args_is_help=True)(ask)


def ask(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar='FILE... "QUESTION"', help="Files, folders or globs; question last."
        ),
    ] = None,
    model: options.Model = None,
    pages: options.Pages = "",
    password: options.Password = None,
    policy: options.Policy = None,
    max_crops: options.MaxCrops = None,
    on_too_many: options.OnTooMany = None,
    max_new_tokens: options.MaxNewTokens = 128,
    temperature: Annotated[float, typer.Option(help="0 is greedy; above 0 samples.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Sample from the likeliest tokens only.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    instruction: Annotated[
        str, typer.Option(help="Instruction after the question: none, direct or cot.")
    ] = "none",
    device: options.Device = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16. Default: what suits.")
    ] = None,
    weights: options.Weights = None,
    index: Annotated[
        Path | None,
        typer.Option(help="Folder of `leopard index`. Default: LEOPARD_INDEX or the user's cache."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(help="JSON lines with files and question each, instead of FILE and QUESTION."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --batch: answers; a run that ended early goes on.")
    ] = None,
    part: Annotated[
        str, typer.Option(help="With --batch: such as 2/8, the second of eight parts.")
    ] = "1/1",
    engine: options.Engine = None,
    server: Annotated[
        str | None, typer.Option(help="With --batch: ask this server, such as http://host/v1.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="With --batch: most questions asked at once.")
    ] = 8,
    executor: Annotated[
        str, typer.Option(help="With --batch: who answers, local (processes) or ray.")
    ] = "local",
    workers: options.Workers = 1,
    address: options.Address = None,
    gpus: options.Gpus = 0,
    max_pages: options.MaxPages = None,
    max_megapixels: options.MaxMegapixels = None,
    max_megabytes: options.MaxMegabytes = None,
    max_seconds: options.MaxSeconds = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Answer a question about documents and images. The answer streams to stdout."""
    from leopard.schema.generation import SamplingOptions

    sampling = SamplingOptions(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    settings = options.processor_settings(policy, max_crops, on_too_many)
    limits = options.limits(max_pages, max_megapixels, max_megabytes, max_seconds)
    if batch is not None:
        if words:
            raise ConfigError(f"{words[0]}: with --batch, files and questions stand in {batch}")
        _refuse_with_batch(pages=pages, password=password, dtype=dtype, index=index, json=as_json)
        ask_batch(
            BatchChoice(
                questions=batch,
                answers=out,
                part=part,
                workers=WorkersChoice(executor, workers, address, gpus),
                server=server,
                model=ModelChoice(
                    model=model,
                    engine=engine,
                    weights=weights,
                    device=device,
                    batch_size=batch_size,
                    processor=settings,
                ),
                sampling=sampling,
                instruction=instruction,
                limits=limits,
                quiet=quiet,
            )
        )
        return
    _refuse_without_batch(
        out=out,
        part=part != "1/1",
        engine=engine == "vllm",
        server=server,
        executor=executor != "local",
        workers=workers > 1,
        address=address,
        gpus=gpus,
    )
    files, question = _split(words or [])
    console = make_console(quiet)
    with waiting(console, "Loading the model"):
        leopard = _load(model, (device, dtype, weights, engine), index, settings)
    how = leopard.load_options(pages=pages, password=password, limits=limits)
    asked = question, instruction, sampling
    read, pieces = look_at(
        read_pages(files, how, console), lambda read: _begin(leopard, read, asked, console)
    )
    for failure in read.failures:
        typer.echo(f"leopard: {failure}", err=True)
    answer = _finish(pieces, stream=not as_json)
    if as_json:
        typer.echo(json.dumps(_record(answer, question, read), indent=2, ensure_ascii=False))
    _summarise(answer, read, console)
    if read.failures:
        raise typer.Exit(BAD_INPUT)


def _split(words: list[str]) -> tuple[list[str], str]:
    *files, question = words or [""]
    if not files:
        raise ConfigError(
            'a file and a question are needed, such as: leopard ask report.pdf "What is the total?"'
        )
    if not question.strip():
        raise ConfigError("the question is empty; put it in quotes after the files")
    if _is_file(question):
        raise ConfigError(
            f"{question}: the last argument is the question, and this is a file; put the question "
            "in quotes after the files"
        )
    return files, question


def _is_file(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # longer than a path can be, or a NUL in it
        return False


def _load(
    model: str | None,
    form: tuple[str | None, str | None, str | None, str | None],
    index: Path | None,
    settings: dict[str, Any],
) -> Leopard:
    from leopard.inference.disk_store import default_folder
    from leopard.inference.engine import EngineOptions
    from leopard.inference.leopard import Leopard

    device, dtype, weights, engine = form
    return Leopard.from_pretrained(
        model,
        device=device,
        dtype=dtype,
        weights=weights,
        engine=engine,
        options=EngineOptions(index=index or default_folder()),
        processor_settings=settings,
    )


def _begin(
    leopard: Leopard, read: LoadedPages, asked: tuple[str, str, SamplingOptions], console: Console
) -> _Pieces:
    """Look at the pages and write the first piece of the answer."""
    question, instruction, sampling = asked
    session = leopard.open_pages(read.pages)
    with looking(console, len(read.pages), session.num_chunks) as watch:
        pieces = session.stream(question, sampling=sampling, instruction=instruction, watch=watch)
        return next(pieces, ""), pieces


def _finish(begun: _Pieces, *, stream: bool) -> Answer:
    first, pieces = begun
    if stream:
        typer.echo(first, nl=False)
        for piece in pieces:
            typer.echo(piece, nl=False)
        typer.echo()
    return pieces.answer


def _record(answer: Answer, question: str, read: LoadedPages) -> dict[str, Any]:
    failures = [
        {"source": failure.source, "page": failure.page, "message": str(failure)}
        for failure in read.failures
    ]
    return {
        "question": question,
        **answer.to_dict(),
        "failures": failures,
        "skipped": read.skipped,
    }


def _summarise(answer: Answer, read: LoadedPages, console: Console) -> None:
    from rich.markup import escape

    usage = answer.usage
    console.print(
        f"{len(answer.pages)} pages, {usage.crops} crops, {usage.prompt_tokens} prompt tokens, "
        f"{usage.completion_tokens} new tokens, {answer.timings.total_s:.1f} s, {answer.model}",
        style="dim",
    )
    if answer.finish_reason == "length":
        console.print("The answer was cut at --max-new-tokens.", style="yellow")
    if answer.dropped_pages:
        names = ", ".join(page.label for page in answer.dropped_pages[:3])
        console.print(escape(f"Left out: {len(answer.dropped_pages)} pages ({names} ...)."))
    for reason, number in read.skipped.items():
        console.print(escape(f"Skipped: {number} ({reason})."))
    if read.failures:
        sources = len({failure.source for failure in read.failures})
        console.print(f"Failed: {sources} files, see above.", style="red")


def _refuse_with_batch(**options: object) -> None:
    """Options that a batch does not follow are an error, never left out in silence."""
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(
            f"--{given[0]} does not go with --batch; pages stand in each line of the questions, "
            "and answers are JSON lines as they are"
        )


def _refuse_without_batch(**options: object) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        what = "--engine vllm" if given[0] == "engine" else f"--{given[0]}"
        raise ConfigError(
            f"{what} goes with --batch only; give a file of questions or leave it out"
        )
