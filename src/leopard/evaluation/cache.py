"""Answers by content: one file for each key, written whole. Knows nothing of tasks or scores."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from leopard.schema.files import write_text_atomically
from leopard.schema.generation import Generation, Timings, Usage


class AnswerCache:
    """Keeps answers between runs.

    The key covers image bytes, prompt, sampling, processor settings and weights, so that nothing
    that changes an answer can meet an old one.

    Args:
        folder: Where the files lie; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits = 0
        self.misses = 0

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Generation | None:
        """The answer, or None; a file that cannot be read counts as none."""
        try:
            row = json.loads(self._path(key).read_text(encoding="utf-8"))
            found = Generation(
                text=row["text"],
                finish_reason=row["finish_reason"],
                usage=Usage(**row["usage"]),
                timings=Timings(**row["timings"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            self.misses += 1
            return None
        self.hits += 1
        return found

    def put(self, key: str, answer: Generation) -> None:
        """Keep an answer; empty ones are not kept, a failed model gives them too easily."""
        if answer.text.strip():
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(path, json.dumps(asdict(answer)))
