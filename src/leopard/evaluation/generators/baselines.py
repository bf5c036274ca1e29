"""Answers without a model: at random, and the commonest of the task.

"At random" is a fixed draw by the sample's id, so a run can be repeated. Knows nothing of images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from leopard.evaluation.generators.base import Prepared, rule_generation
from leopard.evaluation.samples import EvalSample
from leopard.evaluation.views import stable_seed
from leopard.schema.generation import Generation


class RandomResponder:
    """A letter, or the gold answer of another sample of the task, drawn by the sample's id.

    Args:
        samples: The samples of the task, whose answers are drawn from.
    """

    name = "random"
    fingerprint = "random-1"

    def __init__(self, samples: Iterable[EvalSample]) -> None:
        self._pool = sorted(
            {(s.id, s.answers[0]) for s in samples if s.answers and not s.options and not s.problem}
        )

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """A drawn answer for each sample."""
        return [rule_generation(self._draw(prepared.sample)) for prepared in batch]

    def _draw(self, sample: EvalSample) -> str:
        seed = stable_seed(sample.id)
        if sample.options:
            return list(sample.choices)[seed % len(sample.choices)]
        others = [answer for name, answer in self._pool if name != sample.id]
        return others[seed % len(others)] if others else ""


class MajorityResponder:
    """The commonest letter or gold answer of the task; of equals the first in order.

    Args:
        samples: The samples of the task.
    """

    name = "majority"
    fingerprint = "majority-1"

    def __init__(self, samples: Iterable[EvalSample]) -> None:
        counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for sample in samples:
            if sample.answers and not sample.problem:
                counts[bool(sample.options)][sample.answers[0]] += 1
        self._commonest = {
            kind: min(found.items(), key=lambda item: (-item[1], item[0]))[0] if found else ""
            for kind, found in counts.items()
        }

    def respond(self, batch: Sequence[Prepared]) -> list[Generation]:
        """The same answer for every sample of a kind."""
        return [
            rule_generation(self._commonest[bool(prepared.sample.options)]) for prepared in batch
        ]
