"""The stage that learns what questions ask for: from whole documents as true slots.

A second process sets documents and reads their text layers; the trainer keeps them in a pool and
draws many times from it. See `leopard.training.nano.meaning` for what is learned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from leopard.model.tiling import Grids
from leopard.schema.samples import NO
from leopard.training.nano.characters import (
    BLANK,
    LAST_PER_LINE,
    LINES_PER_CELL,
    PLACES,
    PLACES_PER_LINE,
    SLOTS,
    WIDE_BLANK,
)
from leopard.training.nano.course import Course, CourseSettings
from leopard.training.nano.dialogue import StudiedPage, printed_turn
from leopard.training.nano.eyes import study_slots
from leopard.training.nano.lessons import Lesson, PageSource
from leopard.training.nano.meaning import CHECK_SHARE, PAGE_SHARE, Asked, Meaning
from leopard.training.nano.misreading import misread
from leopard.training.nano.package import new_surroundings
from leopard.training.nano.workers import LessonStream, PagePlan
from leopard.training.nano.zones import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRINTED = frozenset({"lookup", "cell", "reverse", "extreme", "compare", "exists"})
"""Families of questions whose answers are printed; of `exists`, what they ask after is."""
UNANSWERABLE, CHECK = "unanswerable", "exists"
MISREAD = (0.0, 0.0, 0.04, 0.1)
"""Shares of characters with an error, one drawn for each document."""
MOST_CROPS = 50
NOISE = 0.05
"""Added to bags and keys, so that what is nearly the same is told apart by more than that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeaningStage:
    """How meaning is learned."""

    plan: PagePlan = field(default_factory=lambda: PagePlan(documents=1.0, has_pictures=False))
    batch: int = 8
    """Documents of one step."""
    first: int = 1000
    """Documents waited for before the first step."""
    pool: int = 16_000
    """Documents kept to draw from, the newest."""
    course: CourseSettings = field(
        default_factory=lambda: CourseSettings(
            steps=60_000, learning_rate=1.5e-3, warmup_steps=500, log_every=100
        )
    )
    seed: int = 2


def train_meaning(
    source: PageSource, folder: Path, stage: MeaningStage, report: Callable[..., None]
) -> None:
    """Learn what questions ask for; weights stay in the course's checkpoint.

    Args:
        source: Makes documents.
        folder: Of this stage; gone on with when it holds a checkpoint.
        stage: How.
        report: Told the stage and its figures.
    """
    torch.manual_seed(stage.seed)
    meaning = Meaning(new_surroundings())
    course = Course(meaning, stage.course, folder, plain=("",))
    first = stage.seed * 10**9 + course.step * stage.batch
    stream = LessonStream(source, stage.plan, study_questions, first_seed=first)
    pool: list[Asked] = []
    rng = random.Random(f"meaning:{first}")

    def step() -> dict[str, float]:
        fresh = stream.ready(8 * stage.batch)
        while len(pool) + len(fresh) < stage.first:
            fresh.append(stream.take())
        pool.extend(_as_asked(one) for one in fresh)
        del pool[: -stage.pool]
        return learn(meaning, rng.sample(pool, min(stage.batch, len(pool))))

    try:
        course.run(step, lambda figures: report(folder.name, figures))
    finally:
        stream.close()


def learn(meaning: Meaning, documents: Sequence[Asked]) -> dict[str, float]:
    """One backward pass: cross entropy of choosing the beginning that is meant, or none.

    Besides, with PAGE_SHARE of the weight, that of choosing the page it is on, where there are
    others; and with CHECK_SHARE that of knowing which questions are answered by yes or no.
    """
    logits, pages, checks = meaning(documents, NOISE)
    goals = [document.goals + 1 for document in documents]
    count = sum(len(goal) for goal in goals)
    losses, page_losses = [], []
    for document, own, page, goal in zip(documents, logits, pages, goals, strict=True):
        losses.append(nn.functional.cross_entropy(own, goal, reduction="sum"))
        page_losses.append(_page_loss(document, page))
    loss = torch.stack(losses).sum() / count
    check_loss = nn.functional.binary_cross_entropy_with_logits(checks, _are_checks(documents))
    of_pages = torch.stack(page_losses).sum() / count
    (loss + PAGE_SHARE * of_pages + CHECK_SHARE * check_loss).backward()
    right = sum(int((own.argmax(1) == goal).sum()) for own, goal in zip(logits, goals, strict=True))
    figures = {"loss": loss, "page_loss": of_pages, "check_loss": check_loss}
    return {name: part.item() for name, part in figures.items()} | {"right": right / count}


def _are_checks(documents: Sequence[Asked]) -> Tensor:
    """1 for the questions that are answered by yes or no, 0 for others, (questions,)."""
    parts = [torch.zeros(len(document.questions)) for document in documents]
    for part, document in zip(parts, documents, strict=True):
        part[list(document.checks)] = 1.0
    return torch.cat(parts)


def _page_loss(document: Asked, logits: Tensor) -> Tensor:
    """Cross entropy of the pages that answers are on, summed; 0 for a document of one page."""
    is_found = document.goals >= 0
    if len(document.pages) == 1 or not bool(is_found.any()):
        return logits.new_zeros(())
    owner = torch.arange(len(document.pages)).repeat_interleave(torch.tensor(document.pages))
    token = document.beginnings[document.goals[is_found], 0].long()
    of_page = torch.stack(
        [part.logsumexp(1) for part in logits[is_found].split(list(document.pages), 1)], 1
    )
    return nn.functional.cross_entropy(of_page, owner[token // SIDE**2], reduction="sum")


Studied = tuple[
    "NDArray[np.uint8]",
    tuple[tuple[int, int], ...],
    "NDArray[np.int16]",
    tuple[str, ...],
    tuple[int, ...],
    tuple[int, ...],
]
"""Slots, grids of pages, beginnings, questions, goals and which questions are answered by yes or
no, as arrays that are quick to hand over."""


def study_questions() -> Callable[[list[Lesson]], list[Studied]]:
    """Worker code: documents as text, with the beginning that each question means."""
    study = study_slots()

    def studied(lessons: list[Lesson]) -> list[Studied]:
        found = asked_of(study(lessons)[0])
        return [] if found is None else [found]

    return studied


def asked_of(pages: Sequence[StudiedPage]) -> Studied | None:
    """A document and those of its questions whose answer begins in a known place, or nowhere."""
    errors = np.random.default_rng(sum(len(page.lines) for page in pages))
    share = float(errors.choice(MISREAD))
    seen = [misread(page.tokens, share, errors) for page in pages]  # type: ignore[arg-type]
    slots = np.concatenate(seen).astype(np.uint8)
    crops = slots.reshape(-1, SIDE * SIDE, SLOTS)
    grids = tuple(page.grid for page in pages)
    beginnings = np.argwhere(begins_in(crops, grids))
    numbers = {(int(token), int(line)): n for n, (token, line) in enumerate(beginnings)}
    starts = np.cumsum([0, *(len(page.tokens) for page in pages)])
    questions: list[str] = []
    goals: list[int] = []
    checks: list[int] = []
    for page, start in zip(pages, starts[:-1], strict=True):
        for question, answer, family in page.questions:
            goal = _goal(page, (question, answer, family), int(start), numbers)
            if goal is not None:
                checks += [len(questions)] if family == CHECK else []
                questions.append(question)
                goals.append(goal)
    if not questions or len(crops) > MOST_CROPS:
        return None
    places = beginnings.astype(np.int16)
    return crops, grids, places, tuple(questions), tuple(goals), tuple(checks)


def _goal(
    page: StudiedPage, asked: tuple[str, str, str], start: int, numbers: dict[tuple[int, int], int]
) -> int | None:
    """Number of the beginning that is meant, -1 for none; None where it is not known."""
    question, answer, family = asked
    if family == UNANSWERABLE or (family == CHECK and answer == NO):
        return -1
    turn = printed_turn(page.lines, question, answer, 0) if family in PRINTED else None
    if turn is None or not turn.goals[0][2]:
        return None
    token, slot, _ = turn.goals[0]
    return numbers.get((start + token, slot // PLACES_PER_LINE))


def begins_in(crops: NDArray[np.uint8], grids: Grids) -> NDArray[np.bool_]:
    """In which lines of cells anything begins: a character after nothing or after a blank.

    Args:
        crops: Classes, (crops, cells, slots).
        grids: Rows and columns of tiles of each page, which come after its thumbnail.

    Returns:
        (crops * cells, lines).
    """
    grid = crops.reshape(-1, SIDE, SIDE, SLOTS)
    here = grid[..., :PLACES].reshape(*grid.shape[:3], LINES_PER_CELL, PLACES_PER_LINE)
    ends = grid[..., PLACES::LAST_PER_LINE]
    left = np.zeros_like(ends)
    left[:, :, 1:] = ends[:, :, :-1]
    first = 0
    for rows, columns in grids:
        for tile in range(first + 1, first + 1 + rows * columns):
            if (tile - first - 1) % columns:
                left[tile, :, 0] = ends[tile - 1, :, -1]
        first += 1 + rows * columns
    run = np.concatenate([left[..., None], here], -1)
    is_there = (run > 0) & (run != BLANK) & (run != WIDE_BLANK)
    found: NDArray[np.bool_] = (is_there[..., 1:] & ~is_there[..., :-1]).any(-1)
    return found.reshape(-1, LINES_PER_CELL)


def _as_asked(studied: Studied) -> Asked:
    slots, grids, beginnings, questions, goals, checks = studied
    places = torch.from_numpy(beginnings)
    return Asked(torch.from_numpy(slots), grids, places, questions, torch.tensor(goals), checks)
