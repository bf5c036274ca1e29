"""Pictures of known size whose pixels are made when they are first used.

Plans and prompts follow from sizes alone, so a prompt can be made before any page is drawn, and
pages can be drawn while earlier ones are looked at. Knows nothing of files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import PIL.Image

from leopard.errors import DocumentError
from leopard.schema.geometry import ImageSize


class LaterImage(PIL.Image.Image):
    """An upright RGB picture that is drawn once, by whoever first uses its pixels.

    Pillow itself asks for them through `load`, as it does of files that it opened.

    Args:
        size: Size in pixels, known before.
        draw: Makes the picture in this size; called once, unless something else than the document
            is at fault.
    """

    is_upright_rgb = True
    """Says to `leopard.schema.pixels.to_rgb` that there is nothing to do."""

    def __init__(self, size: ImageSize, draw: Callable[[], PIL.Image.Image]) -> None:
        super().__init__()
        self._mode = "RGB"
        self._size = (size.width, size.height)
        self._draw: Callable[[], PIL.Image.Image] | None = draw
        self._error: DocumentError | None = None
        self._lock = threading.Lock()

    @property
    def is_drawn(self) -> bool:
        """Whether the pixels are in memory."""
        return self._im is not None

    def load(self) -> Any:
        """Draw the picture if that has not been done.

        Raises:
            DocumentError: If it cannot be drawn; the same error each time.
        """
        with self._lock:
            if self._draw is not None:
                try:
                    self._take(self._draw())
                except DocumentError as error:
                    self._error = error
                # What draws may hold a whole document.
                self._draw = None
        if self._error is not None:
            raise self._error
        return super().load()

    def _take(self, drawn: PIL.Image.Image) -> None:
        assert drawn.mode == "RGB", drawn.mode
        assert drawn.size == self._size, (drawn.size, self._size)
        drawn.load()
        self.im = drawn.im
