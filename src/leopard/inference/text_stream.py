"""Tokens to text as they come: whole characters only, up to a stop text.

Knows nothing of models. Works with any tokenizer that has `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INCOMPLETE = "\ufffd"
_MOST_BYTES_OPEN = 3
"""A UTF-8 character has up to 4 bytes, so at most 3 can be waiting for the rest."""
_WINDOW = 32
_OVERLAP = 6


class TextStream:
    """Turns token ids into text, holding back what may still change.

    Held back are bytes of an unfinished character, the beginning of a stop text, and white space
    at the end. White space around the whole answer is dropped.

    Args:
        tokenizer: Tokenizer that decodes ids.
        stop: Texts that end the answer; they are not part of it.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(text for text in stop if text)
        self._ids: list[int] = []
        self._start = 0
        self._known = 0
        self._pending = ""
        self._text = ""
        self.stopped = False

    @property
    def text(self) -> str:
        """All text given out so far."""
        return self._text

    def push(self, token: int) -> str:
        """Add a token; returns the text that became certain, possibly empty."""
        if self.stopped:
            return ""
        self._ids.append(token)
        decoded = self._decode()
        certain = decoded.rstrip(_INCOMPLETE)
        if len(decoded) - len(certain) > _MOST_BYTES_OPEN:
            certain = decoded[:-_MOST_BYTES_OPEN]  # bytes that no character can be made of
        self._pending += certain[self._known :]
        self._known = max(self._known, len(certain))
        if certain == decoded and len(self._ids) - self._start > _WINDOW:
            self._start = len(self._ids) - _OVERLAP
            self._known = len(self._decode())
        return self._release(self._certain_length())

    def finish(self) -> str:
        """End of the answer; returns the text that was held back."""
        if not self.stopped:
            self._pending += self._decode()[self._known :]
            self._cut_at_stop()
            self.stopped = True
        self._pending = self._pending.rstrip()
        return self._release(len(self._pending))

    def _decode(self) -> str:
        return str(
            self._tokenizer.decode(
                self._ids[self._start :],
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,
            )
        )

    def _cut_at_stop(self) -> None:
        places = [place for stop in self._stop if (place := self._pending.find(stop)) >= 0]
        if places:
            self._pending = self._pending[: min(places)]
            self.stopped = True

    def _certain_length(self) -> int:
        self._cut_at_stop()
        if self.stopped:
            self._pending = self._pending.rstrip()
            return len(self._pending)
        held = max((_overlap(self._pending, stop) for stop in self._stop), default=0)
        return len(self._pending[: len(self._pending) - held].rstrip())

    def _release(self, length: int) -> str:
        out, self._pending = self._pending[:length], self._pending[length:]
        if not self._text:
            out = out.lstrip()
        self._text += out
        return out


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
