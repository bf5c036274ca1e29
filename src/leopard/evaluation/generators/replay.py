"""Answers taken from the log of an earlier run. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leopard.errors import EvaluationError, GenerationError
from leopard.evaluation.generators.base import Prepared, rule_generation
from leopard.evaluation.records import read_file, read_manifest, read_records
from leopard.schema.generation import Generation


class ReplayResponder:
    """Gives each sample the response that a log holds for it.

    Args:
        path: Folder of a run, or a JSON-lines file of records with `id` and `raw` (or `response`).

    Raises:
        EvaluationError: If there is no record, or an id occurs twice.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            rows, origin = read_records(path), str(read_manifest(path).get("model", path.name))
        else:
            rows, origin = list(read_file(path)), path.name
        self._responses: dict[str, str] = {}
        for row in rows:
            name = str(row.get("id"))
            if name in self._responses:
                raise EvaluationError(f"{path}: sample {name!r} occurs twice")
            self._responses[name] = str(row.get("raw", row.get("response", "")))
        if not self._responses:
            raise EvaluationError(f"{path}: holds no record")
        self.name = f"replay of {origin}"
        self.fingerprint = f"replay:{path}"

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """Logged responses.

        Raises:
            GenerationError: If the log has none for a sample.
        """
        missing = [p.sample.id for p in batch if p.sample.id not in self._responses]
        if missing:
            raise GenerationError(f"the log holds no response for sample {missing[0]!r}")
        return [rule_generation(self._responses[prepared.sample.id]) for prepared in batch]
