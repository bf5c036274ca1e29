"""Makes the next items of an iterator while the present one is used: one thread, a few items.

Pages are drawn with PDFium and cut into crops with Pillow and numpy, which leave the interpreter
free, while the vision encoder works on earlier crops. Knows nothing of either.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

ItemT = TypeVar("ItemT")


class _End:
    """What the thread puts last: why there are no more items."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def made_ahead(items: Iterable[ItemT], *, most: int = 2) -> Generator[ItemT, None, None]:
    """The same items in the same order, made in a thread of their own.

    Args:
        items: Iterated over in the other thread; its errors are raised here, in their place.
        most: Items that wait to be used, so that memory stays bounded.
    """
    waiting: queue.Queue[ItemT | _End] = queue.Queue(most)
    stop = threading.Event()

    def put(item: ItemT | _End) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the other thread
            error = caught
        put(_End(error))

    thread = threading.Thread(target=work, name="leopard-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()
