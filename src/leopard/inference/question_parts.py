"""Questions of one file shared by several workers, each with a model of its own.

Every worker writes a file of its own, as durable as any; in the end the files become one. What an
earlier run left behind, with whatever number of workers, counts. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from leopard.inference.questions import BatchCounts
from leopard.schema.line_log import LineLog

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one worker does."""

    part: int
    """Which part of the questions, from 0."""
    parts: int
    answers: Path
    """File that this worker writes alone."""
    known: Path | None = None
    """Answers that were there before, of any worker."""


class Executor(Protocol):
    """Runs units somewhere; see `leopard.executors`."""

    def map(
        self, work: Callable[[UnitT], ResultT], units: Iterable[UnitT]
    ) -> Iterator[tuple[UnitT, ResultT]]:
        """Units with their results."""
        ...


def answer_in_parts(
    answers: Path,
    work: Callable[[Part], BatchCounts],
    executor: Executor,
    *,
    share: tuple[int, int] = (0, 1),
    workers: int,
    watch: Callable[[], None] | None = None,
) -> BatchCounts:
    """Have questions answered by several workers, each once, into one file.

    A worker that dies and is run again goes on where it was. If the run ends before its time, the
    workers' files stay beside the answers, in a folder of their name and `.parts`, and the next run
    takes them in before it begins.

    Args:
        answers: File to write, or to go on with.
        work: Answers a part; see `leopard.inference.questions.answer_questions`.
        executor: Runs the workers; all of them must see the folder of `answers`.
        share: Part of all questions that this run is to answer, from 0, and their number.
        workers: Parts that it is cut into.
        watch: Called when a worker has ended.

    Returns:
        What all workers did, together.

    Raises:
        DataError: If another run writes the answers, or its workers still do.
        LeopardError: What a worker raised.
    """
    folder = answers.with_name(f"{answers.name}.parts")
    units = [
        Part(
            part=share[0] * workers + number,
            parts=share[1] * workers,
            answers=folder / f"{number + 1}of{workers}.jsonl",
            known=answers,
        )
        for number in range(workers)
    ]
    counts = BatchCounts()
    with LineLog(answers) as log:
        _collect(log, folder)
        for _, done in executor.map(work, units):
            counts.done_before += done.done_before
            counts.answered += done.answered
            counts.failed += done.failed
            if watch is not None:
                watch()
        _collect(log, folder)
    return counts


def _collect(log: LineLog, folder: Path) -> None:
    """Move the lines of workers' files to the answers; a line that is there is not doubled."""
    known = {str(record.get("id")) for record in log.records()}
    files: Sequence[Path] = sorted(folder.glob("*.jsonl"))
    for path in files:
        with LineLog(path) as part:
            fresh = [record for record in part.records() if str(record.get("id")) not in known]
            log.append(*fresh)
            known.update(str(record.get("id")) for record in fresh)
            path.unlink()
    if folder.exists():
        folder.rmdir()
