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
from queue import Full
from typing import TYPE_CHECKING, Any

from leopard.documents.options import LoadOptions
from leopard.schema.geometry import ImageSize
from leopard.training.nano.lessons import Lesson, PageSource, draw_lessons

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

    documents: float = 0.0
    """Share of lessons that are whole documents of the source instead of such pages."""
    document_dpi: tuple[float, float] = (100.0, 145.0)
    """The same for documents, as far as their tiles allow."""
    tiles: int = 12
    """Tiles of a page of a document at most."""
    has_pictures: bool = True
    """Whether documents are drawn; else their pages are white, which is quicker."""

    def draw(self, source: PageSource, seed: int) -> list[Lesson]:
        """The pages of the lesson of a seed; none where the source skips it."""
        rng = random.Random(f"lesson:{seed}")
        if rng.random() < self.documents:
            document = source.document(seed)
            if document is None:
                return []
            dpi = rng.uniform(*self.document_dpi)
            options = LoadOptions(max_tiles_per_page=self.tiles, reading_dpi=dpi)
            return draw_lessons(
                document.pdf,
                document.questions,
                options=options,
                has_pictures=self.has_pictures,
            )
        cols, rows = rng.choice(self.grids)
        if cols * rows == 1:
            size = ImageSize(self.side, rng.choice([self.side, self.side, self.side * 4 // 5]))
        else:
            width, height = rng.uniform(0.8, 1.0) * cols, rng.uniform(0.75, 1.0) * rows
            size = ImageSize(int(width * CROP), int(height * CROP))
        dpi = rng.uniform(*self.dpi)
        draft = source.page(seed, size, rng.choice(self.text_px), dpi)
        if draft is None:
            return []
        options = LoadOptions(target_dpi=dpi)
        return draw_lessons(draft.pdf, [draft.questions], options=options)


Prepare = Callable[[], Callable[[list[Lesson]], list[Any]]]
"""Called once in the worker; returns the function from the pages of a lesson to training items."""


def _work(
    queue: Queue[Any], source: PageSource, plan: PagePlan, prepare: Prepare, first_seed: int
) -> None:
    os.nice(2)
    turn_into = prepare()
    trainer = os.getppid()
    seed = first_seed
    while os.getppid() == trainer:  # a killed trainer must not leave its worker behind
        lessons = plan.draw(source, seed)
        seed += 1
        items = turn_into(lessons) if lessons else []
        while items and os.getppid() == trainer:
            try:
                queue.put(items[0], timeout=5)
                items = items[1:]
            except Full:
                continue
    queue.cancel_join_thread()


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
        prepare: Prepare,
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
