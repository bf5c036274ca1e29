"""`leopard ask --batch`: questions from a file, answers to a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leopard.cli._served import ModelChoice, served_model
from leopard.cli._workers import executor_of
from leopard.errors import ConfigError, LeopardError
from leopard.schema.generation import GenerationRequest, Progress

if TYPE_CHECKING:
    from leopard.documents import Limits, LoadOptions
    from leopard.inference.question_parts import Part
    from leopard.inference.questions import Answerer, BatchCounts, BatchSettings, Question
    from leopard.schema.generation import Generator, SamplingOptions
    from leopard.schema.pages import Page

FAILED = 2
KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class WorkersChoice:
    """What the command line says of who answers."""

    executor: str = "local"
    workers: int = 1
    address: str | None = None
    gpus: float = 0

    @property
    def is_one(self) -> bool:
        """Whether this process answers all by itself."""
        return self.executor == "local" and self.workers == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchChoice:
    """What the command line says of a batch."""

    questions: Path
    answers: Path | None
    part: str
    """Such as `2/8`: the second of eight parts."""
    workers: WorkersChoice
    server: str | None
    """Address of an OpenAI-compatible server, up to and with `/v1`."""
    model: ModelChoice
    sampling: SamplingOptions
    instruction: str
    limits: Limits
    """What the files of one question may cost."""
    quiet: bool


def ask_batch(choice: BatchChoice) -> None:
    """Answer all questions of the file that have no answer yet; ends with 2 if some have none.

    Raises:
        LeopardError: If a file or a setting cannot be used, or the server has gone.
    """
    from leopard.inference.questions import BatchSettings

    if choice.answers is None:
        raise ConfigError("--batch needs a file for the answers: give --out answers.jsonl")
    if not choice.questions.is_file():
        raise ConfigError(f"{choice.questions}: no such file; --batch takes a file of JSON lines")
    part, parts = _part(choice.part)
    settings = BatchSettings(
        sampling=choice.sampling, instruction=choice.instruction, part=part, parts=parts
    )
    run = _alone if choice.workers.is_one else _together
    counts = run(choice, choice.answers, settings)
    if not choice.quiet:
        typer.echo(
            f"{counts.answered} answered, {counts.failed} failed, {counts.done_before} answered "
            f"before: {choice.answers}",
            err=True,
        )
    if counts.failed:
        raise typer.Exit(FAILED)


def _alone(choice: BatchChoice, answers: Path, settings: BatchSettings) -> BatchCounts:
    from leopard.inference.question_parts import Part

    def watch(counts: BatchCounts) -> None:
        number = counts.answered + counts.failed
        if not choice.quiet and number % 100 == 0:
            typer.echo(f"{number} asked", err=True)

    part = Part(part=settings.part, parts=settings.parts, answers=answers)
    return _answer_part(choice, settings, part, watch)


def _together(choice: BatchChoice, answers: Path, settings: BatchSettings) -> BatchCounts:
    """As `_alone`, by several workers."""
    from leopard.cli._progress import progress
    from leopard.inference.question_parts import answer_in_parts

    how = choice.workers
    executor = executor_of(how.executor, how.workers, how.address, how.gpus)
    # A worker may stand in another folder.
    work = partial(_answer_part, replace(choice, questions=choice.questions.resolve()), settings)
    quiet = nullcontext(lambda _: None)
    with quiet if choice.quiet else progress("workers", how.workers) as advance:
        return answer_in_parts(
            answers.resolve(),
            work,
            executor,
            share=(settings.part, settings.parts),
            workers=how.workers,
            watch=lambda: advance(1),
        )


def _answer_part(
    choice: BatchChoice,
    settings: BatchSettings,
    part: Part,
    watch: Callable[[BatchCounts], None] | None = None,
) -> BatchCounts:
    """Load the model, or find the server, and answer a part of the questions."""
    from leopard.inference.questions import answer_questions

    answerer = _remote(choice) if choice.server else _local(choice)
    settings = replace(settings, part=part.part, parts=part.parts)
    return answer_questions(
        choice.questions, part.answers, answerer, settings, known=part.known, watch=watch
    )


def _part(text: str) -> tuple[int, int]:
    """Part from 0 and number of parts."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise ConfigError(f"part {text!r} must be two numbers, such as 2/8 for the second of eight")
    return int(part) - 1, int(parts)


def _local(choice: BatchChoice) -> Answerer:
    from leopard.inference.questions import Answerer

    served = served_model(choice.model)
    weights = choice.model.weights
    return Answerer(
        # Rounded weights answer otherwise: their answers do not go into one file with others.
        name=f"{served.generator.name} {weights}" if weights else served.generator.name,
        batch=served.generator.open_batch(),
        # vLLM looks at pictures in processes of its own.
        load=_Loader(choice, served.load_options, later=choice.model.engine != "vllm"),
    )


def _remote(choice: BatchChoice) -> Answerer:
    from leopard.documents import LoadOptions
    from leopard.evaluation.generators.openai_server import OpenAIGenerator, ServerOptions
    from leopard.inference.questions import Answerer

    if not choice.model.model:
        raise ConfigError("--server needs the model's name as the server knows it: give --model")
    if choice.model.engine or choice.model.weights or choice.model.changes:
        raise ConfigError("the server has its own engine and settings; give them to the server")
    generator = OpenAIGenerator(
        ServerOptions(
            base_url=choice.server or "",
            model=choice.model.model,
            api_key=os.environ.get(KEY_VARIABLE, ""),
            concurrency=choice.model.batch_size,
        )
    )
    return Answerer(
        name=generator.fingerprint,
        batch=RemoteBatch(generator, choice.model.batch_size),
        load=_Loader(choice, LoadOptions()),
        is_remote=True,
    )


class _Loader:
    """Reads the pages of questions, those of the last files once.

    Args:
        choice: Names the file that paths count from, and the limits.
        options: How pages are drawn.
        later: Whether they are drawn while they are looked at.
    """

    def __init__(self, choice: BatchChoice, options: LoadOptions, *, later: bool = False) -> None:
        self._later = later
        self._folder = choice.questions.parent
        self._options = replace(options, limits=choice.limits)
        self._last: tuple[Any, Sequence[Page]] = (None, ())

    def __call__(self, question: Question) -> Sequence[Page]:
        """All pages, in order; the same objects again for the same files."""
        from leopard.documents import load_pages

        asked = (question.files, question.pages)
        if asked != self._last[0]:
            paths = [str(self._folder / name) for name in question.files]
            options = replace(self._options, pages=question.pages)
            loaded = load_pages(paths, options=options, later=self._later) if paths else None
            self._last = asked, loaded.pages if loaded else ()
        return self._last[1]


class RemoteBatch:
    """A server's answers as a running batch; see `leopard.schema.generation.RunningBatch`.

    Args:
        generator: Asks the server; used by several threads.
        capacity: Most requests in flight.
    """

    def __init__(self, generator: Generator, capacity: int) -> None:
        self.capacity = capacity
        self._generator = generator
        self._pool = ThreadPoolExecutor(max_workers=capacity)
        self._running: dict[Future[Any], str] = {}

    def __len__(self) -> int:
        return len(self._running)

    def join(self, key: str, request: GenerationRequest) -> None:
        """Send a request."""
        self._running[self._pool.submit(self._generator.generate, [request])] = key

    def leave(self, key: str) -> None:
        """Forget a request; its answer is not looked at."""
        for future in [future for future, name in self._running.items() if name == key]:
            future.cancel()
            del self._running[future]

    def step(self) -> list[Progress]:
        """Wait until a request has ended."""
        ended, _ = wait(self._running, return_when=FIRST_COMPLETED)
        found = []
        for future in ended:
            key = self._running.pop(future)
            try:
                found.append(Progress(key=key, generation=future.result()[0]))
            except LeopardError as error:
                found.append(Progress(key=key, error=error))
        return found
