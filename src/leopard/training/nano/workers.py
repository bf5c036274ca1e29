"""Lessons made ahead in a second process, so that the trainer never waits for a page.

PDFium is not safe in threads, so pages are made in processes. Seeds run on from a start, so that a
run that goes on does not see its first pages again.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leopard.schema.geometry import ImageSize
from leopard.training.nano.lessons import Lesson, PageSource, draw_lesson

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

AHEAD = 64
"""Lessons that wait at most."""
CROP = 364
"""Side of a crop, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PagePlan:
    """What pages are asked of the source."""

    grids: tuple[tuple[int, int], ...] = ((1, 1), (2, 1), (1, 2), (2, 2))
    """(columns, rows) of tiles that a page fills, drawn evenly."""
    text_px: tuple[int, ...] = (11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 24)
    """Sizes of text, in pixels."""
    side: int = CROP
    """Side of pages of one crop, in pixels."""
    dpi: tuple[float, float] = (86.0, 158.0)
    """Lowest and highest resolution."""

    def draw(self, source: PageSource, seed: int) -> Lesson | None:
        """The lesson of a seed, or None where the source skips it."""
        rng = random.Random(f"lesson:{seed}")
        cols, rows = rng.choice(self.grids)
        if cols * rows == 1:
            size = ImageSize(self.side, rng.choice([self.side, self.side, self.side * 4 // 5]))
        else:
            width, height = rng.uniform(0.8, 1.0) * cols, rng.uniform(0.75, 1.0) * rows
            size = ImageSize(int(width * CROP), int(height * CROP))
        dpi = rng.uniform(*self.dpi)
        draft = source.page(seed, size, rng.choice(self.text_px), dpi)
        return None if draft is None else draw_lesson(draft, dpi=dpi)


def _work(
    queue: Queue[Any],
    source: PageSource,
    plan: PagePlan,
    prepare: Callable[[], Callable[[Lesson], list[Any]]],
    first_seed: int,
) -> None:
    os.nice(2)
    turn_into = prepare()
    seed = first_seed
    while True:
        lesson = plan.draw(source, seed)
        seed += 1
        for item in turn_into(lesson) if lesson is not None else []:
            queue.put(item)


class LessonStream:
    """Endless training items made by one worker process.

    Args:
        source: Makes pages.
        plan: What pages to ask for.
        prepare: Called once in the worker; returns the function from a lesson to training items.
        first_seed: Where the seeds start.
    """

    def __init__(
        self,
        source: PageSource,
        plan: PagePlan,
        prepare: Callable[[], Callable[[Lesson], list[Any]]],
        *,
        first_seed: int,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue: Any = context.Queue(AHEAD)
        self._process = context.Process(
            target=_work, args=(self._queue, source, plan, prepare, first_seed), daemon=True
        )
        self._process.start()

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self.take()

    def take(self) -> Any:
        """The next item; waits for it."""
        while True:
            try:
                return self._queue.get(timeout=5)
            except Exception as error:
                if not self._process.is_alive():
                    raise RuntimeError("the lesson worker died; see its message above") from error

    def ready(self, most: int) -> list[Any]:
        """Items that are there now, without waiting."""
        items: list[Any] = []
        while len(items) < most and not self._queue.empty():
            items.append(self.take())
        return items

    def close(self) -> None:
        """Stop the worker."""
        self._process.kill()
        self._process.join()
