"""Many questions from a file, each answered once, whatever ends the run before its time.

Questions join the engine's running batch as it has room; answers are written as they come. What
has a line in the answers is not asked again. Knows nothing of which engine it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leopard.errors import ConfigError, DataError, GenerationError, LeopardError
from leopard.inference.leopard import question_about
from leopard.schema.generation import GenerationRequest, Progress, RunningBatch, SamplingOptions
from leopard.schema.line_log import LineLog, read_lines
from leopard.schema.pages import Page

_FIELDS = {"id", "files", "question", "pages", "max_new_tokens"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One line of a questions file."""

    id: str
    """Unique in its file; the number of the line when the line gives none."""
    files: tuple[str, ...]
    """As the line gives them: paths from the folder of the questions file."""
    question: str
    pages: str = ""
    """Pages of each document, such as `1-3,7`; all when empty."""
    max_new_tokens: int | None = None
    """Most tokens of the answer, instead of those of the run."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that is asked."""
        asked = [self.files, self.question, self.pages, self.max_new_tokens]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSettings:
    """How all questions are asked."""

    sampling: SamplingOptions
    instruction: str = "none"
    """`none`, `direct` or `cot`; see `question_about`."""
    part: int = 0
    """Which part of the questions, from 0: every `parts`-th line."""
    parts: int = 1
    """Parts that the questions are shared over, for several computers."""

    def __post_init__(self) -> None:
        if not 0 <= self.part < self.parts:
            raise ConfigError(
                f"part {self.part + 1} of {self.parts}: parts count from 1 to their number"
            )

    @property
    def fingerprint(self) -> str:
        """Changes with everything that decides answers."""
        asked = [repr(self.sampling), self.instruction]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


@dataclass(slots=True)
class BatchCounts:
    """What a run did."""

    done_before: int = 0
    answered: int = 0
    failed: int = 0
    """Questions that have no answer; their lines say why."""


def read_questions(path: Path) -> Iterator[Question]:
    """Read a file of JSON lines, one question each.

    A line is `{"files": ["a.pdf", "b.png"], "question": "..."}`; `id`, `pages` and `max_new_tokens`
    are optional, and `files` may be one string or empty.

    Raises:
        DataError: If a line is of another form or repeats an id, naming the line.
    """
    seen: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            question = _question(line, number, path)
            if (first := seen.setdefault(question.id, number)) != number:
                raise DataError(
                    f"{path}, line {number}: id {question.id!r} is that of line {first}, too; "
                    "every question needs an id of its own"
                )
            yield question


def _question(line: str, number: int, path: Path) -> Question:
    where = f"{path}, line {number}"
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error})") from error
    if not isinstance(values, dict) or not isinstance(values.get("question"), str):
        raise DataError(f'{where}: needs the form {{"files": ["a.pdf"], "question": "..."}}')
    if unknown := sorted(set(values) - _FIELDS):
        raise DataError(f"{where}: {', '.join(unknown)}: unknown; use {', '.join(sorted(_FIELDS))}")
    files = values.get("files", [])
    files = [files] if isinstance(files, str) else files
    tokens = values.get("max_new_tokens")
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise DataError(f"{where}: files must be a list of paths, got {files!r}")
    if tokens is not None and (not isinstance(tokens, int) or tokens < 1):
        raise DataError(f"{where}: max_new_tokens must be a whole number from 1, got {tokens!r}")
    return Question(
        id=str(values.get("id", number)),
        files=tuple(files),
        question=values["question"],
        pages=str(values.get("pages", "")),
        max_new_tokens=tokens,
    )


PageLoader = Callable[[Question], Sequence[Page]]
"""Reads the pages of a question; raises `LeopardError` when it cannot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answerer:
    """What answers, and how it gets its pages."""

    name: str
    """Name of the model, written beside each answer."""
    batch: RunningBatch
    load: PageLoader
    is_remote: bool = False
    """Whether a failure to generate means that a server has gone, which ends the run; a model in
    this process that fails on a question fails on that question only."""


def answer_questions(
    questions: Path,
    answers: Path,
    answerer: Answerer,
    settings: BatchSettings,
    *,
    known: Path | None = None,
    watch: Callable[[BatchCounts], None] | None = None,
) -> BatchCounts:
    """Answer all questions of a file that have no line among the answers yet.

    Each question gets one line: `id`, `answer`, `finish_reason`, `usage` and `model`, or `id` and
    `error`. Lines are durable one by one, in the order in which answers come.

    Args:
        questions: File of questions; paths in it count from its folder.
        answers: File to write, or to go on with.
        answerer: What answers.
        settings: How.
        known: Another file of answers, which is only read: its questions are not asked again.
        watch: Called after every line.

    Raises:
        DataError: If a file is malformed, the answers belong to other questions or settings, or
            another process writes them.
        GenerationError: If a server cannot be reached any more; all lines written so far stay.
    """
    with LineLog(answers) as log:
        run = _Run(log, answerer, settings, watch)
        for path in (answers, known) if known is not None else (answers,):
            run.check_answers(path)
        run.check(read_questions(questions))
        run.answer(read_questions(questions))
        return run.counts


class _Run:
    """One run over a file."""

    def __init__(
        self,
        log: LineLog,
        answerer: Answerer,
        settings: BatchSettings,
        watch: Callable[[BatchCounts], None] | None,
    ) -> None:
        self.counts = BatchCounts()
        self._log = log
        self._answerer = answerer
        self._settings = settings
        self._watch = watch
        self._done: dict[str, str] = {}
        self._asked: dict[str, tuple[Question, Sequence[Page]]] = {}

    def check_answers(self, path: Path) -> None:
        """Read a file of answers before anything is asked."""
        how = f"{self._answerer.name}:{self._settings.fingerprint}"
        for record in read_lines(path):
            if record.get("run") != how:
                raise DataError(
                    f"{path}: holds answers of another model or other settings "
                    f"({record.get('run')}, now {how}); choose another --out"
                )
            self._done[str(record.get("id"))] = str(record.get("asked"))

    def check(self, questions: Iterator[Question]) -> None:
        """Read the questions once before anything is asked."""
        for index, question in enumerate(questions):
            known = self._done.get(question.id)
            if known is not None and known != question.fingerprint:
                raise DataError(
                    f"{self._log.path}: has an answer to another question of id {question.id!r}; "
                    "choose another --out, or give changed questions other ids"
                )
            if known is not None and self._is_mine(index):
                self.counts.done_before += 1

    def answer(self, questions: Iterator[Question]) -> None:
        """Keep the batch full until nothing is left."""
        batch = self._answerer.batch
        todo = (
            question
            for index, question in enumerate(questions)
            if self._is_mine(index) and question.id not in self._done
        )
        following = next(todo, None)
        while following is not None or len(batch):
            while following is not None and len(batch) < batch.capacity:
                self._ask(following)
                following = next(todo, None)
            for news in batch.step():
                if news.is_last:
                    self._write(news)

    def _is_mine(self, index: int) -> bool:
        return index % self._settings.parts == self._settings.part

    def _ask(self, question: Question) -> None:
        try:
            pages = self._answerer.load(question)
            request = _request(question, pages, self._settings)
        except LeopardError as error:
            self._note_failure(question, error)
            return
        self._asked[question.id] = question, pages
        self._answerer.batch.join(question.id, request)

    def _write(self, news: Progress) -> None:
        question, pages = self._asked.pop(news.key)
        if news.error is not None:
            if self._answerer.is_remote and isinstance(news.error, GenerationError):
                raise news.error
            if not isinstance(news.error, LeopardError):
                raise news.error
            self._note_failure(question, news.error)
            return
        done = news.generation
        assert done is not None, "the last news holds an answer or an error"
        usage = done.usage
        self.counts.answered += 1
        self._append(
            question,
            {
                "answer": done.text,
                "finish_reason": done.finish_reason,
                "pages": [{"source": page.source, "page": page.number} for page in pages],
                "usage": {
                    "prompt_tokens": usage.prompt_tokens,
                    "visual_tokens": usage.visual_tokens,
                    "crops": usage.crops,
                    "completion_tokens": usage.completion_tokens,
                },
            },
        )

    def _note_failure(self, question: Question, error: LeopardError) -> None:
        self.counts.failed += 1
        self._append(question, {"error": str(error)})

    def _append(self, question: Question, result: Mapping[str, Any]) -> None:
        self._log.append(
            {
                "id": question.id,
                "question": question.question,
                **result,
                "model": self._answerer.name,
                "asked": question.fingerprint,
                "run": f"{self._answerer.name}:{self._settings.fingerprint}",
            }
        )
        if self._watch is not None:
            self._watch(self.counts)


def _request(
    question: Question, pages: Sequence[Page], settings: BatchSettings
) -> GenerationRequest:
    sampling = settings.sampling
    if question.max_new_tokens is not None:
        sampling = replace(sampling, max_new_tokens=question.max_new_tokens)
    message = question_about(question.question, len(pages), instruction=settings.instruction)
    images = tuple(page.image for page in pages)
    return GenerationRequest(messages=(message,), images=images, sampling=sampling)
