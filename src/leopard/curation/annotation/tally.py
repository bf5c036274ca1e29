"""Counts of what was accepted and what was turned down, by job and reason.

Knows nothing of what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """Accepted and rejected, job by job."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Job -> accepted."""
    rejected: Counter[str] = field(default_factory=Counter)
    """`job: reason` -> rejected."""

    def accept(self, job: str) -> None:
        """Count one that is kept."""
        self.accepted[job] += 1

    def reject(self, job: str, reason: str, times: int = 1) -> None:
        """Count what is turned down."""
        self.rejected[f"{job}: {reason}"] += times

    def add(self, other: Tally) -> None:
        """Add the counts of another part."""
        self.accepted.update(other.accepted)
        self.rejected.update(other.rejected)

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain JSON."""
        return {
            "accepted": dict(sorted(self.accepted.items())),
            "rejected": dict(sorted(self.rejected.items())),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Tally:
        """The counts that a JSON record holds."""
        return cls(Counter(record["accepted"]), Counter(record["rejected"]))
